"""The golden units against plain mathematics, within bounds that follow from binary points."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from hw.isa import Activation
from hw.numbers import (
    CLIP_FRACTION_BITS,
    GRADIENT_BITS,
    GRADIENT_GUARD_BITS,
    LOSS_FRACTION_BITS,
    NORM_BITS,
    UPDATE_FRACTION_BITS,
    WORD_MAX,
    WORD_MIN,
    shift_right_rounded,
)
from hw.tables import SIGMOID, SIGMOID_STEP_BITS
from sim.golden import units

SEED = 5
WORDS = np.arange(WORD_MIN, WORD_MAX + 1)
HALF = 0.5
TABLE_ERROR = 2.0**-16
"""Half of the LSB of a table's u1.15 entry."""


@pytest.fixture
def random() -> np.random.Generator:
    print(f"seed {SEED}")
    return np.random.default_rng(SEED)


def logistic(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


# Rounding and saturation


@pytest.mark.parametrize("shift", range(9))
def test_rounds_halves_up(shift: int) -> None:
    for value in range(-600, 600):
        exact = Fraction(value, 1 << shift)
        assert shift_right_rounded(value, shift) == math.floor(exact + Fraction(1, 2))


@pytest.mark.parametrize("bits", [16, 24])
def test_saturates_and_never_wraps(bits: int) -> None:
    top = 1 << (bits - 1)
    value = np.array([-(1 << 40), -top - 1, -top, -1, 0, 1, top - 1, top, 1 << 40])
    limited, saturated = units.saturate(value, bits)
    assert limited.tolist() == [-top, -top, -top, -1, 0, 1, top - 1, top - 1, top - 1]
    assert saturated.tolist() == [True, True] + [False] * 5 + [True, True]


@pytest.mark.parametrize("shift", [0, 1, 9, 17, 30])
def test_narrow_is_the_nearest_word(shift: int, random: np.random.Generator) -> None:
    accumulator = random.integers(-(1 << 40), 1 << 40, 20000) >> random.integers(0, 40, 20000)
    word, saturated = units.narrow(accumulator, shift)
    exact = accumulator / 2.0**shift
    assert np.all(np.abs(word - exact)[~saturated] <= HALF)
    assert np.array_equal(saturated, np.floor(exact + HALF) != np.clip(word, WORD_MIN, WORD_MAX))
    assert np.all(word[saturated] == np.where(exact[saturated] < 0, WORD_MIN, WORD_MAX))


def test_product_is_exact_at_the_rails() -> None:
    left = np.full((3, 4096), WORD_MIN)
    right = np.full((4096, 2), WORD_MIN)
    right[::2, 1] = WORD_MAX
    assert np.array_equal(units.product(left, right), left @ right)


# Activations and gates

FRACTIONS = (8, 9, 12, 14)


def test_linear_and_relu_are_exact() -> None:
    assert np.array_equal(units.activate(WORDS, Activation.LINEAR, 9, 3), WORDS)
    assert np.array_equal(units.activate(WORDS, Activation.RELU, 9, 3), np.maximum(WORDS, 0))


@pytest.mark.parametrize("leak_shift", [0, 1, 3, 15])
def test_leaky_relu_is_rounded_once(leak_shift: int) -> None:
    y = units.activate(WORDS, Activation.LEAKY_RELU, 9, leak_shift)
    exact = np.where(WORDS < 0, WORDS / 2.0**leak_shift, WORDS)
    assert np.all(np.abs(y - exact) <= np.where(WORDS < 0, HALF, 0))


@pytest.mark.parametrize("fraction", FRACTIONS)
def test_sigmoid_errs_by_half_a_step_at_most(fraction: int) -> None:
    """Slope <= 1/4 over half a step of the table, or what is left of 1 at its end; roundings."""
    step = 2.0**-SIGMOID_STEP_BITS
    bend = max(step / 2 / 4, 1 - logistic((len(SIGMOID) - 1) * step))
    bound = bend + TABLE_ERROR + HALF * 2.0**-fraction
    y = units.activate(WORDS, Activation.SIGMOID, fraction, 0) * 2.0**-fraction
    assert np.max(np.abs(y - logistic(WORDS * 2.0**-fraction))) <= bound


@pytest.mark.parametrize("fraction", FRACTIONS)
def test_tanh_errs_by_half_a_step_at_most(fraction: int) -> None:
    """Slope <= 1 over half a step, half as long as the sigmoid's; the table's rounding doubles."""
    step = 2.0 ** -(SIGMOID_STEP_BITS + 1)
    bend = max(step / 2, 1 - np.tanh((len(SIGMOID) - 1) * step))
    bound = bend + 2 * TABLE_ERROR + HALF * 2.0**-fraction
    y = units.activate(WORDS, Activation.TANH, fraction, 0) * 2.0**-fraction
    assert np.max(np.abs(y - np.tanh(WORDS * 2.0**-fraction))) <= bound


@pytest.mark.parametrize("activation", [Activation.SIGMOID, Activation.TANH])
@pytest.mark.parametrize("fraction", FRACTIONS)
def test_curves_are_monotonic_and_symmetric(activation: Activation, fraction: int) -> None:
    y = units.activate(WORDS, activation, fraction, 0)
    assert np.all(np.diff(y) >= 0)
    one = 1 << fraction if activation == Activation.SIGMOID else 0
    mirrored = one - y[1:][::-1]
    assert np.max(np.abs(y[1:] - mirrored)) <= 1, "halves are rounded up on both sides"


@pytest.mark.parametrize("rate", [0, 1, 51, 128, 255])
@pytest.mark.parametrize("activation", Activation)
def test_scaled_outputs_are_rounded_once(activation: Activation, rate: int) -> None:
    """Of a leaking ReLU the factor below 0 is cut off at 15 fraction bits: an LSB at most."""
    leaky = activation == Activation.LEAKY_RELU
    factor = 1 - rate / 256
    y = units.activate(WORDS, activation, 9, 3)
    exact = np.where(WORDS < 0, WORDS / 8, WORDS) if leaky else y
    error = units.scaled(WORDS, activation, 9, 3, rate) - exact * factor
    below = np.where((WORDS < 0) & leaky, 1.0, 0.0)
    assert np.all(np.abs(error) <= HALF + below)
    if rate == 0:
        assert np.array_equal(units.scaled(WORDS, activation, 9, 3, rate), y)


@pytest.mark.parametrize("activation", Activation)
def test_what_is_dropped_is_known_by_its_word(
    activation: Activation, random: np.random.Generator
) -> None:
    """Where it is not 0 it was kept; where it is 0 though, its delta would be 0 anyhow."""
    z = random.integers(-600, 600, 20000)
    z[:100] = 0
    drops = random.random(20000) < 0.5
    y = units.activate(z, activation, 9, 3)
    words = units.dropped(y, activation, drops)
    assert not words[drops].any()
    kept = words[~drops]
    assert np.all(np.abs(kept - y[~drops]) <= 1)
    assert np.array_equal(kept != y[~drops], (y[~drops] == 0) & (kept == -1))
    delta = random.integers(-5000, 5000, 20000)
    before, after = (units.gate(delta, w, activation, 9, 3)[0] for w in (y, words))
    silent = (words == 0) & ~drops
    assert not before[silent].any()
    changed = (before != after) & ~drops
    # The slope of tanh, 1 - y**2, is that of 0 after rounding; a surrogate's would be the word.
    assert not changed.any() or activation == Activation.SURROGATE


def test_rectifiers_gate_by_the_sign_of_the_output(random: np.random.Generator) -> None:
    delta, y = random.integers(WORD_MIN, WORD_MAX + 1, (2, 5000))
    y[:500] = 0
    gated, saturated = units.gate(delta, y, Activation.RELU, 9, 3)
    assert np.array_equal(gated, delta * (y > 0))
    leaky, saturated_too = units.gate(delta, y, Activation.LEAKY_RELU, 9, 3)
    assert np.array_equal(leaky, np.where(y > 0, delta, shift_right_rounded(delta, 3)))
    assert not saturated.any() and not saturated_too.any()


@pytest.mark.parametrize("activation", [Activation.SIGMOID, Activation.TANH])
@pytest.mark.parametrize("fraction", FRACTIONS)
def test_slopes_are_rounded_to_15_bits(
    activation: Activation, fraction: int, random: np.random.Generator
) -> None:
    """Half an LSB of the slope for every unit of delta, then half an LSB of the result."""
    lowest = 0 if activation == Activation.SIGMOID else -(1 << fraction)
    y = random.integers(lowest, (1 << fraction) + 1, 20000)
    y[:2] = lowest, 1 << fraction
    delta = random.integers(WORD_MIN, WORD_MAX + 1, 20000)
    f = y * 2.0**-fraction
    slope = f * (1 - f) if activation == Activation.SIGMOID else 1 - f * f
    gated, saturated = units.gate(delta, y, activation, fraction, 0)
    assert not saturated.any()
    assert np.all(np.abs(gated - delta * slope) <= np.abs(delta) * 2.0**-16 + HALF)


def test_a_surrogate_gates_by_the_stored_slope(random: np.random.Generator) -> None:
    delta = random.integers(WORD_MIN, WORD_MAX + 1, 5000)
    slope = random.integers(0, WORD_MAX + 1, 5000)
    slope[:2] = 0, WORD_MAX
    gated, saturated = units.gate(delta, slope, Activation.SURROGATE, 9, 3)
    assert not saturated.any()
    assert np.all(np.abs(gated - delta * slope * 2.0**-15) <= HALF)
    assert np.array_equal(units.activate(delta, Activation.SURROGATE, 9, 3), delta)


# Spiking neurons


def test_without_a_leak_spikes_are_the_current_over_the_threshold(
    random: np.random.Generator,
) -> None:
    """v >> 15 is 0 as long as v is not negative, so that no charge is lost."""
    for steps, threshold in ((1, 1), (1, 16000), (20, 1000), (255, 128), (255, 20000)):
        limit = min(threshold, WORD_MAX - threshold)
        current = random.integers(0, limit + 1, 500)
        counts, slopes = units.respond(current, steps=steps, leak_shift=15, threshold=threshold)
        assert np.array_equal(counts, steps * current // threshold)
        assert np.array_equal(slopes, steps * (current > 0))


def test_a_neuron_that_keeps_nothing_fires_in_every_step_or_in_none() -> None:
    counts, slopes = units.respond(WORDS, steps=7, leak_shift=0, threshold=300)
    assert np.array_equal(counts, 7 * (WORDS >= 300))
    assert np.array_equal(slopes, 7 * (WORDS > 0))


def test_a_leak_bounds_the_potential() -> None:
    """v rises to 2**leak_shift currents, and no further."""
    current = np.arange(-900, 900)
    for leak_shift in (1, 3, 5):
        threshold = 400 << leak_shift
        counts, _ = units.respond(current, steps=255, leak_shift=leak_shift, threshold=threshold)
        assert not counts[current < 400].any()
        assert counts[current >= 410].all()


def test_response_in_plain_integers(random: np.random.Generator) -> None:
    """Currents of all sizes, so that many potentials saturate, on either side."""
    saturated = np.zeros(2, int)
    for _ in range(300):
        current = int(random.integers(WORD_MIN, WORD_MAX + 1) >> random.integers(0, 12))
        steps, leak_shift = int(random.integers(1, 256)), int(random.integers(0, 16))
        threshold = int(random.integers(1, WORD_MAX + 1) >> random.integers(0, 12)) or 1
        v = count = slope = 0
        for _ in range(steps):
            u = v - v // 2**leak_shift + current
            saturated += u > WORD_MAX, u < WORD_MIN
            u = max(WORD_MIN, min(WORD_MAX, u))
            slope += u > 0
            count += u >= threshold
            v = u - threshold if u >= threshold else u
        counts, slopes = units.respond(
            np.array([current]), steps=steps, leak_shift=leak_shift, threshold=threshold
        )
        assert (counts[0], slopes[0]) == (count, slope), (current, steps, leak_shift, threshold)
    assert saturated.all()


# Losses


@pytest.mark.parametrize("residual", [1 << 14, 19661, 1 << 15])
def test_mean_squared_error(residual: int, random: np.random.Generator) -> None:
    fraction, delta_fraction = 8, 13
    y, t = random.integers(-2000, 2000, (2, 40, 7))
    y[0], t[0] = WORD_MAX, WORD_MIN
    label = random.integers(0, 7, 40)
    result = units.mean_squared_error(
        y, t, label=label, residual=residual, shift=15 + fraction - delta_fraction
    )
    exact = (y - t) * 2.0**-fraction * residual / 2**15 * 2.0**delta_fraction
    inside = (np.floor(exact + HALF) >= WORD_MIN) & (np.floor(exact + HALF) <= WORD_MAX)
    assert np.array_equal(result.saturated, ~inside)
    assert np.all(np.abs(result.delta - exact)[inside] <= HALF)
    assert np.all(result.delta[0] == WORD_MAX)
    assert result.loss == sum(int(d) ** 2 for d in (y - t).reshape(-1))
    assert result.correct == np.count_nonzero(y.argmax(axis=1) == label)


def test_exponential_errs_by_three_roundings() -> None:
    """A factor's rounding counts at most once as the other is at most 1, and so does the product's:
    1.5 LSB and the product of two halves. From 8 on it is 0, which errs by exp(-8) at most."""
    distance = np.arange(0, 1 << 16)
    e = units.exponential(distance) * 2.0**-15
    error = np.abs(e - np.exp(-distance / 256))
    near = distance < 8 * 256
    assert np.all(error[near] <= 1.5 * 2.0**-15 + 2.0**-32)
    assert np.all(e[~near] == 0)


@pytest.mark.parametrize("classes", [1, 2, 10, 128])
@pytest.mark.parametrize("spread", [100, 2000, WORD_MAX])
def test_softmax_cross_entropy(classes: int, spread: int, random: np.random.Generator) -> None:
    """With d the error of an exponential, D the sum of them, p the softmax, S >= 1 the sum:

    |e/S - p| <= (d + p D) / S'; the reciprocal is that of the middle of one of 256 steps from 1
    to 2, so 2**-9 off, its two roundings 2**-16 and 2**-15 (it is at least 1/2, r too).
    The logarithm is 2**-9 off likewise, its entry 2**-17, ln 2 as much for each octave.
    """
    rows, residual, delta_fraction = 60, 19661, 13
    z = random.integers(-spread - 1, spread + 1, (rows, classes))
    label = random.integers(0, classes, rows)
    result = units.softmax_cross_entropy(z, label, residual=residual, shift=31 - delta_fraction)

    distance = z.max(axis=1, keepdims=True) - z
    e = np.exp(-distance / 256)
    total = e.sum(axis=1, keepdims=True)
    p = e / total
    off = np.where(distance < 8 * 256, 1.5 * 2.0**-15 + 2.0**-32, e)
    off_total = off.sum(axis=1, keepdims=True)
    least = np.maximum(total - off_total, 1)
    off_p = (off + p * off_total) / least
    relative = (1 + 2.0**-9) * (1 + 2.0**-16) * (1 + 2.0**-15) - 1
    off_p += (p + off_p) * relative
    onehot = np.arange(classes) == label[:, None]
    exact = (p - onehot) * residual / 2**15 * 2.0**delta_fraction
    bound = (off_p * residual / 2**15 + 2.0**-31) * 2.0**delta_fraction + HALF
    assert not result.saturated.any()
    assert np.all(np.abs(result.delta - exact) <= bound)

    exact_loss = (np.log(total[:, 0]) + distance[onehot] / 256).sum()
    octaves = np.floor(np.log2(total)) + 1
    off_loss = np.log(total / least) + np.log1p(off_total / total) + 2.0**-9
    off_loss += 2.0**-17 * (1 + octaves)
    assert abs(result.loss * 2.0**-LOSS_FRACTION_BITS - exact_loss) <= off_loss.sum()
    assert result.correct == np.count_nonzero(z.argmax(axis=1) == label)


def test_label_of_no_class_matches_nothing() -> None:
    z = np.array([[300, -20, 5]])
    none = units.softmax_cross_entropy(z, np.array([3]), residual=1 << 15, shift=18)
    first = units.softmax_cross_entropy(z, np.array([0]), residual=1 << 15, shift=18)
    assert none.correct == 0 and first.correct == 1
    assert none.loss == first.loss, "the largest logit adds nothing beside the logarithm"
    assert np.array_equal(none.delta - first.delta, [[1 << 13, 0, 0]])


# Updates


def update(
    weight: int, momentum: int, gradient: int, states: np.ndarray, **rates: Any
) -> units.Updated:
    full: dict[str, Any] = {"factor": 0, "rate": (0, 0), "decay": (0, 0), **rates}
    return units.update(
        weight=np.full(len(states), weight),
        momentum=np.full(len(states), momentum),
        gradient=np.full(len(states), gradient),
        random=states,
        **full,
    )


EVERY_HALF = np.arange(1 << 16, dtype=np.uint32)


def test_momentum_is_unbiased(random: np.random.Generator) -> None:
    """The mean over all r0 is the exact value: the 2**16 results add up to 2**16 times it."""
    for _ in range(20):
        weight, momentum = (int(x) for x in random.integers(-16000, 16000, 2))
        gradient = int(random.integers(-(1 << 21), 1 << 21))
        factor = int(random.integers(0, 1 << 16))
        result = update(weight, momentum, gradient, EVERY_HALF, factor=factor)
        assert not result.momentum_saturated.any()
        assert result.momentum.sum() == factor * momentum + (gradient << 8)


def test_weight_is_unbiased(random: np.random.Generator) -> None:
    for _ in range(20):
        weight, momentum = (int(x) for x in random.integers(-10000, 10000, 2))
        rate, decay = (
            (int(random.integers(0, 1 << 16)), int(random.integers(0, 16))) for _ in range(2)
        )
        # A momentum that no r0 changes.
        states = EVERY_HALF << np.uint32(16)
        result = update(weight, 0, momentum << 8, states, rate=rate, decay=decay)
        assert np.all(result.momentum == momentum)
        assert not result.weight_saturated.any()
        step = math.floor(Fraction(rate[0] * momentum, 1 << rate[1]))
        shrink = math.floor(Fraction(decay[0] * weight, 1 << decay[1]))
        assert result.weight.sum() == (weight << UPDATE_FRACTION_BITS) - step - shrink


def test_without_rates_a_weight_stays(random: np.random.Generator) -> None:
    states = random.integers(0, 1 << 32, 1000, dtype=np.uint32)
    for weight in (WORD_MIN, -1, 0, 1, WORD_MAX):
        assert np.all(update(weight, 77, -12345, states, factor=60000).weight == weight)


def test_update_saturates_at_both_rails() -> None:
    states = np.array([0, 0xFFFFFFFF], np.uint32)
    top = (1 << (GRADIENT_BITS - 1)) - 1
    for momentum, gradient, v, w in (
        (WORD_MAX, top, WORD_MAX, WORD_MIN),
        (WORD_MIN, -top - 1, WORD_MIN, WORD_MAX),
    ):
        result = update(w, momentum, gradient, states, factor=65535, rate=(65535, 0), decay=(0, 0))
        assert np.all(result.momentum == v) and result.momentum_saturated.all()
        assert np.all(result.weight == w) and result.weight_saturated.all()


# Clipping


@pytest.mark.parametrize("bits", range(2, GRADIENT_BITS + 1))
def test_squares_are_exact_and_saturate(bits: int, random: np.random.Generator) -> None:
    gradient = random.integers(-(1 << (bits - 1)), 1 << (bits - 1), (40, 60))
    gradient[0, :2] = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    exact = sum(int(g) ** 2 for g in gradient.reshape(-1))
    assert units.add_squares(0, gradient) == exact
    top = (1 << NORM_BITS) - 1
    assert units.add_squares(top - exact, gradient) == top
    assert units.add_squares(top - exact + 1, gradient) == top
    assert units.add_squares(top - exact - 1, gradient) == top - 1


@pytest.mark.parametrize("threshold", [1, 77, 4096, (1 << 16) - 1])
def test_factor_brings_a_norm_just_to_the_threshold(threshold: int) -> None:
    one, limit = 1 << CLIP_FRACTION_BITS, threshold << GRADIENT_GUARD_BITS
    for norm in (0, 1, limit - 1, limit, limit + 1, 3 * limit, (1 << 32) - 1):
        found, factor = units.clip_factor(norm**2, threshold)
        assert found == norm and 0 <= factor <= one
        if norm <= limit:
            assert factor == one
        else:
            # The largest factor whose product with the norm is within the threshold.
            assert factor * norm <= limit * one < (factor + 1) * norm
        assert units.clip_factor(norm**2 + norm, threshold)[0] == norm
    assert units.clip_factor((1 << NORM_BITS) - 1, threshold)[0] == (1 << 32) - 1


def test_clip_is_the_nearest_gradient(random: np.random.Generator) -> None:
    top = 1 << (GRADIENT_BITS - 1)
    gradient = np.append(random.integers(-top, top, 2000), [-top, -1, 0, 1, top - 1])
    one = 1 << CLIP_FRACTION_BITS
    assert np.array_equal(units.clip(gradient, one), gradient)
    for factor in (0, 1, one // 2, one - 1, *random.integers(0, one, 5).tolist()):
        found = units.clip(gradient, factor)
        expected = [math.floor(Fraction(int(g) * factor, one) + Fraction(1, 2)) for g in gradient]
        assert found.tolist() == expected
        assert np.abs(found).max() <= top


@pytest.mark.parametrize("share", [0.001, 0.3, 0.999, 1.0, 1.001, 20.0])
def test_clipping_agrees_with_pytorch(share: float, random: np.random.Generator) -> None:
    """`torch.nn.utils.clip_grad_norm_` over three layers, by a share of their norm.

    The device's norm is short of the exact one by less than an LSB, and its factor by less than
    2**-16. PyTorch adds 1e-6 to a norm.
    """
    torch = pytest.importorskip("torch")
    lsb = 2.0**-20
    layers = [
        (random.normal(0, 0.05, shape) / lsb).astype(np.int64)
        for shape in ((32, 65), (16, 33), (10, 17))
    ]
    exact = math.sqrt(sum(int(np.sum(g * g)) for g in layers)) * lsb
    threshold = round(share * exact * 2**12)
    limit = threshold * 2.0**-12
    squares = 0
    for gradient in layers:
        squares = units.add_squares(squares, gradient)
    norm, factor = units.clip_factor(squares, threshold)
    assert 0 <= exact - norm * lsb < lsb

    parameters = [torch.zeros(g.shape, dtype=torch.float64) for g in layers]
    for parameter, gradient in zip(parameters, layers, strict=True):
        parameter.grad = torch.tensor(gradient * lsb)
    torch.nn.utils.clip_grad_norm_(parameters, limit)
    bound = limit / (norm * lsb) * (lsb / exact + 1e-6 / exact) + 2.0**-CLIP_FRACTION_BITS
    for parameter, gradient in zip(parameters, layers, strict=True):
        found = units.clip(gradient, factor) * lsb
        error = np.abs(found - parameter.grad.numpy())
        assert np.all(error <= np.abs(gradient) * lsb * bound + HALF * lsb)
