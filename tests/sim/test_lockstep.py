"""Gateware equals golden after every command of programs drawn at random, on every configuration.

Each program first trains a batch in single steps and is compared after every command in every
word that it uses; then it runs freely, where commands overlap, on whole and ragged batches. Every
LFSR and counter is compared with it, and at the end every word of every memory.
"""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from host.compiler import Compiled, CompileError, compile_network, write_registers
from host.data.samples import Samples
from host.devices.device import Device, open_device
from host.devices.golden_device import GoldenDevice
from host.network import Formats, Network, Neuron, Rule
from host.program import Mode
from hw.config import DeviceConfig, region_words
from hw.configurations import CONFIGURATIONS
from hw.isa import Activation, Loss, Region
from hw.numbers import Format
from sim.compare import Every, Lockstep

PROGRAMS = {
    **{"ecp5-8x8": 12, "ecp5-8x8-full": 12, "ecp5-16x8": 8, "ecp5-8x8-spiking": 8},
    **{"up5k-4x2": 193, "up5k-4x2-spram": 8},
}
"""Programs drawn for each of the named configurations: most where memories are quick to read."""
ON_DEMAND = ("ecp5-8x8-full", "ecp5-16x8", "ecp5-8x8-spiking", "up5k-4x2-spram")
"""Those that take long to build, and have the units of the others in other numbers or sizes."""
EVERYTHING = 10
"""Programs after which also what they do not use is compared."""

pytestmark = pytest.mark.simulator


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=pytest.mark.demand if name in ON_DEMAND else ())
        for name in PROGRAMS
    ],
)
def devices(request: pytest.FixtureRequest) -> Iterator[tuple[Device, Device]]:
    config = CONFIGURATIONS[request.param]
    with open_device("sim", config) as simulated:
        yield GoldenDevice(config), simulated


def formats(fractions: st.SearchStrategy[int]) -> st.SearchStrategy[Format]:
    return fractions.map(lambda fraction: Format(15 - fraction, fraction))


@st.composite
def neurons(draw: st.DrawFn) -> Neuron:
    """Of few steps and of the most; a threshold from an LSB to one that few currents reach."""
    return Neuron(
        steps=draw(st.one_of(st.integers(1, 30), st.just(255))),
        leak_shift=draw(st.integers(0, 15)),
        threshold=2.0 ** draw(st.floats(-8, 1.9)),
    )


@st.composite
def networks(draw: st.DrawFn, config: DeviceConfig) -> Network:
    """A network that is likely to fit: fewer units where the device has less memory."""
    largest = 70 if config.lanes > 4 or config.weights_in_spram else 18
    # Most layers are a few tiles wide: what they hold is compared after every command.
    size = st.one_of(st.integers(1, 18), st.integers(1, largest))
    sizes = draw(st.lists(size, min_size=2, max_size=5))
    kinds = [Activation.LINEAR, Activation.RELU, Activation.LEAKY_RELU]
    kinds += [Activation.SIGMOID, Activation.TANH] * config.sigmoid
    kinds += [Activation.SURROGATE] * config.spiking
    hidden = [draw(st.sampled_from(kinds)) for _ in sizes[1:-1]]
    spiking = [draw(neurons()) if kind == Activation.SURROGATE else None for kind in hidden]
    classes = sizes[-1] > 1
    cross_entropy = config.cross_entropy and classes and draw(st.booleans())
    # Of two networks one learns with all its layers.
    flags = st.lists(st.booleans(), min_size=len(hidden) + 1, max_size=len(hidden) + 1)
    frozen = draw(st.one_of(st.just([]), flags.filter(lambda still: not all(still))))
    # Of two hidden layers one drops outputs, where it can.
    rates = st.one_of(st.just(0), st.integers(1, 255))
    can = [config.dropout and kind != Activation.SURROGATE for kind in hidden]
    dropout = [draw(rates) / 256 if able else 0.0 for able in can]
    return Network(
        sizes=tuple(sizes),
        activations=(*hidden, Activation.LINEAR),
        neurons=(*spiking, None),
        leak_shift=draw(st.integers(1, 15)),
        loss=Loss.CROSS_ENTROPY if cross_entropy else Loss.MEAN_SQUARED_ERROR,
        class_target=cross_entropy or (classes and draw(st.booleans())),
        frozen=tuple(frozen),
        dropout=(*dropout, 0.0),
        formats=Formats(
            input=draw(formats(st.integers(8, 12))),
            activation=draw(formats(st.integers(8, 11))),
            current=draw(formats(st.integers(9, 12))),
            output=None if cross_entropy else draw(formats(st.integers(8, 10))),
            weight=draw(formats(st.integers(11, 13))),
            delta=draw(formats(st.integers(10, 14))),
            momentum=draw(formats(st.integers(11, 12))),
        ),
    )


Drawn = tuple[Compiled, int, int, int]
"""A program, the sizes of its batches, and how many samples of an update are sent at once."""


