"""What each arithmetic unit of the device computes, on whole arrays of integers.

All arrays hold integers (int64 unless said otherwise) whose binary points the caller knows.
Functions that saturate return the mask of what saturated beside the result, since the device
counts it.
"""

from math import isqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hw.isa import Activation
from hw.numbers import (
    CLIP_FRACTION_BITS,
    DROPOUT_BITS,
    GRADIENT_GUARD_BITS,
    LOSS_FRACTION_BITS,
    NORM_BITS,
    RESIDUAL_FRACTION_BITS,
    UPDATE_FRACTION_BITS,
    WORD_BITS,
    shift_right_rounded,
)
from hw.tables import EXP_COARSE, EXP_FINE, LN_2, LOGARITHM, RECIPROCAL, SIGMOID
from sim.golden.lfsr import lfsr_sequence as lfsr_sequence

Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]

MAX_CLASSES = 128
"""Most classes of a softmax, so that its sum of terms up to 2**15 is at most 2**22."""

_SIGMOID = np.array(SIGMOID, dtype=np.int64)
_EXPONENTIAL = np.append(
    shift_right_rounded(np.multiply.outer(np.array(EXP_COARSE, np.int64), EXP_FINE), 15), 0
)
_FLOOR_LOG2 = np.array([0] + [n.bit_length() - 1 for n in range(1, MAX_CLASSES + 1)])
_RECIPROCAL = np.array(RECIPROCAL, dtype=np.int64)
_LOGARITHM = np.array(LOGARITHM, dtype=np.int64)


def product(left: NDArray[np.integer], right: NDArray[np.integer]) -> Integers:
    """The exact matrix product of 16-bit words, as the MAC array accumulates it.

    A product of two words is below 2**31 and a device allows depths below 2**18, so float64
    (exact to 2**53) may carry the sum, which lets BLAS do it.
    """
    return (left.astype(np.float64) @ right.astype(np.float64)).astype(np.int64)


def saturate(value: Integers, bits: int = WORD_BITS) -> tuple[Integers, Mask]:
    """`value` limited to a signed word of `bits` bits, and where it was limited."""
    limited = np.minimum(np.maximum(value, -(1 << (bits - 1))), (1 << (bits - 1)) - 1)
    return limited, limited != value


def narrow(accumulator: Integers, shift: int, bits: int = WORD_BITS) -> tuple[Integers, Mask]:
    """Round to nearest (halves up) at 2**shift, then saturate to `bits` bits."""
    return saturate(shift_right_rounded(accumulator, shift), bits)


def sigmoid(z: Integers, fraction: int, step_bits: int) -> Integers:
    """The table's sigmoid in u1.15 of |z| / 2**fraction, at a step of 2**-step_bits.

    index = min(1023, round(|z| * 2**(step_bits - fraction))), then 1 - y for a negative z.
    Needs fraction >= step_bits.
    """
    index = np.minimum(shift_right_rounded(np.abs(z), fraction - step_bits), len(SIGMOID) - 1)
    return np.where(z < 0, (1 << 15) - _SIGMOID[index], _SIGMOID[index])


def activate(z: Integers, activation: int, fraction: int, leak_shift: int) -> Integers:
    """f(z) for pre-activations and outputs in the same format with `fraction` fraction bits.

    linear z; ReLU max(z, 0); leaky ReLU z or round(z / 2**leak_shift) below 0;
    sigmoid from the table at steps of 2**-7; tanh(z) = 2 sigmoid(2 z) - 1, so steps of 2**-8.
    Sigmoid and tanh need 8 <= fraction <= 14.
    """
    match activation:
        case Activation.RELU:
            return np.maximum(z, 0)
        case Activation.LEAKY_RELU:
            return np.where(z < 0, shift_right_rounded(z, leak_shift), z)
        case Activation.SIGMOID:
            return shift_right_rounded(sigmoid(z, fraction, 7), 15 - fraction)
        case Activation.TANH:
            return shift_right_rounded(2 * sigmoid(z, fraction, 8) - (1 << 15), 15 - fraction)
        case _:
            return z


def scaled(
    z: Integers, activation: int, fraction: int, leak_shift: int, rate: int
) -> Integers:
    """f(z) (1 - rate / 256), rounded: the mean of outputs of which a share is dropped.

    As the device spares a product, it scales a z that leaks by the floor of the factor's word in
    u1.15 by 2**leak_shift, so that the result may be an LSB above the one that is rounded once.
    """
    factor = ((1 << DROPOUT_BITS) - rate) << (15 - DROPOUT_BITS)
    if activation == Activation.LEAKY_RELU:
        return shift_right_rounded(z * np.where(z < 0, factor >> leak_shift, factor), 15)
    return shift_right_rounded(activate(z, activation, fraction, leak_shift) * factor, 15)


