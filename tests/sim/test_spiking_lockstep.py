"""Gateware equals golden in spiking programs drawn at random, on every configuration with spikes.

A program mixes encodings, rules, bounds and parameters. First every command is compared, then
whole programs of many time steps; at the end all words of all memories.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from host.compiler import write_registers
from host.devices.device import Device, open_device
from host.devices.golden_device import GoldenDevice
from hw.config import DeviceConfig, offered_opcodes, region_words
from hw.configurations import CONFIGURATIONS
from hw.isa import Instruction, Opcode, Region, Register, SampleFormat
from hw.layout import tiles
from hw.spiking import (
    PARAMETER_WORDS,
    POPULATION_ROWS,
    EncodeFlag,
    EncoderParameter,
    Encoding,
    FireFlag,
    NeuronParameter,
    PlasticityFlag,
    ScaleFlag,
    SynapseParameter,
    Variable,
)
from sim.compare import Every, Lockstep

PROGRAMS = {
    "ecp5-8-spiking": 110,
    "gw2a-4-spiking": 100,
    "up5k-2-spiking": 60,
    "ecp5-8x8-spiking": 12,
}
"""Programs drawn for each configuration."""
EVERYTHING = 10
"""Programs after which also what they do not use is compared."""
MOST_STEPS = 64
BLOCKS = 5
"""Blocks of parameters: of the encoder, the neurons, two of synapses, and the climbing fibres."""

pytestmark = pytest.mark.simulator


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=pytest.mark.demand if name == "ecp5-8x8-spiking" else ())
        for name in PROGRAMS
    ],
)
def devices(request: pytest.FixtureRequest) -> Iterator[tuple[Device, Device]]:
    config = CONFIGURATIONS[request.param]
    with open_device("sim", config) as simulated:
        yield GoldenDevice(config), simulated


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A program's sizes, and its instructions in one time step and after the last."""

    inputs: int
    neurons: int
    cells: int
    fan_in: int
    steps: int
    each_step: bool
    in_step: tuple[Instruction, ...]
    after: tuple[Instruction, ...]
    seed: int
    wide: bool
    """Whether parameters and weights are any words, or such as a network would have."""


class Places:
    """Where things lie: one thing behind the other in each memory."""

    def __init__(self, config: DeviceConfig, inputs: int, neurons: int, cells: int, fan_in: int):
        lanes = config.lanes
        self.block_rows = tiles(PARAMETER_WORDS, lanes)
        self.populations = [BLOCKS * self.block_rows]
        for size in (inputs, neurons):
            self.populations.append(
                self.populations[-1] + tiles(size, lanes) * POPULATION_ROWS
            )
        self.vector = self.populations.pop()
        self.state_rows = self.vector + tiles(cells, lanes)
        self.lists = [0, 1 + inputs, 2 + inputs + neurons]
        self.event_words = self.lists[-1] + 1 + cells
        self.stride = tiles(max(inputs, cells), lanes)
        self.table = self.stride * tiles(neurons, lanes)
        self.weight_tiles = self.table + tiles(tiles(cells, lanes) * (fan_in + 1), lanes)

    def fit(self, config: DeviceConfig) -> bool:
        """Whether a device has room for them."""
        return (
            self.state_rows <= config.state_rows
            and self.event_words <= config.event_words
            and self.weight_tiles <= config.weight_tiles
        )


def flags(*names: int) -> st.SearchStrategy[int]:
    """Any of these bits."""
    return st.sets(st.sampled_from(names)).map(sum)


def plasticity(draw: st.DrawFn, *, by_row: bool) -> int:
    """Flags of a rule."""
    chosen = draw(flags(PlasticityFlag.DIFFERENCE, PlasticityFlag.OWN_COEFFICIENT))
    chosen |= draw(
        st.sampled_from((0, PlasticityFlag.TO_UPPER, PlasticityFlag.TO_LOWER))
    )
    return chosen | PlasticityFlag.BY_ROW if by_row else chosen