@st.composite
def compiled(draw: st.DrawFn, config: DeviceConfig) -> Drawn:
    network = draw(networks(config))
    most = 40 if config.lanes > 4 else 12
    batch = draw(st.integers(1, most))
    ragged = draw(st.integers(1, batch))
    # Gradients of one batch in two are accumulated, and so are clipped those of one in two.
    some = st.one_of(st.just(batch), st.integers(max(1, batch // 5), batch))
    at_once = draw(some) if config.accumulation else batch
    clips = config.accumulation and draw(st.booleans())
    rule = Rule(
        rate=2.0 ** -draw(st.integers(2, 9)),
        momentum=draw(st.sampled_from([0.0, 0.5, 0.9])) * config.momentum,
        decay=draw(st.sampled_from([0.0, 0.0, 1e-3, 0.1])),
        clip_norm=2.0 ** draw(st.floats(-6, 2.9)) if clips else None,
    )
    modes = {"train": [batch, ragged], "evaluate": [ragged], "predict": [batch]}
    try:
        program = compile_network(network, rule, config=config, at_once=at_once, **modes)
        return program, batch, ragged, at_once
    except CompileError:
        assume(False)
        raise


def encode(program: Compiled, rng: np.random.Generator, samples: int, targets: bool) -> Samples:
    network = program.network
    inputs = rng.uniform(-4, 4, (samples, network.sizes[0]))
    if not targets:
        return program.encode(inputs)
    if network.class_target:
        return program.encode(inputs, rng.integers(0, network.sizes[-1], samples))
    return program.encode(inputs, rng.uniform(-4, 4, (samples, network.sizes[-1])))


def run(
    pair: Lockstep,
    program: Compiled,
    rng: np.random.Generator,
    mode: Mode,
    batch: int,
    rounds: int,
    at_once: int | None = None,
) -> None:
    samples = encode(program, rng, batch * rounds, targets=mode is not Mode.PREDICT)
    write_registers(pair, samples.registers)
    pair.run(program.entry(mode, batch), rounds)
    for start in range(0, batch * rounds, batch):
        end = start + batch
        for first in range(start, end, at_once or batch):
            pair.stream(samples.batch(first, min(first + (at_once or batch), end)))
    pair.wait()


@pytest.mark.long
def test_random_programs(devices: tuple[Device, Device]) -> None:
    golden, simulated = devices
    config = golden.config
    ran = 0

    @settings(
        max_examples=PROGRAMS[config.name],
        deadline=None,
        derandomize=True,
        database=None,
        # What a divergence leaves in the devices makes later programs fail too: show the first.
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(drawn=compiled(config), seed=st.integers(0, 2**32 - 1))
    def lockstep(drawn: Drawn, seed: int) -> None:
        nonlocal ran
        program, batch, ragged, at_once = drawn
        rng = np.random.default_rng(seed)
        pair = Lockstep(
            golden,
            simulated,
            every=Every.COMMAND,
            locate=program.memory.locate,
            extents=program.memory.extents(),
        )
        scale = 2.0 ** rng.uniform(-2, 1)
        weights = [rng.normal(0, scale, shape) for shape in program.network.weight_shapes]
        limit = program.network.formats.weight.maximum
        program.load(pair, program.encode_weights(np.clip(w, -limit, limit) for w in weights))
        run(pair, program, rng, Mode.TRAIN, batch, 1, at_once)
        pair.every = Every.PROGRAM
        run(pair, program, rng, Mode.TRAIN, batch, 3, at_once)
        run(pair, program, rng, Mode.TRAIN, ragged, 1, at_once)
        run(pair, program, rng, Mode.EVALUATE, ragged, 2)
        run(pair, program, rng, Mode.PREDICT, batch, 1)
        ran += 1
        if ran % EVERYTHING == 0:
            pair.check("many programs")

    lockstep()
    Lockstep(golden, simulated).check("all programs")
    assert ran >= PROGRAMS[config.name], "too many of the programs drawn did not fit the device"


def test_a_ragged_tile_drains_beside_the_next_command(devices: tuple[Device, Device]) -> None:
    """A command of one column retires long before the array has drained the columns it has not."""
    golden, simulated = devices
    network = Network(
        sizes=(5, 17, 7),
        activations=(Activation.RELU, Activation.LINEAR),
        loss=Loss.MEAN_SQUARED_ERROR,
        class_target=True,
    )
    batch = golden.config.batch_lanes + 1
    program = compile_network(network, Rule(rate=2**-5), config=golden.config, train=[batch])
    rng = np.random.default_rng(1)
    pair = Lockstep(golden, simulated, every=Every.PROGRAM, locate=program.memory.locate)
    weights = [rng.normal(0, 1, shape) for shape in network.weight_shapes]
    program.load(pair, program.encode_weights(np.clip(w, -4, 4) for w in weights))
    run(pair, program, rng, Mode.TRAIN, batch, 3)
    pair.check("three batches")


def test_weights_fill_the_large_memories() -> None:
    """Tiles of weights at 3812 of 4096 places, and deltas in all of theirs."""
    config = CONFIGURATIONS["up5k-4x2-spram"]
    network = Network(
        sizes=(120, 120, 120, 120, 104, 32),
        activations=(*[Activation.RELU] * 4, Activation.LINEAR),
        loss=Loss.MEAN_SQUARED_ERROR,
        class_target=True,
    )
    program = compile_network(network, Rule(rate=2**-4), config=config, train=[2])
    rng = np.random.default_rng(2)
    with open_device("sim", config) as simulated:
        golden = GoldenDevice(config)
        pair = Lockstep(golden, simulated, every=Every.COMMAND, locate=program.memory.locate)
        scales = [2 / np.sqrt(inputs) for inputs in network.sizes]
        weights = [
            rng.normal(0, scale, shape)
            for scale, shape in zip(scales, network.weight_shapes, strict=False)
        ]
        program.load(pair, program.encode_weights(weights))
        loaded = golden.read(Region.WEIGHT, 0, region_words(config)[Region.WEIGHT])
        run(pair, program, rng, Mode.TRAIN, 2, 1)
        learned = golden.read(Region.WEIGHT, 0, len(loaded))
    tiles = np.flatnonzero(learned != loaded) // config.lanes**2
    assert (tiles[0], tiles[-1]) == (0, 3811)
