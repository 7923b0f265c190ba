"""Golden's gradients agree with float64 PyTorch, within bounds derived from the binary points.

A network 6-9-5 learns one batch. Its momentum was 0, so that MOMENTUM then holds the gradients, the
means over the batch, stochastically rounded. The bound follows the errors of every rounding and
table through the network, element by element; for an intermediate x, `e_x` bounds its error.

Neurons that spike learn by a rule of three factors, error x pseudo-derivative x presynaptic
activity. The reference does so in float64 too. Where one of its potentials comes so close to the
threshold, or to 0, that the device may see it on the other side, the device may count otherwise
from then on, and the bound allows for that.

Where outputs are dropped, the reference drops those that the device did: its stored words are 0.
"""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from host.compiler import compile_network, write_registers
from host.devices.golden_device import GoldenDevice
from host.network import Network, Neuron, Rule
from host.program import Mode
from hw.configurations import configuration
from hw.isa import Activation, Loss, Region
from hw.numbers import GRADIENT_GUARD_BITS
from hw.tables import EXP_COARSE, EXP_FINE, RECIPROCAL, SIGMOID
from sim.compare import read_state

CONFIG = configuration("ecp5-8x8-spiking")
SIZES = (6, 9, 5)
LEAK_SHIFT = 3
Array = NDArray[np.float64]

NEURON = Neuron(steps=12, leak_shift=LEAK_SHIFT, threshold=0.5)


class Response(torch.autograd.Function):
    """The activity of NEURON under constant currents, and its slope in place of a derivative."""

    @staticmethod
    def forward(ctx, currents):
        potentials, spikes = response(currents.detach().numpy())
        scale = 2.0**-NEURON.exponent
        ctx.save_for_backward(torch.tensor((potentials > 0).sum(axis=0) * scale))
        return torch.tensor(spikes.sum(axis=0) * scale)

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0]


def response(currents: Array) -> tuple[Array, Array]:
    """Potentials before the reset, and spikes, of every step, along the first axis."""
    v = np.zeros_like(currents)
    potentials, spikes = [], []
    for _ in range(NEURON.steps):
        u = v - v * 2.0**-NEURON.leak_shift + currents
        fires = u >= NEURON.threshold
        v = u - fires * NEURON.threshold
        potentials.append(u)
        spikes.append(fires)
    return np.array(potentials), np.array(spikes)


TORCH_ACTIVATION = {
    Activation.LINEAR: lambda a: a,
    Activation.RELU: torch.relu,
    Activation.LEAKY_RELU: lambda a: torch.nn.functional.leaky_relu(a, 2.0**-LEAK_SHIFT),
    Activation.SIGMOID: torch.sigmoid,
    Activation.TANH: torch.tanh,
    Activation.SURROGATE: Response.apply,
}

U15 = 2.0**-16
"""Rounding error of a word in u1.15."""


@dataclass(frozen=True)
class Reference:
    """Float64 values of the network: what is kept, outputs, deltas, gradients of the mean loss."""

    keep: Array
    a1: Array
    y1: Array
    slope: Array
    z: Array
    p: Array
    d2: Array
    g1: Array
    g2: Array


def with_one(x: Array) -> Array:
    return np.hstack([x, np.ones((len(x), 1))])


def reference(
    network: Network, weights: list[Array], x: Array, label: Array, keep: Array
) -> Reference:
    """Forward pass and autograd of PyTorch in float64; hidden outputs are multiplied by `keep`."""
    w1, w2 = (torch.tensor(w, dtype=torch.float64, requires_grad=True) for w in weights)
    a1 = torch.tensor(with_one(x)) @ w1.T
    a1.retain_grad()
    y1 = TORCH_ACTIVATION[network.activations[0]](a1) * torch.tensor(keep)
    z = torch.hstack([y1, torch.ones((len(x), 1), dtype=torch.float64)]) @ w2.T
    z.retain_grad()
    target = torch.tensor(label)
    if network.loss == Loss.CROSS_ENTROPY:
        loss = torch.nn.functional.cross_entropy(z, target)
    else:
        onehot = torch.nn.functional.one_hot(target, SIZES[-1])
        loss = 0.5 * ((z - onehot) ** 2).sum() / len(x)
    loss.backward()
    probe = a1.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(TORCH_ACTIVATION[network.activations[0]](probe).sum(), probe)
    value = lambda t: t.detach().numpy()  # noqa: E731
    return Reference(
        keep, value(a1), value(y1), slope.numpy() * keep, value(z), value(torch.softmax(z, 1)),
        value(z.grad) * len(x), value(w1.grad), value(w2.grad),
    )  # fmt: skip


def response_error(a1: Array, e_a1: float, lsb: float) -> Array:
    """Error of the activity and of the slope: what is left of the steps when they may diverge.

    In a step, the error of the potential leaks as the potential does, while the current's comes
    in anew, and up to an LSB from the floor of the leak.
    """
    leak = 1 - 2.0**-NEURON.leak_shift
    e_u = np.cumsum((e_a1 + lsb) * leak ** np.arange(NEURON.steps))[:, None, None]
    u, _ = response(a1)
    doubtful = (np.abs(u - NEURON.threshold) <= e_u) | (np.abs(u) <= e_u)
    left = NEURON.steps - np.argmax(doubtful, axis=0)
    # A slope of 1 is the largest word, an LSB less.
    return np.where(doubtful.any(axis=0), left * 2.0**-NEURON.exponent, 0) + 2 * U15