@st.composite
def programs(draw: st.DrawFn, config: DeviceConfig) -> Drawn:
    """A program that fits the configuration."""
    most = min(70 if config.weight_tiles > 300 else 50, config.input_tiles * config.lanes)
    size = st.one_of(st.integers(1, 18), st.integers(1, most))
    inputs, neurons = draw(size), draw(size)
    granules = bool(config.expansion_inputs) and draw(st.booleans())
    cells, fan_in = (draw(size), draw(st.integers(1, 6))) if granules else (1, 1)
    p = Places(config, inputs, neurons, cells, fan_in)
    while not p.fit(config):
        neurons = max(1, neurons // 2)
        cells = max(1, cells // 2)
        p = Places(config, inputs, neurons, cells, fan_in)
    block = [k * p.block_rows for k in range(BLOCKS)]
    trace = {"leak_shift": 3}
    weights = {"left_base": 0, "left_inner": p.stride}
    matrix = {**weights, "rows": neurons, "columns": inputs}
    encode = Instruction(
        opcode=Opcode.ENCODE,
        activation=draw(st.sampled_from(Encoding)),
        shift=draw(st.integers(0, 15)),
        flags=draw(flags(EncodeFlag.EACH_STEP, EncodeFlag.SET_TRACE)),
        rows=inputs,
        left_inner=tiles(inputs, config.lanes),
        right_depth=block[0],
        dest_base=p.populations[0],
        gate=p.lists[0],
    )
    depress = Instruction(
        opcode=Opcode.PLASTICITY,
        flags=plasticity(draw, by_row=False),
        right_base=p.populations[1] + Variable.TRACE,
        right_depth=block[2],
        dest_base=p.populations[1],
        gate=p.lists[0],
        **trace,
        **matrix,
    )
    integrate = Instruction(
        opcode=Opcode.INTEGRATE,
        shift=draw(st.integers(0, 8)),
        statistic=draw(st.integers(0, 63)),
        rows=neurons,
        dest_base=p.populations[1],
        gate=p.lists[0],
        **weights,
    )
    fire = Instruction(
        opcode=Opcode.FIRE,
        flags=draw(flags(*FireFlag)) & ~FireFlag.APPEND,
        rows=neurons,
        right_depth=block[1],
        dest_base=p.populations[1],
        gate=p.lists[1],
    )
    potentiate = Instruction(
        opcode=Opcode.PLASTICITY,
        flags=plasticity(draw, by_row=True),
        right_base=p.populations[0] + Variable.TRACE,
        right_depth=block[3],
        dest_base=p.populations[1],
        gate=p.lists[1],
        **trace,
        **matrix,
    )
    scale = Instruction(
        opcode=Opcode.SCALE,
        flags=draw(flags(*ScaleFlag)),
        shift=draw(st.integers(0, 6)),
        right_depth=block[3],
        gate=p.lists[1],
        **matrix,
    )
    reset = Instruction(
        opcode=Opcode.RESET,
        flags=draw(flags(*(1 << variable for variable in Variable))),
        rows=neurons,
        dest_base=p.populations[1],
    )
    step = [encode, depress, integrate, fire, potentiate]
    in_step = tuple(i for i in step if i is encode or draw(st.integers(0, 4)))
    after = [scale, reset]
    if granules:
        readout = {"rows": neurons, **weights}
        after += [
            Instruction(
                opcode=Opcode.EXPAND,
                rows=cells,
                columns=inputs,
                depth=fan_in,
                dest_inner=p.table,
                dest_base=p.vector,
                gate=p.lists[2],
            ),
            replace(integrate, gate=p.lists[2], **readout),
        ]
    after.append(
        Instruction(
            opcode=Opcode.CLIMB,
            rows=neurons,
            right_depth=block[4],
            dest_base=p.populations[1],
            gate=p.lists[1],
        )
    )
    if granules:
        after.append(
            Instruction(
                opcode=Opcode.PLASTICITY,
                flags=PlasticityFlag.BY_ROW | PlasticityFlag.OWN_COEFFICIENT,
                rows=neurons,
                columns=cells,
                right_base=p.vector,
                right_depth=block[3],
                dest_base=p.populations[1],
                gate=p.lists[1],
                **weights,
            )
        )
    after = [i for i in after if i.opcode in offered_opcodes(config)]
    each_step = bool(encode.flags & EncodeFlag.EACH_STEP)
    held = min(config.input_tiles // tiles(inputs, config.lanes), config.target_tiles)
    held *= config.batch_lanes
    limit = min(held, MOST_STEPS) if each_step else MOST_STEPS
    return Drawn(
        inputs=inputs,
        neurons=neurons,
        cells=cells,
        fan_in=fan_in,
        steps=draw(st.one_of(st.integers(1, min(6, limit)), st.integers(1, limit))),
        each_step=each_step,
        in_step=in_step,
        after=tuple(i for i in after if draw(st.integers(0, 4))),
        seed=draw(st.integers(0, 2**32 - 1)),
        wide=draw(st.booleans()),
    )


def instructions(drawn: Drawn, steps: int) -> list[Instruction]:
    """The whole program."""
    samples = drawn.steps if drawn.each_step else 1
    return [
        Instruction(opcode=Opcode.ACQUIRE, columns=samples),
        *drawn.in_step,
        Instruction(opcode=Opcode.REPEAT, rows=1, columns=steps),
        *drawn.after,
        Instruction(opcode=Opcode.RELEASE),
        Instruction(opcode=Opcode.LOOP, rows=0),
        Instruction(opcode=Opcode.END),
    ]


def parameters(drawn: Drawn, rng: np.random.Generator) -> np.ndarray:
    """The blocks of parameters."""
    blocks = rng.integers(-32768, 32768, (BLOCKS, PARAMETER_WORDS))
    encoder, neuron, *synapses, _ = blocks
    encoder[EncoderParameter.LAST_STEP] = rng.integers(0, drawn.steps + 1)
    for block, decays in (
        (encoder, (EncoderParameter.TRACE_DECAY,)),
        (neuron, [p for p in NeuronParameter if p.name.endswith(("DECAY", "LEAK"))]),
    ):
        for decay in decays:
            block[decay] = -rng.integers(0, 32769)
    if not drawn.wide:
        encoder[EncoderParameter.GAIN] = rng.integers(1, 2000)
        encoder[EncoderParameter.TRACE_INCREMENT] = rng.integers(1, 5000)
        for p in NeuronParameter:
            if not p.name.endswith(("DECAY", "LEAK")):
                neuron[p] = rng.integers(0, 3000)
        neuron[NeuronParameter.REFRACTORY] = rng.integers(0, 4)
    for block in synapses:
        low, high = sorted(rng.integers(-32768, 32768, 2))
        if not drawn.wide:
            low, high = 0, 4096
            block[SynapseParameter.COEFFICIENT] = rng.integers(-3000, 3000)
        block[SynapseParameter.LOWER], block[SynapseParameter.UPPER] = low, high
        block[SynapseParameter.NORM] = rng.integers(0, 32768)
    return blocks.astype(np.int16)


def load(pair: Lockstep, drawn: Drawn, rng: np.random.Generator) -> None:
    """Weights, granule cells, parameters and an empty state."""
    config = pair.config
    lanes = config.lanes
    p = Places(config, drawn.inputs, drawn.neurons, drawn.cells, drawn.fan_in)
    low, high = (-32768, 32768) if drawn.wide else (0, 4096)
    weights = rng.integers(low, high, p.weight_tiles * lanes * lanes)
    table = np.zeros((tiles(drawn.cells, lanes), drawn.fan_in + 1, lanes), np.int64)
    table[:, :-1] = rng.integers(0, 2 * drawn.inputs, table[:, :-1].shape)
    table[:, -1] = rng.integers(-2000, 2000, table[:, -1].shape)
    rows = table.reshape(-1, lanes)
    # Row q of a table of tiles is rotated by its place in its tile.
    skewed = np.stack([np.roll(row, q % lanes) for q, row in enumerate(rows)])
    start = p.table * lanes * lanes
    weights[start : start + skewed.size] = skewed.reshape(-1)
    pair.write(Region.WEIGHT, 0, weights.astype(np.int16))
    state = np.zeros((p.state_rows, lanes), np.int16)
    for k, block in enumerate(parameters(drawn, rng)):
        rows = np.zeros(p.block_rows * lanes, np.int16)
        rows[:PARAMETER_WORDS] = block
        state[k * p.block_rows : (k + 1) * p.block_rows] = rows.reshape(-1, lanes)
    if drawn.wide:
        filled = state[BLOCKS * p.block_rows :]
        filled[:] = rng.integers(-32768, 32768, filled.shape)
    pair.write(Region.STATE, 0, state.reshape(-1))
    pair.write(Region.EVENTS, 0, np.zeros(p.event_words, np.uint16))
    pair.extents = dict.fromkeys(region_words(config), 0) | {
        Region.WEIGHT: weights.size,
        Region.STATE: state.size,
        Region.EVENTS: p.event_words,
    }


def run(pair: Lockstep, drawn: Drawn, rng: np.random.Generator, steps: int, rounds: int) -> None:
    """Run the program on random samples."""
    config = pair.config
    program = instructions(drawn, steps)
    words = np.array([i.encode() for i in program], np.uint16)
    pair.write(Region.PROGRAM, 0, words.reshape(-1))
    wide = 1 << SampleFormat.WIDE_INPUT
    write_registers(
        pair,
        {
            Register.FEATURES: drawn.inputs,
            Register.TARGETS: 1,
            Register.SAMPLE_FORMAT: wide,
            Register.INPUT_STRIDE: tiles(drawn.inputs, config.lanes),
            Register.TARGET_STRIDE: 1,
        },
    )
    samples = drawn.steps if drawn.each_step else 1
    pair.run(0, rounds)
    for _ in range(rounds):
        low = -32768 if drawn.wide else -200
        inputs = rng.integers(low, 32768 if drawn.wide else 4096, (samples, drawn.inputs))
        labels = rng.integers(0, drawn.neurons, (samples, 1)).astype(np.uint8)
        rows = np.concatenate([inputs.astype("<i2").view(np.uint8), labels], axis=1)
        pair.stream(rows.tobytes())
    pair.wait()


@pytest.mark.long
def test_random_spiking_programs(devices: tuple[Device, Device]) -> None:
    golden, simulated = devices
    config = golden.config
    ran = 0

    @settings(
        max_examples=PROGRAMS[config.name],
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(drawn=programs(config))
    def lockstep(drawn: Drawn) -> None:
        nonlocal ran
        rng = np.random.default_rng(drawn.seed)
        pair = Lockstep(golden, simulated, every=Every.COMMAND)
        load(pair, drawn, rng)
        run(pair, drawn, rng, min(drawn.steps, 3), 1)
        pair.every = Every.PROGRAM
        run(pair, drawn, rng, drawn.steps, 2)
        ran += 1
        if ran % EVERYTHING == 0:
            pair.check("many programs")

    lockstep()
    Lockstep(golden, simulated).check("all programs")
    assert ran >= PROGRAMS[config.name]
