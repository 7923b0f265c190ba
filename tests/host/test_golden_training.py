"""Compiled programs learn on the golden device, and one step is what float64 arithmetic says."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from host.compiler import Compiled, compile_network, write_registers
from host.data.samples import Samples
from host.devices.golden_device import GoldenDevice
from host.fixed_point import decode
from host.network import Network, Neuron, Rule, dense
from host.program import Mode
from hw.config import region_words
from hw.configurations import configuration
from hw.isa import COUNTERS, Activation, Control, Loss, Region, Register, State

CONFIG = configuration("ecp5-8x8")
SGD = Rule(rate=2**-4, momentum=0.9)


def he_weights(network: Network, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    matrices = []
    for outputs, inputs in network.weight_shapes:
        w = rng.normal(0, np.sqrt(2 / (inputs - 1)), (outputs, inputs))
        w[:, -1] = 0
        matrices.append(w)
    return matrices


def prepared(network, rule, *, seed=0, batch=32, total=None, evaluated=None, config=CONFIG):
    """A golden device with He weights, and the programs for a data set in batches."""
    compiled = compile_network(
        network,
        rule,
        config=config,
        train=_sizes(batch, total or batch),
        evaluate=_sizes(batch, evaluated) if evaluated else (),
        predict=(batch,),
    )
    device = GoldenDevice(config)
    compiled.load(device, compiled.encode_weights(he_weights(network, seed)))
    return device, compiled


def _sizes(batch, total):
    return {min(batch, total), total % batch or batch}


def run(device, compiled: Compiled, mode: Mode, samples: Samples, batch=32):
    """Stream a whole data set, its last batch ragged."""
    write_registers(device, samples.registers)
    rounds, rest = divmod(len(samples), batch)
    if rounds:
        device.run(compiled.entry(mode, batch), rounds)
        for k in range(rounds):
            device.stream(samples.batch(k * batch, (k + 1) * batch))
        device.wait()
    if rest:
        device.run(compiled.entry(mode, rest))
        device.stream(samples.batch(rounds * batch, len(samples)))
        device.wait()


def counter(device, name) -> int:
    place = COUNTERS[name]
    words = device.read(Region.COUNTERS, place.address, place.words)
    return int.from_bytes(words.astype("<u2").tobytes(), "little")


def evaluate(device, compiled, samples, batch=32) -> tuple[float, float]:
    """Accuracy and loss counter a sample."""
    device.write(Region.REGISTERS, Register.CONTROL, Control.CLEAR)
    run(device, compiled, Mode.EVALUATE, samples, batch)
    assert counter(device, "samples") == len(samples)
    return counter(device, "correct") / len(samples), counter(device, "loss") / len(samples)


@pytest.mark.parametrize("kinds", ["S", "RS", "SR"])
def test_layers_that_spike_learn_digits(digits, kinds):
    x, y = digits
    split = 1437
    spiking = {"R": Activation.RELU, "S": Activation.SURROGATE}
    network = Network(
        sizes=(64, *(40,) * len(kinds), 10),
        activations=(*(spiking[kind] for kind in kinds), Activation.LINEAR),
        neurons=(*(Neuron(threshold=2) if kind == "S" else None for kind in kinds), None),
        loss=Loss.MEAN_SQUARED_ERROR,
    )
    device, compiled = prepared(
        network,
        Rule(rate=2**-4, momentum=0.9),
        batch=16,
        total=split,
        evaluated=len(x) - split,
        config=configuration("ecp5-8x8-spiking"),
    )
    train, test = compiled.encode(x[:split], y[:split]), compiled.encode(x[split:], y[split:])
    rng = np.random.default_rng(1)
    before = evaluate(device, compiled, test, batch=16)
    for _ in range(4):
        run(device, compiled, Mode.TRAIN, train.shuffled(rng.permutation(split)), batch=16)
    accuracy, loss = evaluate(device, compiled, test, batch=16)
    print(kinds, before, accuracy, loss)
    assert before[0] < 0.4
    assert accuracy > 0.9
    assert loss < before[1] / 2

    write_registers(device, compiled.encode(x[:16]).registers)
    device.run(compiled.entry(Mode.PREDICT, 16))
    device.stream(compiled.encode(x[:16]).batch(0, 16))
    device.wait()
    for layer, slope in compiled.memory.slopes.items():
        activity = compiled.memory.activations[layer - 1].read(device)
        ones = activity[:, -1]
        assert np.array_equal(ones, np.full(16, 512)), "RESPOND must leave the bias's input"
        counts, slopes = activity[:, :-1] >> 4, slope.read(device) >> 10
        assert counts.max() <= 20 and slopes.max() == 20 and np.all(slopes >= counts)
        assert counts.any()
    assert np.mean(compiled.read_outputs(device, 16).argmax(axis=1) == y[:16]) > 0.8


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    return (x / 16)[order], y[order]


@pytest.mark.parametrize("sizes", [(64, 32, 10), (64, 64, 32, 10), (64, 24, 20, 16, 10)])
def test_digits_are_learned(digits, sizes):
    x, y = digits
    split = 1437  # 44 batches of 32 and one of 29
    network = dense(sizes)
    device, compiled = prepared(network, SGD, total=split, evaluated=len(x) - split)
    train, test = compiled.encode(x[:split], y[:split]), compiled.encode(x[split:], y[split:])
    assert train.rows.shape[1] == 65
    rng = np.random.default_rng(1)
    before = evaluate(device, compiled, test)
    for _ in range(8):
        run(device, compiled, Mode.TRAIN, train.shuffled(rng.permutation(split)))
    accuracy, loss = evaluate(device, compiled, test)
    print(sizes, before, accuracy, loss / 2**16)
    assert before[0] < 0.4
    assert accuracy > 0.9
    assert loss < before[1] / 4

    write_registers(device, compiled.encode(x[:32]).registers)
    device.run(compiled.entry(Mode.PREDICT, 32))
    device.stream(compiled.encode(x[:32]).batch(0, 32))
    device.wait()
    outputs = compiled.read_outputs(device, 32)
    assert outputs.shape == (32, 10)
    assert np.mean(outputs.argmax(axis=1) == y[:32]) > 0.8


@pytest.mark.parametrize("activation", [Activation.TANH, Activation.LEAKY_RELU, Activation.RELU])
def test_regression_is_learned(activation):
    rng = np.random.default_rng(3)
    x = rng.uniform(-1, 1, (400, 3))
    t = np.stack([x[:, 0] * x[:, 1], x[:, 2] - x[:, 0]], axis=1)
    network = dense((3, 16, 2), activation, loss=Loss.MEAN_SQUARED_ERROR, class_target=False)
    rule = Rule(rate=0.1, momentum=0.5, decay=1e-5)
    device, compiled = prepared(network, rule, batch=16, total=400, evaluated=400)
    samples = compiled.encode(x, t)
    before = evaluate(device, compiled, samples, 16)[1] * 2.0**-18
    for _ in range(40):
        run(device, compiled, Mode.TRAIN, samples.shuffled(rng.permutation(400)), 16)
    after = evaluate(device, compiled, samples, 16)[1] * 2.0**-18
    print(activation.name, before, after)
    assert after < 0.1 * before


# One step against float64

HALF_ACTIVATION, HALF_LOGIT, HALF_DELTA = 2.0**-10, 2.0**-9, 2.0**-14
TABLE = 3 * 2.0**-16 + np.exp(-8)
"""Error of an exponential: three roundings in u1.15, and 0 beyond a distance of 8."""
RECIPROCAL = 2.0**-9 + 2.0**-15
"""Relative error of a reciprocal from 256 entries, and of its product with r."""


def float_step(weights, x, labels):
    """Gradients of mean cross-entropy of a net with one ReLU layer, and bounds of their errors.

    The device gets the same weights and inputs, so only its own roundings count; each bound
    follows from the half LSB of the format that a value is rounded to, as it passes on.
    """
    w1, w2 = weights
    n, classes = len(x), len(w2)
    x1 = np.hstack([x, np.ones((n, 1))])
    z1 = x1 @ w1.T
    h = np.hstack([np.maximum(z1, 0), np.ones((n, 1))])
    h_error = np.hstack([np.full_like(z1, HALF_ACTIVATION), np.zeros((n, 1))])
    z2 = h @ w2.T
    z2_error = (h_error @ np.abs(w2).T + HALF_LOGIT).max(axis=1, keepdims=True)
    e = np.exp(z2 - z2.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    d2 = p - np.eye(classes)[labels]
    # Logits off by at most E change a probability by a factor within exp(+-2 E).
    relative = np.expm1(2 * z2_error) + classes * TABLE + RECIPROCAL
    d2_error = (p * relative + TABLE) * 1.01 + HALF_DELTA
    d1 = (d2 @ w2[:, :-1]) * (z1 > 0)
    d1_error = d2_error @ np.abs(w2[:, :-1]) + HALF_DELTA
    # Where the sum is within its rounding of 0, the gate may differ.
    unsure = np.abs(z1) <= HALF_ACTIVATION
    d1_error = np.where(unsure, np.abs(d2 @ w2[:, :-1]) + d1_error, d1_error * (z1 > 0))
    # r rounds to u1.15: 2**-16 absolute, at most 2**-16 relative to a value of at least 1/2 ... 1.
    d2_error, d1_error = d2_error + np.abs(d2) * 2.0**-15, d1_error + np.abs(d1) * 2.0**-15
    gradients = [d1.T @ x1 / n, d2.T @ h / n]
    bounds = [
        d1_error.T @ np.abs(x1) / n + 2.0**-21,
        (d2_error.T @ (np.abs(h) + h_error) + np.abs(d2).T @ h_error) / n + 2.0**-21,
    ]
    # The residual r < 1 amplifies the delta's own rounding by at most 2 when it is divided out.
    return gradients, [2 * bound for bound in bounds]


@pytest.mark.parametrize("samples", [32, 29, 1])
def test_one_step_equals_float64_within_its_roundings(digits, samples):
    x, y = digits[0][:samples], digits[1][:samples]
    network = dense((64, 32, 10))
    device, compiled = prepared(network, SGD, batch=samples)
    fmt = network.formats.weight
    before = [decode(w, fmt) for w in compiled.read_weights(device)]
    run(device, compiled, Mode.TRAIN, compiled.encode(x, y), samples)
    after = [decode(w, fmt) for w in compiled.read_weights(device)]
    gradients, bounds = float_step(before, x, y)
    lsb = fmt.lsb
    for layer in range(2):
        momentum = decode(compiled.memory.momentum[layer].read(device), network.formats.momentum)
        error = momentum - gradients[layer]
        assert np.all(np.abs(error) <= bounds[layer] + lsb)
        moved = after[layer] - (before[layer] - SGD.rate * gradients[layer])
        assert np.all(np.abs(moved) <= SGD.rate * (bounds[layer] + lsb) + lsb)
        # The bound must mean something: it is far below the gradient itself.
        print(samples, layer, np.abs(error).max(), bounds[layer].max(), lsb)
        assert np.median(bounds[layer]) + lsb < 0.2 * np.abs(gradients[layer]).max()


def test_decay_shrinks_every_weight(digits):
    x, y = digits[0][:32], digits[1][:32]
    network = dense((64, 32, 10))
    results = []
    for decay in (0.0, 0.25):
        device, compiled = prepared(network, Rule(rate=2**-4, momentum=0.9, decay=decay))
        before = compiled.read_weights(device)
        run(device, compiled, Mode.TRAIN, compiled.encode(x, y))
        results.append(compiled.read_weights(device))
    for start, plain, decayed in zip(before, *results, strict=True):
        # The same random numbers are added before either is cut off, so they differ by 1 LSB.
        shrunk = plain.astype(int) - decayed
        assert np.all(np.abs(shrunk - start * 2.0**-6) <= 1 + 2.0**-10)


# Runs and steps


@pytest.mark.parametrize("config", ["ecp5-8x8", "ecp5-16x8", "up5k-4x2"])
@pytest.mark.parametrize("batch", [1, 7, 16])
def test_a_run_equals_its_single_steps(config, batch):
    """A run fuses the chunks of the last layer; single steps never do."""
    config = configuration(config)
    rng = np.random.default_rng(batch)
    network = dense((7, 6, 5, 3), loss=Loss.MEAN_SQUARED_ERROR)
    x, labels = rng.uniform(-2, 2, (2 * batch, 7)), rng.integers(0, 3, 2 * batch)
    images = []
    for stepping in (False, True):
        device, compiled = prepared(network, Rule(rate=0.1), batch=batch, config=config)
        samples = compiled.encode(x, labels)
        write_registers(device, samples.registers)
        entry = compiled.entry(Mode.TRAIN, batch)
        if not stepping:
            device.run(entry, 2)
        device.stream(samples.batch(0, batch))
        device.stream(samples.batch(batch, 2 * batch))
        if stepping:
            device.write(Region.REGISTERS, Register.START, [entry, 2])
            device.step(entry)
            while device.poll().state == State.HALTED:
                device.step(entry)
        device.wait()
        images.append({r: device.read(r, 0, n) for r, n in region_words(config).items()})
    assert counter(device, "samples") == 2 * batch
    for region, image in images[0].items():
        assert np.array_equal(image, images[1][region]), region.name


def test_a_program_written_anew_is_obeyed(digits):
    """What was fused for one program must not outlive it."""
    x, y = digits
    used, compiled = prepared(dense((64, 32, 10)), SGD)
    run(used, compiled, Mode.TRAIN, compiled.encode(x[:32], y[:32]))
    other = compile_network(dense((64, 8, 10)), SGD, config=CONFIG, train=(32,))
    weights = []
    for device in (used, GoldenDevice(CONFIG)):
        other.load(device, other.encode_weights(he_weights(other.network, 2)))
        device.write(Region.LFSR, 0, np.arange(1, 17))
        run(device, other, Mode.TRAIN, other.encode(x[:32], y[:32]))
        weights.append(other.read_weights(device))
    for a, b in zip(*weights, strict=True):
        assert np.array_equal(a, b)
