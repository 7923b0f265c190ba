"""Bench of the spiking half: random commands on random networks, against the golden model.

A scene is a network of two populations and the matrix between them, of any sizes, somewhere in the
memories. Commands of all kinds work on it one after the other, with parameters of all sizes; after
each of them the words of STATE, EVENTS and WEIGHT, the LFSRs and the counts are compared.

Parameters: `config` (fields of a DeviceConfig), `scenes`, `commands` of each, `neurons` of a
population at most, `seed`.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np
from numpy.typing import NDArray

from hw.config import DeviceConfig, region_words
from hw.isa import FIELDS, SPIKING_OPCODES, Instruction, Opcode, Region
from hw.layout import tiles
from hw.numbers import WORD_BITS, WORD_MAX, WORD_MIN, lfsr_seed
from hw.spiking import (
    PARAMETER_WORDS,
    POPULATION_ROWS,
    EncodeFlag,
    EncoderParameter,
    Encoding,
    FireFlag,
    NeuronParameter,
    PlasticityFlag,
    Variable,
)
from hw.spiking_unit import SpikingUnit
from hw.tile_memory import TileMemory
from sim.bench import Ports, cycle, pack, parameters, reset, start, unpack
from sim.golden.lfsr import LfsrBank
from sim.golden.loader import GoldenLoader
from sim.golden.spiking import Counted, GoldenSpiking
from sim.golden.units import Integers

Image = NDArray[np.int16]

CORNERS = np.array([WORD_MIN, WORD_MIN + 1, -1, 0, 1, WORD_MAX])
LFSR_BITS = 32
FLAG_BITS = next(f.width for f in FIELDS if f.name == "flags")
MOST_SCALE_SHIFT = 31
LIMIT = 100_000
"""Cycles that no command takes."""

DECAYS = {
    Opcode.ENCODE: (EncoderParameter.TRACE_DECAY,),
    Opcode.FIRE: (
        NeuronParameter.LEAK,
        NeuronParameter.THRESHOLD_DECAY,
        NeuronParameter.TRACE_DECAY,
        NeuronParameter.ACTIVITY_DECAY,
    ),
}
"""Parameters that are decays, from -32768 to 0."""

WRITTEN = {Region.STATE: "state", Region.EVENTS: "event", Region.WEIGHT: "weight"}
HOSTED = {**WRITTEN, Region.INPUT: "input", Region.TARGET: "target"}
"""Memories by the names of their host ports."""


@dataclass(kw_only=True)
class Scene:
    """A network of `inputs` neurons and of `outputs` that these act on."""

    inputs: int
    outputs: int
    parameters: int
    input_base: int
    output_base: int
    vector_base: int
    spacing: int
    input_list: int
    output_list: int
    added_list: int
    weight_base: int
    weight_stride: int
    added: int = 0


class Bench:
    """The spiking half with its memories, and the golden images of these."""

    def __init__(self, dut: Any):
        given = parameters()
        self.dut = Ports(dut)
        self.config = DeviceConfig(**given["config"])
        self.scenes: int = given["scenes"]
        self.commands: int = given["commands"]
        self.most_neurons: int = given["neurons"]
        self.random = np.random.default_rng(given["seed"])
        self.lanes = self.config.lanes
        words = region_words(self.config)
        self.images: dict[Region, Image] = {
            region: np.zeros((words[region] // self.lanes, self.lanes), np.int16)
            for region in HOSTED
        }
        self.loader = GoldenLoader(
            self.config, (self.images[Region.INPUT], self.images[Region.TARGET])
        )
        self.randomness = LfsrBank(self.seeds())
        self.golden = GoldenSpiking(self.config, self.images, self.loader, self.randomness)
        # Commands that ran, those that changed a word, and what they counted.
        self.ran: Counter[str] = Counter()
        self.changed: Counter[str] = Counter()
        self.counted: Counter[str] = Counter()
        cocotb.log.info("seed %d", given["seed"])

    def seeds(self) -> NDArray[np.uint32]:
        return np.array([lfsr_seed(lane) for lane in range(self.lanes)], np.uint32)

    async def begin(self) -> None:
        names = ["start", "instruction", "step", "front", "peek__enable", "peek__tile"]
        names += ["peek__index"]
        for name in HOSTED.values():
            names += [f"{name}_host__{part}" for part in ("address", "write_enable", "write_data")]
        await start(self.dut, **dict.fromkeys(names, 0))

    # Stimulus

    def some(self, low: int, high: int) -> int:
        """A number from `low` to `high`, both ends and their neighbours more often."""
        if self.random.random() < 0.2:
            return int(np.clip(self.random.choice([low, low + 1, high - 1, high]), low, high))
        return int(self.random.integers(low, high + 1))

    def noise(self, count: int) -> Integers:
        """Words of one of several kinds: extreme, of any size, small or of one sign."""
        random = self.random
        match random.integers(5):
            case 0:
                return random.choice(CORNERS, count)
            case 1:
                return random.integers(WORD_MIN, WORD_MAX + 1, count)
            case 2:
                return random.integers(0, 1 << int(random.integers(1, WORD_BITS)), count)
            case _:
                size = 1 << int(random.integers(1, WORD_BITS))
                return random.integers(-size, size, count)

    def scene(self) -> Scene:
        """A network at random places, in memories of noise."""
        config = self.config
        for image in self.images.values():
            for row in image:
                row[:] = self.noise(len(row))
        inputs, outputs = (self.some(1, self.most_neurons) for _ in range(2))
        spacing = self.some(0, 3)
        heights = [
            tiles(PARAMETER_WORDS, self.lanes),
            tiles(inputs, self.lanes) * POPULATION_ROWS,
            tiles(outputs, self.lanes) * POPULATION_ROWS,
            ((tiles(inputs, self.lanes) - 1) << spacing) + 1,
        ]
        parameters_at, input_base, output_base, vector_base = self._placed(
            heights, config.state_rows
        )
        input_list, output_list, added_list = self._placed(
            [inputs + 1, outputs + 1, 3 * outputs + 1], config.event_words
        )
        stride = self.some(tiles(inputs, self.lanes), tiles(inputs, self.lanes) + 2)
        height = (tiles(outputs, self.lanes) - 1) * stride + tiles(inputs, self.lanes)
        if height > config.weight_tiles:
            stride = tiles(inputs, self.lanes)
            height = tiles(outputs, self.lanes) * stride
        scene = Scene(
            inputs=inputs,
            outputs=outputs,
            parameters=parameters_at,
            input_base=input_base,
            output_base=output_base,
            vector_base=vector_base,
            spacing=spacing,
            input_list=input_list,
            output_list=output_list,
            added_list=added_list,
            weight_base=self.some(0, config.weight_tiles - height),
            weight_stride=stride,
        )
        events = self.flat(Region.EVENTS)
        for base, neurons in ((scene.input_list, inputs), (scene.output_list, outputs)):
            words = self.listed(neurons)
            events[base : base + len(words)] = words
        events[scene.added_list] = 0
        return scene

    def listed(self, neurons: int) -> list[int]:
        """A list of spikes of so many neurons."""
        share = self.random.choice([0.1, 0.5, 1])
        fired = np.flatnonzero(self.random.random(neurons) < share).tolist()
        return [len(fired), *fired]

    def _placed(self, heights: list[int], room: int) -> list[int]:
        """Places of pieces in any order, with what is left between them."""
        spare, places = room - sum(heights), [0] * len(heights)
        assert spare >= 0, f"pieces of {heights} must fit {room}"
        place = 0
        for k in self.random.permutation(len(heights)):
            gap = int(self.random.integers(0, spare + 1))
            place, spare = place + gap, spare - gap
            places[k] = place
            place += heights[k]
        return places

    def command(self, scene: Scene, opcode: Opcode) -> tuple[Instruction, int]:
        """A random command, and its time step."""
        draws: dict[Opcode, Callable[[Scene], dict[str, int]]] = {
            Opcode.RESET: self._reset,
            Opcode.ENCODE: self._encode,
            Opcode.EXPAND: self._expand,
            Opcode.INTEGRATE: self._integrate,
            Opcode.FIRE: self._fire,
            Opcode.CLIMB: self._climb,
            Opcode.PLASTICITY: self._plasticity,
            Opcode.SCALE: self._scale,
        }
        step = self.some(0, 20) if self.random.random() < 0.9 else self.some(0, (1 << 16) - 1)
        fields = draws[opcode](scene)
        if opcode == Opcode.ENCODE and fields["flags"] & EncodeFlag.EACH_STEP:
            step = self._sample(scene, fields)
        # What a command has no use for must not matter.
        unused = {f.name: self.some(0, (1 << f.width) - 1) for f in FIELDS if f.name != "opcode"}
        used = {"right_depth": scene.parameters, **fields}
        return Instruction(opcode=opcode, **{**unused, **used}), step

    def flags(self) -> int:
        """Any, also those that there are not."""
        return int(self.random.integers(0, 1 << FLAG_BITS))

    def _population(self, scene: Scene, *, outputs: bool) -> dict[str, int]:
        return {
            "rows": scene.outputs if outputs else scene.inputs,
            "dest_base": scene.output_base if outputs else scene.input_base,
        }

    def _matrix(self, scene: Scene) -> dict[str, int]:
        return {"left_base": scene.weight_base, "left_inner": scene.weight_stride}

    def _reset(self, scene: Scene) -> dict[str, int]:
        outputs = self.random.random() < 0.5
        return {**self._population(scene, outputs=outputs), "flags": self.flags()}

    def _encode(self, scene: Scene) -> dict[str, int]:
        last = self.config.input_tiles - tiles(scene.inputs, self.lanes)
        return {
            **self._population(scene, outputs=False),
            "left_base": self.some(0, last),
            "left_inner": self.some(0, last),
            "gate": scene.input_list,
            "activation": self.some(0, max(Encoding)),
            "shift": self.some(0, 63) if self.random.random() < 0.3 else self.some(0, 15),
            "flags": self.flags(),
        }

    def _sample(self, scene: Scene, fields: dict[str, int]) -> int:
        """A time step whose sample is in the memory."""
        last = self.config.input_tiles - tiles(scene.inputs, self.lanes)
        batches = (last - fields["left_base"]) // max(fields["left_inner"], 1) + 1
        return self.some(0, batches * self.config.batch_lanes - 1)

    def _expand(self, scene: Scene) -> dict[str, int]:
        depth = self.some(0, 6)
        height = tiles(tiles(scene.inputs, self.lanes) * (depth + 1), self.lanes)
        columns = self.some(1, self.config.expansion_inputs)
        return {
            "rows": scene.inputs,
            "columns": columns,
            "depth": depth,
            "left_base": self.some(0, self.config.input_tiles - tiles(columns, self.lanes)),
            "dest_base": scene.vector_base,
            "leak_shift": scene.spacing,
            "dest_inner": self.some(0, self.config.weight_tiles - height),
            "gate": scene.input_list,
        }

    def _integrate(self, scene: Scene) -> dict[str, int]:
        # Neurons of the added list act as inputs of these numbers, more than once.
        added = scene.outputs <= scene.inputs and self.random.random() < 0.3
        return {
            **self._population(scene, outputs=True),
            **self._matrix(scene),
            "gate": scene.added_list if added else scene.input_list,
            "shift": self.some(0, 63) if self.random.random() < 0.2 else self.some(0, 8),
            "statistic": self.some(0, 63),
        }

    def _fire(self, scene: Scene) -> dict[str, int]:
        flags = self.flags()
        full = scene.added + scene.outputs > 3 * scene.outputs
        if full:
            flags &= ~FireFlag.APPEND
        appends = flags & FireFlag.APPEND
        into = full or appends
        return {
            **self._population(scene, outputs=True),
            "gate": scene.added_list if into else scene.output_list,
            "flags": flags,
        }

    def _climb(self, scene: Scene) -> dict[str, int]:
        return {
            **self._population(scene, outputs=True),
            "gate": scene.output_list,
            "left_base": self.some(0, self.config.target_tiles - 1),
        }

    def _plasticity(self, scene: Scene) -> dict[str, int]:
        flags = self.flags()
        by_row = flags & PlasticityFlag.BY_ROW
        population = scene.input_base if by_row else scene.output_base
        vector = {"right_base": population + Variable.TRACE, "leak_shift": 3}
        if by_row and self.random.random() < 0.4:
            vector = {"right_base": scene.vector_base, "leak_shift": scene.spacing}
        return {
            **self._population(scene, outputs=True),
            **self._matrix(scene),
            **vector,
            "columns": scene.inputs,
            "gate": scene.output_list if by_row else scene.input_list,
            "flags": flags,
        }

    def _scale(self, scene: Scene) -> dict[str, int]:
        return {
            **self._population(scene, outputs=True),
            **self._matrix(scene),
            "columns": scene.inputs,
            "gate": scene.output_list,
            "shift": self.some(0, MOST_SCALE_SHIFT),
            "flags": self.flags(),
        }

    # Memories

    def flat(self, region: Region) -> Image:
        return self.images[region].reshape(-1)

    async def load(self) -> None:
        """Write the golden images into the memories, all at the same time."""
        words = {name: self.flat(region) for region, name in HOSTED.items()}
        for address in range(max(map(len, words.values()))):
            for name, image in words.items():
                inside = address < len(image)
                getattr(self.dut, f"{name}_host__write_enable").value = int(inside)
                if inside:
                    getattr(self.dut, f"{name}_host__address").value = address
                    word = int(image[address]) & 0xFFFF
                    getattr(self.dut, f"{name}_host__write_data").value = word
            await cycle(self.dut)
        for name in words:
            getattr(self.dut, f"{name}_host__write_enable").value = 0

    async def write(self, region: Region, address: int, words: Any) -> None:
        """Write words, into the golden image too."""
        name = HOSTED[region]
        for place, word in enumerate(np.asarray(words).tolist(), start=address):
            self.flat(region)[place] = word
            getattr(self.dut, f"{name}_host__address").value = place
            getattr(self.dut, f"{name}_host__write_data").value = word & 0xFFFF
            getattr(self.dut, f"{name}_host__write_enable").value = 1
            await cycle(self.dut)
        getattr(self.dut, f"{name}_host__write_enable").value = 0

    async def read(self) -> dict[Region, Image]:
        """All words of STATE and EVENTS, and all rows of WEIGHT, at the same time."""
        assert SpikingUnit.HOST_LATENCY == TileMemory.READ_LATENCY
        latency, dut, lanes = SpikingUnit.HOST_LATENCY, self.dut, self.lanes
        seen = {region: np.zeros_like(self.images[region]) for region in WRITTEN}
        lane, weights = np.arange(lanes), seen[Region.WEIGHT]
        counts = {name: seen[region].size for region, name in WRITTEN.items()}
        counts["weight"] //= lanes
        dut.peek__enable.value = 1
        for now in range(max(counts.values()) + latency):
            for region in (Region.STATE, Region.EVENTS):
                name = HOSTED[region]
                if now < counts[name]:
                    getattr(dut, f"{name}_host__address").value = now
                if 0 <= now - latency < counts[name]:
                    word = int(getattr(dut, f"{name}_host__read_data").value)
                    seen[region].reshape(-1).view(np.uint16)[now - latency] = word
            if now < counts["weight"]:
                dut.peek__tile.value, dut.peek__index.value = divmod(now, lanes)
            if 0 <= now - latency < counts["weight"]:
                row = now - latency
                words = unpack(dut.peek__data.value, WORD_BITS, lanes)
                weights[row, (lane + row) % lanes] = words
            await cycle(dut)
        dut.peek__enable.value = 0
        return seen

    # Commands

    async def put_parameters(self, scene: Scene, opcode: Opcode) -> None:
        """Words of one kind, and some of another; decays are not positive."""
        words = np.where(
            self.random.random(PARAMETER_WORDS) < 0.7,
            self.noise(PARAMETER_WORDS),
            self.noise(PARAMETER_WORDS),
        )
        for place in DECAYS.get(opcode, ()):
            words[place] = min(words[place], -1 - words[place])
        await self.write(Region.STATE, scene.parameters * self.lanes, words)

    async def put_label(self, i: Instruction) -> None:
        tile = i.left_base + self.loader.front * self.config.target_tiles
        label = self.some(-1, i.rows)
        if self.random.random() < 0.5:
            population = self.images[Region.STATE][i.dest_base :]
            currents = population[Variable.CURRENT :: POPULATION_ROWS].reshape(-1)[: i.rows]
            label = int(currents.argmax())
        await self.write(Region.TARGET, tile * self.config.batch_lanes * self.lanes, [label])

    async def run(self, i: Instruction, step: int, *, limit: int = LIMIT) -> Counted | None:
        """Run a command; what it counts, None where it is still busy after `limit` cycles."""
        dut = self.dut
        counted = {"busy": 0, "samples": 0, "correct": 0, "saturations": 0}
        dut.instruction.value = pack(i.encode(), WORD_BITS)
        dut.step.value, dut.front.value = step, self.loader.front
        reports = 0
        for now in range(limit):
            dut.start.value = int(now == 0)
            await cycle(dut)
            counted["busy"] += int(dut.synapses.value)
            if int(dut.counted.value):
                counted["samples"] += int(dut.samples.value)
                counted["correct"] += int(dut.correct.value)
            if int(dut.report__valid.value):
                assert int(dut.report__statistic.value) == i.statistic
                counted["saturations"] += int(dut.report__amount.value)
                reports += 1
            if not int(dut.busy.value):
                assert now and reports <= 1
                return Counted(**counted)
        dut.start.value = 0
        return None

    async def check(self, i: Instruction, step: int) -> None:
        """Run a command on both, and compare all there is."""
        seen = await self.run(i, step)
        before = [self.images[region].copy() for region in WRITTEN]
        expected = self.golden.command(i, step)
        after = [self.images[region] for region in WRITTEN]
        same = all(np.array_equal(*pair) for pair in zip(before, after, strict=True))
        self.ran[i.opcode.name] += 1
        self.changed[i.opcode.name] += not same
        self.counted.update(expected._asdict())
        assert seen is not None, f"{i} in step {step} must end within {LIMIT} cycles"
        assert seen == expected, f"{i} in step {step}: {seen} must be {expected}"
        await self.compare(f"{i} in step {step}")

    async def compare(self, after: str) -> None:
        for region, image in (await self.read()).items():
            expected = self.images[region]
            wrong = np.argwhere(image != expected)
            if len(wrong):
                word, lane = wrong[0]
                raise AssertionError(
                    f"{len(wrong)} words of {region.name} are wrong, the first at row {word}, lane "
                    f"{lane}: {image[word, lane]} must be {expected[word, lane]}, after {after}"
                )
        states = unpack(self.dut.states.value, LFSR_BITS, self.lanes, signed=False)
        assert np.array_equal(states, self.randomness.state), f"LFSRs, after {after}"

    async def play(self, scene: Scene, opcode: Opcode) -> None:
        """Prepare and check a command of this kind."""
        if opcode in DECAYS or self.random.random() < 0.8:
            await self.put_parameters(scene, opcode)
        if self.random.random() < 0.2:
            # The other buffers come to the front.
            self.loader.release()
        if opcode in (Opcode.INTEGRATE, Opcode.PLASTICITY) and self.random.random() < 0.4:
            await self.write(Region.EVENTS, scene.input_list, self.listed(scene.inputs))
        i, step = self.command(scene, opcode)
        if opcode == Opcode.CLIMB:
            await self.put_label(i)
        await self.check(i, step)
        if opcode == Opcode.FIRE and i.gate == scene.added_list:
            scene.added = int(self.flat(Region.EVENTS)[scene.added_list])

    @property
    def opcodes(self) -> list[Opcode]:
        """The commands of this configuration."""
        left_out = {Opcode.RESPOND}
        if not self.config.expansion_inputs:
            left_out.add(Opcode.EXPAND)
        return [opcode for opcode in SPIKING_OPCODES if opcode not in left_out]


@cocotb.test(timeout_time=1, timeout_unit="sec")
async def every_command(dut: Any) -> None:
    """Each kind of command, in an order in which each has something to do."""
    bench = Bench(dut)
    await bench.begin()
    scene = bench.scene()
    await bench.load()
    await bench.compare("loading")
    for opcode in bench.opcodes:
        await bench.play(scene, opcode)


@cocotb.test(timeout_time=1, timeout_unit="sec")
async def random_commands(dut: Any) -> None:
    bench = Bench(dut)
    await bench.begin()
    for _ in range(bench.scenes):
        scene = bench.scene()
        await bench.load()
        for _ in range(bench.commands):
            await bench.play(scene, Opcode(int(bench.random.choice(bench.opcodes))))
    cocotb.log.info("ran %s, of which changed something %s", bench.ran, bench.changed)
    cocotb.log.info("counted %s", bench.counted)
    # Of each kind at least a quarter has something to do, and all that is counted occurs.
    assert all(4 * bench.changed[o.name] >= bench.ran[o.name] > 0 for o in bench.opcodes)
    assert all(bench.counted[name] for name in Counted._fields)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def left_out_command(dut: Any) -> None:
    """It does nothing but load its parameters, which takes no longer than it must."""
    bench = Bench(dut)
    await bench.begin()
    overhead = tiles(PARAMETER_WORDS, bench.lanes) + SpikingUnit.OVERHEAD
    codes = [code for code in Opcode if code not in bench.opcodes]
    for code in codes:
        busy = 0
        dut.instruction.value = pack(Instruction(opcode=code).encode(), WORD_BITS)
        dut.start.value = 1
        await cycle(dut)
        dut.start.value = 0
        while int(dut.busy.value):
            busy += 1
            await cycle(dut)
        assert busy == overhead


@cocotb.test(timeout_time=1, timeout_unit="sec")
async def reset_in_mid_command(dut: Any) -> None:
    """What the memories hold then is what the next commands work on."""
    bench = Bench(dut)
    await bench.begin()
    for opcode in bench.opcodes:
        scene = bench.scene()
        await bench.load()
        i, step = bench.command(scene, opcode)
        await bench.run(i, step, limit=bench.some(1, 60))
        await reset(bench.dut, 1)
        for region, image in (await bench.read()).items():
            bench.images[region][:] = image
        bench.randomness.state = bench.seeds()
        await bench.compare("a reset")
        for again in (opcode, Opcode.RESET, Opcode.FIRE):
            await bench.play(scene, again)
