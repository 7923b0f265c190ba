"""Dropout on the device: masks are the LFSRs', behave like chance, and the gateware has the same.

A first layer with no weights but a bias of 1, which does not learn, has outputs of 1, so that after
a batch ACTIVATION shows what was dropped of each sample.
"""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_iris

from host.compiler import Compiled, compile_network, write_registers
from host.devices.device import open_device
from host.devices.golden_device import GoldenDevice
from host.layers import Dense, build_network
from host.network import Network, Rule
from host.plan import make_plan
from host.program import Mode
from host.trainer import Trainer
from host.training.rules import SGD
from hw.configurations import configuration
from hw.isa import Activation, DropoutFlag, Opcode, Region
from hw.numbers import LFSR_LEAP, lfsr_step
from sim.compare import Every, Lockstep

CONFIG = configuration("ecp5-8x8")
UNITS = 63
SAMPLES = 224
SIGMAS = 5


def shown(p: float, samples: int, activation: Activation = Activation.LINEAR) -> Compiled:
    """A network whose hidden outputs are all 1 where they are kept."""
    network = Network(
        sizes=(1, UNITS, 2),
        activations=(activation, Activation.LINEAR),
        frozen=(True, False),
        dropout=(p, 0.0),
    )
    return compile_network(network, Rule(rate=2**-6), config=CONFIG, train=[samples])


def batches(
    program: Compiled, samples: int, count: int, seed: int = 1
) -> Iterator[tuple[GoldenDevice, NDArray[np.int16]]]:
    """The device and the hidden words after each of some batches."""
    weights = [np.zeros(shape) for shape in program.network.weight_shapes]
    weights[0][:, -1] = 1
    encoded = program.encode(np.zeros((samples, 1)), np.zeros(samples, int))
    with GoldenDevice(CONFIG) as device:
        program.load(device, program.encode_weights(weights))
        write_registers(device, encoded.registers)
        states = np.random.default_rng(seed).integers(1, 1 << 16, 2 * CONFIG.lanes)
        device.write(Region.LFSR, 0, states.astype(np.uint16))
        for _ in range(count):
            device.run(program.entry(Mode.TRAIN, samples))
            device.stream(encoded.batch(0, samples))
            device.wait()
            yield device, program.memory.activations[0].read(device)[:, :-1]


def leapt(state: int, leaps: int) -> int:
    for _ in range(leaps * LFSR_LEAP):
        state = lfsr_step(state)
    return state


@pytest.mark.parametrize(("samples", "p"), [(3, 0.5), (21, 0.3), (8, 1 / 256), (9, 255 / 256)])
def test_masks_are_those_of_the_lfsrs(samples: int, p: float) -> None:
    """Lane by lane, in the order of batch tiles, of tiles of units, of samples in a tile."""
    program = shown(p, samples)
    seeds = np.random.default_rng(1).integers(1, 1 << 16, 2 * CONFIG.lanes).astype(np.uint16)
    state = [int(s) for s in seeds.view(np.uint32)]
    lanes, batch_lanes = CONFIG.lanes, CONFIG.batch_lanes
    expected = np.zeros((samples, UNITS), bool)
    drawn = 0
    for first in range(0, samples, batch_lanes):
        for tile in range(0, UNITS, lanes):
            for sample in range(first, min(first + batch_lanes, samples)):
                for lane in range(min(lanes, UNITS - tile)):
                    byte = leapt(state[lane], drawn) & 255
                    expected[sample, tile + lane] = byte < round(p * 256)
                drawn += 1
    ((_, words),) = batches(program, samples, 1)
    assert np.array_equal(words == 0, expected)
    assert set(np.unique(words).tolist()) <= {0, 512}


@pytest.mark.parametrize("p", [1 / 256, 0.25, 0.5, 0.8])
def test_masks_behave_like_chance(p: float) -> None:
    """Their mean, and how units, tiles of units and samples go together: all within 5 sigma."""
    p = round(p * 256) / 256
    program = shown(p, SAMPLES)
    found = np.stack([words == 0 for _, words in batches(program, SAMPLES, 12)])
    dropped = found - p
    count, variance = found.size, p * (1 - p)
    assert abs(dropped.mean()) < SIGMAS * np.sqrt(variance / count)
    # Samples of a tile follow one another; then come the next 8 units of the same samples.
    shifts = [(0, 0, k) for k in range(1, 17)] + [(0, k, 0) for k in range(1, 18)]
    shifts += [(0, 8, 8), (0, 1, 1), (1, 0, 0)]
    for batch, sample, unit in shifts:
        left = dropped[batch:, sample:, unit:]
        right = dropped[: len(left), : left.shape[1], : left.shape[2]]
        correlation = (left * right).mean() / variance
        assert abs(correlation) < SIGMAS / np.sqrt(left.size), (batch, sample, unit)