def dropped(y: Integers, activation: int, drops: Mask) -> Integers:
    """Outputs with 0 where they are dropped, and nowhere else where BACKWARD would go by it.

    Of ReLU and sigmoid a 0 stops a delta anyhow. Of any other function a 0 that is kept becomes -1:
    its slope is that of 0.
    """
    if activation not in (Activation.RELU, Activation.SIGMOID):
        y = np.where(y == 0, -1, y)
    return np.where(drops, 0, y)


def gate(
    delta: Integers, output: Integers, activation: int, fraction: int, leak_shift: int
) -> tuple[Integers, Mask]:
    """delta * f'(z), with f' recomputed from the stored output y = f(z).

    linear 1; ReLU y > 0; leaky ReLU 1 or 2**-leak_shift; sigmoid y (1 - y); tanh 1 - y**2.
    The last two are rounded to 15 fraction bits before the product, which is rounded again; an
    output is within [0, 1] or [-1, 1] there, and the slope of any other is saturated to 17 bits.
    Needs 8 <= fraction <= 14 for these two. SURROGATE: the output is the slope, in u0.15.
    """
    one = 1 << fraction
    match activation:
        case Activation.RELU:
            gated = np.where(output > 0, delta, 0)
        case Activation.LEAKY_RELU:
            gated = np.where(output > 0, delta, shift_right_rounded(delta, leak_shift))
        case Activation.SIGMOID:
            slope = shift_right_rounded(output * (one - output), 2 * fraction - 15)
            gated = shift_right_rounded(delta * saturate(slope, WORD_BITS + 1)[0], 15)
        case Activation.TANH:
            slope = (1 << 15) - shift_right_rounded(output * output, 2 * fraction - 15)
            gated = shift_right_rounded(delta * saturate(slope, WORD_BITS + 1)[0], 15)
        case Activation.SURROGATE:
            gated = shift_right_rounded(delta * output, 15)
        case _:
            gated = delta
    return saturate(gated)


def respond(
    current: Integers, *, steps: int, leak_shift: int, threshold: int
) -> tuple[Integers, Integers]:
    """Spikes, and steps with a potential above 0, of leaky integrate-and-fire neurons.

    In each of `steps` steps, from v = 0:

        u = sat(v - (v >> leak_shift) + current)
        slope += u > 0
        v = u - threshold and count += 1 where u >= threshold, else v = u

    The second result is the sum of the pseudo-derivative that is 1 above rest (Bellec et al. 2020,
    "A solution to the learning dilemma for recurrent networks of spiking neurons", with a
    piecewise constant one). `threshold` is from 1 to 32767.
    """
    potential = np.zeros_like(current)
    counts, slopes = np.zeros_like(current), np.zeros_like(current)
    for _ in range(steps):
        potential = saturate(potential - (potential >> leak_shift) + current)[0]
        slopes += potential > 0
        spikes = potential >= threshold
        counts += spikes
        potential = potential - spikes * threshold
    return counts, slopes


def add_squares(total: int, gradient: Integers) -> int:
    """The sum of squares `total` and those of 24-bit gradients, exact, saturated to 64 bits.

    Squares of up to 2**46 are summed in halves of 23 bits, so that no sum of int64 overflows.
    """
    squares = (gradient * gradient).reshape(-1)
    low = int(np.sum(squares & 0x7FFFFF))
    high = int(np.sum(squares >> 23))
    return min(total + low + (high << 23), (1 << NORM_BITS) - 1)


def clip_factor(squares: int, threshold: int) -> tuple[int, int]:
    """The norm of gradients from the sum of their squares, and the factor that limits it.

        norm = floor(sqrt(squares))
        t = threshold << 8
        factor = 2**16 if norm <= t else floor(t * 2**16 / norm)

    Parameters
    ----------
    squares: with 16 fraction bits below a momentum's LSB
    threshold: in units of a momentum's LSB, 0 to 65535; the norm has 8 fraction bits below it

    The factor is in u0.16, but for 1, which is 2**16 and changes nothing.
    """
    norm, limit = isqrt(squares), threshold << GRADIENT_GUARD_BITS
    one = 1 << CLIP_FRACTION_BITS
    return norm, one if norm <= limit else limit * one // norm


def clip(gradient: Integers, factor: int) -> Integers:
    """Gradients times a factor in u0.16, up to 2**16, rounded to nearest (halves up).

    It never overflows: the factor is at most 1.
    """
    return shift_right_rounded(gradient * factor, CLIP_FRACTION_BITS)


class Updated(NamedTuple):
    """Result of `update`: new weights and momentum, and where either saturated."""

    weight: Integers
    momentum: Integers
    weight_saturated: Mask
    momentum_saturated: Mask


