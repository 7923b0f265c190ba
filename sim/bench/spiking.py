"""What the benches of the spiking units have in common: memories, and the golden model beside them.

The bench plays STATE and INPUT, takes the spikes, and after every command compares all words of
STATE, the list of spikes, the LFSRs' steps and the cycles that it took.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw.config import DeviceConfig
from hw.isa import INPUT_BUFFERS, Instruction, Region
from hw.layout import TensorLayout
from hw.numbers import WORD_BITS, WORD_MAX, WORD_MIN, lfsr_seed
from hw.spiking import PARAMETER_WORDS
from hw.spiking_ports import STATE_LATENCY, tile_bits
from hw.tile_memory import TileMemory
from sim.bench import Ports, cycle, pack, parameters, start, unpack
from sim.golden.lfsr import LfsrBank
from sim.golden.spiking import GoldenSpiking

Words = NDArray[np.int16]

CORNERS = [WORD_MIN, WORD_MIN + 1, -1, 0, 1, WORD_MAX - 1, WORD_MAX]


class Bench:
    """Drives a unit with a member `command` through commands.

    Parameters
    ----------
    dut: the unit
    limit: cycles that no command of the bench takes

    Attributes
    ----------
    patience: cycles that a tile of spikes is offered at most before it is taken
    willing: how probable it is that it is taken in a cycle before
    """

    def __init__(self, dut: Any, *, limit: int):
        self.given = parameters()
        self.dut = Ports(dut)
        self.limit = limit
        self.config = config = DeviceConfig(**self.given["config"])
        self.lanes = config.lanes
        self.random = np.random.default_rng(self.given["seed"])
        self.patience, self.willing = 1, 1.0
        self.images: dict[Region, Words] = {
            Region.STATE: np.zeros((config.state_rows, self.lanes), np.int16),
            Region.EVENTS: np.zeros(config.event_words, np.int16),
            Region.INPUT: np.zeros(
                (INPUT_BUFFERS * config.input_tiles * config.batch_lanes, self.lanes), np.int16
            ),
        }
        self.front = 0
        seeds = [lfsr_seed(lane) for lane in range(self.lanes)]
        self.randomness = LfsrBank(np.array(seeds, np.uint32))
        self.asked: dict[str, list[int]] = {}
        print(f"seed {self.given['seed']}")

    def has(self, port: str) -> bool:
        """Whether the unit has a port of this name."""
        return hasattr(self.dut._dut, port)

    async def start(self) -> None:
        names = ["command__start", "command__instruction", "command__parameters"]
        names += ["spikes__ready", "state_read__data", "input_read__data", "input_base", "step"]
        names += ["states"]
        await start(self.dut, **{name: 0 for name in names if self.has(name)})

    # Stimulus

    def words(self, *shape: int, scale: int = WORD_MAX, corners: float = 0.2) -> Words:
        """Random words up to `scale`, some of them corners."""
        words = self.random.integers(-scale - (scale == WORD_MAX), scale + 1, shape)
        there = self.random.random(shape) < corners
        return np.where(there, self.random.choice(CORNERS, shape), words).astype(np.int16)

    def set_parameters(self, i: Instruction, values: list[int]) -> None:
        """Put a block of parameters where the golden model looks for it."""
        rows = -(-PARAMETER_WORDS // self.lanes)
        block = np.zeros(rows * self.lanes, np.int16)
        block[: len(values)] = values
        place = slice(i.right_depth, i.right_depth + rows)
        self.images[Region.STATE][place] = block.reshape(rows, self.lanes)

    # Running

    async def command(self, i: Instruction, step: int = 0) -> int:
        """Carry out a command and compare all there is to see; cycles from `start` to `done`.

        The next one may start in the cycle after `done`, if its spikes have been taken.
        """
        wanted = {region: image.copy() for region, image in self.images.items()}
        loader: Any = SimpleNamespace(front=self.front)
        random = LfsrBank(self.randomness.state)
        GoldenSpiking(self.config, wanted, loader, random).command(i, step)
        await self.launch(i, step)
        spikes: list[int] = []
        for passed in range(1, self.limit):
            done = self.dut.command__done.value == 1
            await self.cycle(spikes)
            if done:
                assert self.dut.command__done.value == 0
                while self.has("spikes__valid") and not self.ended and self.offered:
                    await self.cycle(spikes)
                self.compare(i, wanted, spikes)
                np.testing.assert_array_equal(self.randomness.state, random.state, f"LFSRs, {i}")
                return passed
        raise AssertionError(f"{i} is not done after {self.limit} cycles")

    async def launch(self, i: Instruction, step: int = 0) -> None:
        """The cycle of `start`."""
        dut = self.dut
        dut.command__instruction.value = pack(i.encode(), WORD_BITS)
        rows = -(-PARAMETER_WORDS // self.lanes)
        block = self.images[Region.STATE][i.right_depth : i.right_depth + rows]
        dut.command__parameters.value = pack(block.reshape(-1)[:PARAMETER_WORDS], WORD_BITS)
        self.step = step
        if self.has("step"):
            dut.step.value = step
        if self.has("input_base"):
            dut.input_base.value = self.front * self.config.input_tiles
        self.ended, self.offered = False, 0
        dut.command__start.value = 1
        await self.cycle([])
        dut.command__start.value = 0

    def compare(self, i: Instruction, wanted: dict[Region, Words], spikes: list[int]) -> None:
        state, expected = self.images[Region.STATE], wanted[Region.STATE]
        if not np.array_equal(state, expected):
            row, lane = np.argwhere(state != expected)[0]
            raise AssertionError(
                f"row {row - i.dest_base} of the population, lane {lane}, must be "
                f"{expected[row, lane]}, not {state[row, lane]}: {i}"
            )
        if not self.has("spikes__valid"):
            return
        events = wanted[Region.EVENTS].view(np.uint16)[i.gate :]
        assert self.ended, "the last tile of spikes must be offered before `done`"
        assert spikes == events[1 : 1 + int(events[0])].tolist(), f"spikes of {i}"

    async def cycle(self, spikes: list[int]) -> None:
        """One cycle, in which memories are read and written and spikes are taken."""
        self.play("state_read", STATE_LATENCY, self.state_row)
        self.play("input_read", TileMemory.READ_LATENCY, self.input_row)
        dut = self.dut
        if dut.state_write__enable.value == 1:
            data = unpack(dut.state_write__data.value, WORD_BITS, self.lanes)
            self.images[Region.STATE][int(dut.state_write__row.value)] = data
        if self.has("states"):
            dut.states.value = pack(self.randomness.state, 2 * WORD_BITS)
            if dut.lfsr_step.value == 1:
                self.randomness.advance(1)
        if self.has("spikes__valid"):
            self.take(spikes)
        await cycle(dut)

    def play(self, port: str, latency: int, read: Callable[[], Words | None]) -> None:
        """Answer the read of `latency` cycles ago; noise where there was none."""
        if not self.has(f"{port}__enable"):
            return
        queue = self.asked.setdefault(port, [0] * latency)
        found = read() if getattr(self.dut, f"{port}__enable").value == 1 else None
        noise = self.random.integers(WORD_MIN, WORD_MAX + 1, self.lanes) if found is None else found
        queue.append(pack(noise, WORD_BITS))
        getattr(self.dut, f"{port}__data").value = queue.pop(0)

    def state_row(self) -> Words | None:
        dut = self.dut
        row = int(dut.state_read__row.value)
        written = dut.state_write__enable.value == 1 and int(dut.state_write__row.value) == row
        return None if written or row >= self.config.state_rows else self.images[Region.STATE][row]

    def input_row(self) -> Words | None:
        dut, config = self.dut, self.config
        assert dut.input_read__column.value == 0
        places = TensorLayout(
            base=int(dut.input_read__tile.value),
            rows=config.batch_lanes,
            columns=self.lanes,
            tile_rows=config.batch_lanes,
            lanes=self.lanes,
            stride=1,
        ).addresses()[int(dut.input_read__index.value)]
        image = self.images[Region.INPUT].reshape(-1)
        return image[places] if places.max() < image.size else None

    def take(self, spikes: list[int]) -> None:
        """Take a tile of spikes, or let it wait."""
        dut, bits = self.dut, tile_bits(self.config)
        offered = dut.spikes__valid.value == 1
        self.offered += offered
        willing = self.offered >= self.patience or self.random.random() < self.willing
        dut.spikes__ready.value = int(willing)
        if not (offered and willing):
            return
        payload = int(dut.spikes__payload.value)
        assert not self.ended, "no tile of spikes may come after the last one"
        tile, mask = payload & ((1 << bits) - 1), payload >> bits
        spikes += [tile * self.lanes + k for k in range(self.lanes) if mask >> k & 1]
        self.ended, self.offered = bool(mask >> self.lanes & 1), 0