def test_a_seed_repeats_the_masks() -> None:
    program = shown(0.5, 40)
    first, again, other = (
        [words for _, words in batches(program, 40, 3, seed)] for seed in (4, 4, 5)
    )
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert not np.array_equal(first[0], first[1])


def test_what_is_dropped_teaches_nothing() -> None:
    """No weight that leads from a dropped output moves, and no delta goes back to it."""
    network = Network(
        sizes=(3, 20, 2),
        activations=(Activation.TANH, Activation.LINEAR),
        dropout=(0.5, 0.0),
    )
    program = compile_network(network, Rule(rate=2**-6, momentum=0.5), config=CONFIG, train=[1])
    rng = np.random.default_rng(2)
    weights = program.encode_weights(rng.normal(0, 0.5, s) for s in network.weight_shapes)
    encoded = program.encode(rng.uniform(-1, 1, (1, 3)), [1])
    with GoldenDevice(CONFIG) as device:
        program.load(device, weights)
        write_registers(device, encoded.registers)
        device.run(program.entry(Mode.TRAIN, 1))
        device.stream(encoded.batch(0, 1))
        device.wait()
        words = program.memory.activations[0].read(device)[0, :-1]
        deltas = program.memory.deltas[0].read(device)[0]
        # A gradient of 0 leaves momentum at 0 or, rounded at random, at no more than that.
        first, second = (tensor.read(device) for tensor in program.memory.momentum)
    dropped = words == 0
    assert 3 <= dropped.sum() <= 17
    assert not deltas[dropped].any() and deltas[~dropped].all()
    assert not first[dropped].any() and first[~dropped].any(axis=1).all()
    assert not second[:, :-1][:, dropped].any() and second[:, :-1][:, ~dropped].any()


def test_only_training_drops() -> None:
    """Other programs scale, and draw nothing."""
    network = build_network(
        4, [Dense(5, "relu", dropout=0.25), Dense(3)], loss="cross_entropy", classes=True
    )
    program = compile_network(
        network, Rule(rate=0.1), config=CONFIG, train=[9], evaluate=[9], predict=[9]
    )
    flags = {}
    for mode in Mode:
        start = program.entry(mode, 9)
        rest = program.instructions[start:]
        end = next(k for k, i in enumerate(rest) if i.opcode == Opcode.END)
        hidden = [i for i in rest[:end] if i.rows == 5]
        flags[mode] = {(i.opcode, i.flags, i.gate * (i.opcode == Opcode.FORWARD)) for i in hidden}
    drop, scale = 1 << DropoutFlag.DROP, 1 << DropoutFlag.SCALE
    scaled = {(Opcode.FORWARD, scale, 64)}
    assert flags[Mode.EVALUATE] == flags[Mode.PREDICT] == scaled
    assert flags[Mode.TRAIN] == {
        (Opcode.FORWARD, drop, 64),
        (Opcode.BACKWARD, drop, 0),
        (Opcode.GRADIENT, 0, 0),
    }


@pytest.mark.simulator
def test_a_run_on_iris_in_gateware() -> None:
    """Every word that the network uses, LFSRs and counters, after every program of three epochs."""
    x, y = load_iris(return_X_y=True)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    layers = [Dense(20, "relu", dropout=0.5), Dense(12, "tanh", dropout=0.2), Dense(3)]
    network = build_network(4, layers, loss="cross_entropy", classes=True)
    plan = make_plan(
        network, SGD(2**-4), CONFIG, (x, y), (x[::5], y[::5]), epochs=3, batch_size=32
    )
    memory = plan.compiled.memory
    with open_device("sim", CONFIG) as simulated:
        pair = Lockstep(
            GoldenDevice(CONFIG),
            simulated,
            every=Every.PROGRAM,
            locate=memory.locate,
            extents=memory.extents(),
        )
        trainer = Trainer(pair, plan)
        trainer.load()
        reports = list(trainer.reports())
        pair.check("three epochs")
    assert reports[-1].train_loss < reports[0].train_loss