def activation_errors(kind: Activation, lsb: float) -> tuple[float, float]:
    """Lipschitz constant of f, and the error of its evaluation."""
    step = 1 / 128  # of the sigmoid's table; half a step from the nearest entry
    tail = 1 - SIGMOID[-1] / 2**15
    match kind:
        case Activation.LEAKY_RELU:
            return 1, lsb / 2
        case Activation.SIGMOID:
            return 0.25, max(step / 2 * 0.25, tail) + U15 + lsb / 2
        case Activation.TANH:
            return 1, max(step / 4, 2 * tail) + 2 * U15 + lsb / 2
        case _:
            return 1, 0


def slope_errors(kind: Activation, a1: Array, e_a1: float, e_y1: Array) -> Array:
    """Error of f' recomputed from the stored output, which near a kink may be on its other side."""
    match kind:
        case Activation.RELU:
            return np.where(np.abs(a1) <= e_a1, 1.0, 0.0)
        case Activation.LEAKY_RELU:
            return np.where(np.abs(a1) <= e_a1, 1.0, 0.0)
        case Activation.SIGMOID:
            return e_y1 + e_y1**2 + U15
        case Activation.TANH:
            return 2 * e_y1 + e_y1**2 + U15
        case _:
            return np.zeros_like(a1)


def softmax_error(p: Array, e_z: Array) -> Array:
    """Error of p: of the logits, of the exponentials, of the sum, of the reciprocal.

    The derivatives of a probability by all logits add up to at most 1/2 in magnitude. An
    exponential is a product of two rounded table entries, rounded, and 0 from exp(-8) on; their sum
    is at least 1. A reciprocal is that of the middle of one of 256 intervals in [1, 2), rounded.
    """
    classes = p.shape[1]
    assert len(EXP_COARSE) == 64 and len(EXP_FINE) == 32 and len(RECIPROCAL) == 256
    e_exp = max(3 * U15 + U15**2, np.exp(-8))
    relative = 1 / 512 + 2.0**-16 + 2.0**-15
    e_sum = classes * e_exp
    return 0.5 * e_z.max(axis=1, keepdims=True) + (e_exp + p * e_sum) * 1.01 + p * relative


def bounds(network: Network, weights: list[Array], x: Array, r: Reference) -> tuple[Array, Array]:
    """Bounds of the errors of both gradients, before their stochastic rounding."""
    formats = network.formats
    lsb_y, lsb_z, lsb_d = (
        formats.activation.lsb, network.output_format.lsb, formats.delta.lsb
    )  # fmt: skip
    w2 = np.abs(weights[1][:, :-1])
    kind = network.activations[0]
    if kind == Activation.SURROGATE:
        e_a1 = formats.current.lsb / 2
        e_y1 = e_slope = response_error(r.a1, e_a1, formats.current.lsb)
    else:
        lipschitz, e_f = activation_errors(kind, lsb_y)
        e_a1 = lsb_y / 2
        e_y1 = np.full_like(r.a1, lipschitz * e_a1 + e_f)
        if any(network.dropout):
            # Where it would be 0, a kept output is an LSB less.
            e_y1 = r.keep * (e_y1 + lsb_y)
        e_slope = r.keep * slope_errors(kind, r.a1, e_a1, e_y1)
    e_z = lsb_z / 2 + e_y1 @ w2.T
    e_output = softmax_error(r.p, e_z) if network.loss == Loss.CROSS_ENTROPY else e_z
    # A delta carries the batch's residual r <= 1, a word in u1.15, and is rounded.
    e_d2 = e_output + np.abs(r.d2) * 2.0**-15 + lsb_d
    summed = np.abs(r.d2 @ weights[1][:, :-1])
    e_summed = e_d2 @ w2 + lsb_d
    e_d1 = r.keep * (e_summed * np.abs(r.slope) + (summed + e_summed) * e_slope + lsb_d)
    d1 = summed * np.abs(r.slope)
    y1 = with_one(np.abs(r.y1))
    e_y = np.hstack([e_y1, np.zeros((len(x), 1))])
    e_g2 = np.abs(r.d2).T @ e_y + e_d2.T @ (y1 + e_y)
    e_g1 = e_d1.T @ with_one(np.abs(x))
    assert d1.shape == e_d1.shape
    rounding = formats.momentum.lsb * 2.0**-GRADIENT_GUARD_BITS
    return e_g1 / len(x) + rounding, e_g2 / len(x) + rounding


