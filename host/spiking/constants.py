"""Physical units to the words of the device's parameters, each with its rounding.

A constant that no word can hold, or that a word rounds to nothing, is refused: a network would
silently do something else.
"""

import math
from typing import NamedTuple

from host.memory_map import CompileError
from hw.numbers import WORD_MAX, WORD_MIN, Format

DECAY_BITS = 15
"""Binary point of decays, and of spikes a step."""

CHANGE_BITS = 16
"""Binary point of a change of a weight, below the weight's own: coefficient times trace."""

SOFT_BITS = 31
"""The same where a bound is soft: the product is shifted right by 15 in between."""


class Shifted(NamedTuple):
    """word * 2**-shift, or word * 2**shift, as its maker says."""

    word: int
    shift: int


def fixed(name: str, value: float, fraction: int) -> int:
    """round(value * 2**fraction), halves upwards.

    Raises CompileError where that is no word, or 0 and the value is not.
    """
    word = math.floor(math.ldexp(value, fraction) + 0.5)
    if not WORD_MIN <= word <= WORD_MAX:
        low, high = math.ldexp(WORD_MIN, -fraction), math.ldexp(WORD_MAX, -fraction)
        raise CompileError(
            f"{name} must lie from {low:g} to {high:g} in words of {fraction} fraction bits, not "
            f"{value:g}: make it smaller, or choose formats with fewer fraction bits"
        )
    if value and not word:
        raise CompileError(
            f"{name} of {value:g} rounds to 0 in words of {fraction} fraction bits, whose least is "
            f"{2.0**-fraction:g}: make it larger, set it to 0, or choose formats with more "
            "fraction bits"
        )
    return word


def weight_limit(name: str, value: float, fmt: Format) -> int:
    """A bound of weights; the least positive number that is too large, such as 1.0 in Q0.15,
    becomes the largest word."""
    return WORD_MAX if value == -fmt.minimum else fixed(name, value, fmt.fraction)


def decay(name: str, tau: float | None, time: float) -> int:
    """-round(32768 (1 - exp(-time / tau))): what x loses in `time` ms, x += x decay >> 15.

    0 without a time constant. Raises CompileError where it rounds to 0.
    """
    if tau is None:
        return 0
    word = -math.floor((1 << DECAY_BITS) * -math.expm1(-time / tau) + 0.5)
    if not word:
        raise CompileError(
            f"{name} of {tau:g} ms is too long for steps of {time:g} ms, in which less than "
            f"2**-16 is lost: take at most {time * (1 << 16):g} ms, or leave it out for no decay"
        )
    return word


def steps(name: str, time: float, dt: float) -> int:
    """round(time / dt), halves upwards; CompileError where it is no word, or 0 and time is not."""
    return fixed(f"{name} in steps of {dt:g} ms", time / dt, 0)


def scaled(value: float) -> Shifted:
    """word and the largest shift for which value ~ word * 2**-shift, 0 <= word <= 32767."""
    shift = 63
    while shift and math.floor(math.ldexp(value, shift) + 0.5) > WORD_MAX:
        shift -= 1
    return Shifted(fixed("gain", value, shift), shift)


def norm(target: float, fraction: int) -> Shifted:
    """word and the least shift for which target * 2**fraction ~ word * 2**shift."""
    shift = 0
    while math.floor(math.ldexp(target, fraction - shift) + 0.5) > WORD_MAX:
        shift += 1
    return Shifted(fixed("target of the scaling", target, fraction - shift), shift)


def coefficient(name: str, change: float, *, weight: int, trace: int, soft: bool = False) -> int:
    """What PLASTICITY multiplies traces by, for a change by `change` weights at a trace of 1.0.

    Additive: change 2**(weight + 16 - trace). Soft, a change by `change` of the distance from the
    bound: change 2**(31 - trace). `weight` and `trace` are fraction bits.
    """
    return fixed(name, change, SOFT_BITS - trace if soft else weight + CHANGE_BITS - trace)
