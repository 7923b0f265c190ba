"""Plays the memories and the recorder of a unit of the spiking half.

    unit's reads --> image --> words, a latency later; noise in all other cycles
    unit's writes --> image
    unit's spikes --> taken at random
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from cocotb.triggers import Timer
from numpy.typing import NDArray

from hw.config import DeviceConfig, region_tiles, tile_rows
from hw.instruction import INSTRUCTION
from hw.isa import Instruction, Region
from hw.numbers import WORD_BITS, WORD_MAX, WORD_MIN, lfsr_seed
from hw.spiking import PARAMETER_WORDS
from hw.spiking_ports import STATE_LATENCY, tile_bits
from hw.tile_memory import TileMemory
from sim.bench import Ports, cycle, pack, start, unpack
from sim.golden.lfsr import LfsrBank
from sim.golden.loader import GoldenLoader
from sim.golden.spiking import Counted, GoldenSpiking
from sim.golden.units import Integers

Image = NDArray[np.int16]

SPIKING_REGIONS = (Region.WEIGHT, Region.INPUT, Region.TARGET, Region.STATE, Region.EVENTS)
LOADED = {"input": Region.INPUT, "target": Region.TARGET}
"""Memories with two buffers, by the name of the port that says which is in front."""


class Golden:
    """Images of the spiking half's memories, and the golden model that works on them."""

    def __init__(self, config: DeviceConfig, random: np.random.Generator):
        self.config = config
        words = {
            region: count * tile_rows(config, region)
            for region, count in region_tiles(config).items()
        }
        words[Region.STATE] = config.state_rows
        words[Region.EVENTS] = config.event_words // config.lanes
        self.images: dict[Region, Image] = {
            region: random.integers(
                WORD_MIN, WORD_MAX, (words[region], config.lanes), np.int16, endpoint=True
            )
            for region in SPIKING_REGIONS
        }
        self.loader = GoldenLoader(config, (self.images[Region.INPUT], self.images[Region.TARGET]))
        seeds = [lfsr_seed(lane) for lane in range(config.lanes)]
        self.randomness = LfsrBank(np.array(seeds, np.uint32))
        self.spiking = GoldenSpiking(config, self.images, self.loader, self.randomness)

    def command(self, instruction: Instruction, step: int = 0) -> Counted:
        return self.spiking.command(instruction, step)

    def parameters(self, instruction: Instruction) -> Integers:
        """The block of parameters of a command."""
        block = self.images[Region.STATE].reshape(-1)[instruction.right_depth * self.config.lanes :]
        return block[:PARAMETER_WORDS].astype(np.int64)

    def put_parameters(self, row: int, values: Integers) -> None:
        """Write a block of parameters, or its beginning."""
        first = row * self.config.lanes
        self.images[Region.STATE].reshape(-1)[first : first + len(values)] = values


@dataclass
class Spikes:
    """What went over a stream of spikes."""

    tiles: list[int] = field(default_factory=list)
    neurons: list[int] = field(default_factory=list)
    last: list[int] = field(default_factory=list)