def update(
    *,
    weight: Integers,
    momentum: Integers,
    gradient: Integers,
    random: NDArray[np.uint32],
    factor: int,
    rate: tuple[int, int],
    decay: tuple[int, int],
) -> Updated:
    """Stochastic gradient descent with momentum and weight decay, stochastically rounded.

    v' = sat((factor * v + (g << 8) + r0) >> 16)
    w' = sat(((w << 16) - (rate * v' >> rate_shift) - (decay * w >> decay_shift) + r1) >> 16)

    Parameters
    ----------
    weight, momentum: 16-bit words
    gradient: 24-bit words with 8 fraction bits below the momentum's LSB
    random: a 32-bit LFSR state an element; r0 its low and r1 its high half
    factor: beta in u0.16
    rate, decay: eta and eta * lambda, as (mantissa, shift); shifts floor
    """
    halves = random.astype("<u4", copy=False).view("<u2").reshape(*random.shape, 2)
    low, high = halves[..., 0], halves[..., 1]
    wide = factor * momentum + (gradient << (UPDATE_FRACTION_BITS - GRADIENT_GUARD_BITS)) + low
    new_momentum, momentum_saturated = saturate(wide >> UPDATE_FRACTION_BITS)
    wide = (weight << UPDATE_FRACTION_BITS) + high
    wide -= (rate[0] * new_momentum) >> rate[1]
    if decay[0]:
        wide -= (decay[0] * weight) >> decay[1]
    new_weight, weight_saturated = saturate(wide >> UPDATE_FRACTION_BITS)
    return Updated(new_weight, new_momentum, weight_saturated, momentum_saturated)


class LossResult(NamedTuple):
    """Result of a loss: deltas (N, C), where they saturated, sum of the loss, correct answers."""

    delta: Integers
    saturated: Mask
    loss: int
    correct: int


def mean_squared_error(
    output: Integers, target: Integers, *, label: Integers | None, residual: int, shift: int
) -> LossResult:
    """delta = sat(round((y - t) * r / 2**shift)); the loss is the sum of (y - t)**2.

    Parameters
    ----------
    output, target: (N, C), the same binary point f; the loss has 2 f fraction bits
    label: (N,) class indices where the answers are to be counted, or None
    residual: r in u1.15
    shift: 15 + f - (fraction bits of delta)
    """
    difference = output - target
    delta, saturated = narrow(difference * residual, shift)
    correct = 0 if label is None else int(np.sum(np.argmax(output, axis=1) == label))
    return LossResult(delta, saturated, int(np.sum(difference * difference)), correct)


def exponential(distance: Integers) -> Integers:
    """exp(-u / 256) in u1.15 for u >= 0; 0 from u = 8 * 256 on.

    The product of a coarse and a fine table, rounded to nearest.
    """
    return _EXPONENTIAL[np.minimum(distance, 8 * 256)]


def softmax_cross_entropy(
    output: Integers, label: Integers, *, residual: int, shift: int
) -> LossResult:
    """Softmax p, then delta = sat(round((p - onehot) * r)); the loss is the sum of -ln p[label].

    With m the largest logit: e = exp(z - m) in u1.15, S = sum e, n = floor(log2 S), i the 8 bits
    after the leading one of S:

        R = round(RECIPROCAL[i] * r / 2**15)
        delta = narrow((e * R >> (n - 15)) - (onehot * r << 16), shift)
        loss = (n - 15) * LN_2 + LOGARITHM[i] + ((m - z[label]) << 8)

    A label that is no class matches nothing: its one-hot row is 0 and it adds only
    (n - 15) * LN_2 + LOGARITHM[i] to the loss.

    Parameters
    ----------
    output: (N, C) logits with 8 fraction bits
    label: (N,) class indices
    residual: r in u1.15
    shift: 31 - (fraction bits of delta)
    """
    distance = output.max(axis=1, keepdims=True) - output
    e = exponential(distance)
    total = e.sum(axis=1)
    # The largest term is 1, so total is at least 2**15.
    exponent = 15 + _FLOOR_LOG2[total >> 15]
    index = (total >> (exponent - 8)) & 255
    scale = shift_right_rounded(_RECIPROCAL[index] * residual, RESIDUAL_FRACTION_BITS)
    onehot = np.arange(output.shape[1]) == label[:, None]
    wide = (e * scale[:, None] >> (exponent - 15)[:, None]) - onehot * (residual << 16)
    delta, saturated = narrow(wide, shift)
    surprise = int(distance[onehot].sum()) << (LOSS_FRACTION_BITS - 8)
    loss = int(((exponent - 15) * LN_2 + _LOGARITHM[index]).sum()) + surprise
    correct = int(np.count_nonzero(output.argmax(axis=1) == label))
    return LossResult(delta, saturated, loss, correct)