@pytest.mark.parametrize("clip_share", [0.4, 1.5])
@pytest.mark.parametrize("at_once", [13, 4])
def test_clipped_gradients_agree_with_pytorch(at_once: int, clip_share: float) -> None:
    """The gradient of an update of one batch and of several, of a norm over both layers."""
    samples, config = 13, configuration("ecp5-8x8-full")
    network = Network(sizes=SIZES, activations=(Activation.TANH, Activation.LINEAR))
    rng = np.random.default_rng(at_once)
    weights = [rng.normal(0, 0.3, shape).clip(-1, 1) for shape in network.weight_shapes]
    x = np.round(rng.uniform(-1, 1, (samples, SIZES[0])) * 512) / 512
    label = rng.integers(0, SIZES[-1], samples)
    lsb = network.formats.weight.lsb
    real = [np.floor(w / lsb + 0.5) * lsb for w in weights]
    everyone = np.ones((samples, SIZES[1]))
    expected = reference(network, real, x, label, everyone)
    gradients = [torch.tensor(g) for g in (expected.g1, expected.g2)]
    norm = float(torch.sqrt(sum((g**2).sum() for g in gradients)))
    threshold = round(clip_share * norm * 2**12) * 2.0**-12
    rule = Rule(rate=2**-6, momentum=0.5, clip_norm=threshold)
    program = compile_network(network, rule, config=config, train=[samples], at_once=at_once)
    with GoldenDevice(config) as device:
        program.load(device, program.encode_weights(real))
        encoded = program.encode(x, label)
        write_registers(device, encoded.registers)
        device.run(program.entry(Mode.TRAIN, samples))
        for first in range(0, samples, at_once):
            device.stream(encoded.batch(first, min(first + at_once, samples)))
        device.wait()
        found = [t.read(device) * t.fmt.lsb for t in program.memory.momentum]
    parameters = [torch.zeros_like(g) for g in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    torch.nn.utils.clip_grad_norm_(parameters, threshold)
    errors = bounds(network, real, x, expected)
    # The norm's error is at most that of all gradients; an LSB is lost when it is floored.
    off = math.sqrt(sum(float(np.sum(e**2)) for e in errors)) + 2.0**-20 + 1e-6
    factor = min(1.0, threshold / norm)
    e_factor = factor * off / (norm - off) + 2.0**-16
    stochastic = network.formats.momentum.lsb
    for value, parameter, exact, error in zip(found, parameters, gradients, errors, strict=True):
        bound = factor * error + (np.abs(exact.numpy()) + error) * e_factor + stochastic
        assert np.all(np.abs(value - parameter.grad.numpy()) <= bound)
        assert np.abs(parameter.grad.numpy()).max() > 4 * bound.min()


@pytest.mark.parametrize("samples", [16, 13])
@pytest.mark.parametrize("loss", Loss)
@pytest.mark.parametrize(
    ("activation", "dropout"),
    [(kind, 0.0) for kind in Activation]
    + [(kind, 0.375) for kind in Activation if kind != Activation.SURROGATE],
)
def test_gradients_agree_with_pytorch(
    activation: Activation, dropout: float, loss: Loss, samples: int
) -> None:
    network = Network(
        sizes=SIZES,
        activations=(activation, Activation.LINEAR),
        neurons=(NEURON if activation == Activation.SURROGATE else None, None),
        leak_shift=LEAK_SHIFT,
        loss=loss,
        dropout=(dropout, 0.0),
    )
    rule = Rule(rate=2**-6, momentum=0.5)
    program = compile_network(network, rule, config=CONFIG, train=[samples])
    rng = np.random.default_rng(100 * activation + 10 * loss + samples)
    weights = program.encode_weights(
        rng.normal(0, 0.3, shape).clip(-1, 1) for shape in network.weight_shapes
    )
    real = [w * network.formats.weight.lsb for w in weights]
    x = np.round(rng.uniform(-1, 1, (samples, SIZES[0])) * 512) / 512
    label = rng.integers(0, SIZES[-1], samples)
    with GoldenDevice(CONFIG) as device:
        program.load(device, weights)
        encoded = program.encode(x, label)
        write_registers(device, encoded.registers)
        device.run(program.entry(Mode.TRAIN, samples))
        device.stream(encoded.batch(0, samples))
        device.wait()
        hidden = program.memory.activations[0].read(device)[:, :-1]
        found = [t.read(device) * t.fmt.lsb for t in program.memory.momentum]
        saturations = program.saturations(read_state(device)[Region.COUNTERS][32:].view(np.uint32))
    assert not any(saturations.values()), "the bound holds only where nothing saturates"
    keep = np.ones(hidden.shape)
    if dropout:
        keep = (hidden != 0).astype(float)
        assert 0.2 < 1 - keep.mean() < 0.9, "some must be dropped, and some kept"
    expected = reference(network, real, x, label, keep)
    stochastic = network.formats.momentum.lsb
    for value, exact, bound in zip(
        found, (expected.g1, expected.g2), bounds(network, real, x, expected), strict=True
    ):
        error = np.abs(value - exact)
        assert np.all(error <= bound + stochastic)
        # A gradient without the right value at all would be further off than the bound allows.
        assert np.abs(exact).max() > 4 * (bound + stochastic).min()