class Player:
    """A unit under test, whose memories are copies of the golden ones from before a command.

    Parameters
    ----------
    dut: with the members of a unit, and of the ports below
    golden: the images
    tiles: names of its ports that read tiles, without "_read"
    reads_state: whether it reads STATE
    """

    def __init__(
        self,
        dut: Any,
        golden: Golden,
        random: np.random.Generator,
        *,
        tiles: tuple[str, ...],
        reads_state: bool,
    ):
        self.dut = Ports(dut)
        self.golden = golden
        self.config = golden.config
        self.random = random
        self.tiles = tiles
        self.reads_state = reads_state
        self.images: dict[Region, Image] = {}
        self.spikes = Spikes()
        # Words that are due, by port and cycle.
        self._due: dict[tuple[str, int], int] = {}

    async def start(self) -> None:
        """Start the clock, and reset."""
        names = ["command__start", "command__instruction", "command__parameters", "spikes__ready"]
        names += [f"{name}_base" for name in self.tiles if name in LOADED]
        names += [f"{name}_read__data" for name in self._ports()]
        await start(self.dut, **dict.fromkeys(names, 0))

    def _ports(self) -> list[str]:
        return [*self.tiles, *(["state"] if self.reads_state else [])]

    async def run(
        self, instruction: Instruction, *, slack: float = 0.0, limit: int = 100_000
    ) -> int | None:
        """Run a command; the cycles from `start` to `done`, None where it is not done by `limit`.

        `slack`: the probability that a spike tile has to wait in a cycle.
        """
        dut, config = self.dut, self.config
        self.images = {region: image.copy() for region, image in self.golden.images.items()}
        self.spikes = Spikes()
        self._due.clear()
        words = instruction.encode()
        dut.command__instruction.value = INSTRUCTION.from_bits(pack(words, WORD_BITS)).as_bits()
        dut.command__parameters.value = pack(self.golden.parameters(instruction), WORD_BITS)
        for name, region in LOADED.items():
            if name in self.tiles:
                base = self.golden.loader.front * region_tiles(config)[region] // 2
                getattr(dut, f"{name}_base").value = base
        for now in range(limit):
            dut.command__start.value = int(now == 0)
            dut.spikes__ready.value = int(self.random.random() >= slack)
            self._answer(now)
            await Timer(1, unit="ns")
            done = int(dut.command__done.value)
            self._look(now)
            await cycle(dut)
            if done:
                dut.command__start.value = 0
                return now
        return None

    def _answer(self, now: int) -> None:
        for name in self._ports():
            noise = self.random.integers(WORD_MIN, WORD_MAX, self.config.lanes)
            words = self._due.pop((name, now), None)
            port = getattr(self.dut, f"{name}_read__data")
            port.value = pack(noise, WORD_BITS) if words is None else words

    def _look(self, now: int) -> None:
        """Serve the reads, the writes and the spikes of this cycle."""
        dut, lanes = self.dut, self.config.lanes
        for name in self.tiles:
            port = {
                member: int(getattr(dut, f"{name}_read__{member}").value)
                for member in ("enable", "tile", "index", "column")
            }
            if port["enable"]:
                words = self._tile_words(Region[name.upper()], port)
                self._due[name, now + TileMemory.READ_LATENCY] = pack(words, WORD_BITS)
        state = self.images[Region.STATE]
        if self.reads_state and int(dut.state_read__enable.value):
            words = state[int(dut.state_read__row.value)]
            self._due["state", now + STATE_LATENCY] = pack(words, WORD_BITS)
        if int(dut.state_write__enable.value):
            row = int(dut.state_write__row.value)
            state[row] = unpack(dut.state_write__data.value, WORD_BITS, lanes)
        if int(dut.spikes__valid.value) and int(dut.spikes__ready.value):
            payload = int(dut.spikes__payload.value)
            tile = payload & (1 << tile_bits(self.config)) - 1
            mask = payload >> tile_bits(self.config)
            self.spikes.tiles.append(tile)
            self.spikes.last.append(mask >> lanes)
            fires = [lane for lane in range(lanes) if mask >> lane & 1]
            self.spikes.neurons.extend(tile * lanes + lane for lane in fires)

    def _tile_words(self, region: Region, port: dict[str, int]) -> Integers:
        """A row or a column of a tile; what it has fewer of than lanes is noise."""
        lanes, rows = self.config.lanes, tile_rows(self.config, region)
        tile = self.images[region][port["tile"] * rows :][:rows]
        lane = np.arange(lanes)
        if not port["column"]:
            return tile[port["index"], (lane + port["index"]) % lanes]
        words = self.random.integers(WORD_MIN, WORD_MAX, lanes)
        words[:rows] = tile[lane[:rows], (lane[:rows] + port["index"]) % lanes]
        return words

    def check(self, instruction: Instruction, step: int = 0) -> Counted:
        """Let the golden model carry the command out, too, and compare STATE and the spikes."""
        counted = self.golden.command(instruction, step)
        images, lanes = self.golden.images, self.config.lanes
        differ = np.argwhere(self.images[Region.STATE] != images[Region.STATE])
        assert not len(differ), f"rows and lanes of STATE that differ: {differ[:8].tolist()}"
        count = -(-instruction.rows // lanes)
        assert self.spikes.tiles == list(range(count))
        assert self.spikes.last == [0] * (count - 1) + [1]
        events = images[Region.EVENTS].reshape(-1).view(np.uint16)[instruction.gate :]
        assert self.spikes.neurons == events[1 : 1 + int(events[0])].tolist()
        return counted
