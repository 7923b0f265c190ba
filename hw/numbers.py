"""Fixed-point numbers: the formats of every tensor, and the two roundings the machine knows.

A word is 16 bits, two's complement. A format Qm.n says how to read it: one sign bit, m integer
bits, n fraction bits, value = word * 2**-n. Nothing ever wraps: what does not fit saturates.
The integer functions here are the specification; the gateware and the golden model follow them.
"""

from dataclasses import dataclass
from typing import Any

WORD_BITS = 16
WORD_MIN = -(1 << (WORD_BITS - 1))
WORD_MAX = (1 << (WORD_BITS - 1)) - 1

GRADIENT_GUARD_BITS = 8
"""Fraction bits that a gradient carries below the momentum's least significant bit."""
GRADIENT_BITS = WORD_BITS + GRADIENT_GUARD_BITS

SUM_BITS = 32
"""Bits of a gradient that is accumulated, a sum of products at their own binary point."""

NORM_BITS = 64
"""Bits of the sum of the squares of gradients, which is never negative."""

CLIP_FRACTION_BITS = 16
"""Binary point of the factor by which gradients are clipped, an unsigned u0.16 word."""

UPDATE_FRACTION_BITS = 16
"""Fraction bits below a word's LSB that an update keeps until its stochastic rounding."""

RESIDUAL_FRACTION_BITS = 15
"""Binary point of the batch residual r = 2**floor(log2 N) / N, an unsigned u1.15 word."""

LOSS_FRACTION_BITS = 16
"""Binary point of the cross-entropy sum that the loss unit counts."""


@dataclass(frozen=True)
class Format:
    """Qm.n, a signed 16-bit fixed-point format: value = word * 2**-fraction.

    Raises ValueError unless sign, integer and fraction bits make 16.
    """

    integer: int
    fraction: int

    def __post_init__(self) -> None:
        if self.fraction < 0 or 1 + self.integer + self.fraction != WORD_BITS:
            raise ValueError(
                f"a format's integer and fraction bits must make {WORD_BITS - 1} with a fraction "
                f">= 0, not {self.integer} + {self.fraction}; write it as Qm.n, such as Q3.12"
            )

    @classmethod
    def parse(cls, text: str) -> "Format":
        """The format written as 'Qm.n'."""
        try:
            integer, fraction = (int(part) for part in text.removeprefix("Q").split("."))
        except ValueError:
            message = f"a format must be written as Qm.n, such as Q3.12, not {text!r}"
            raise ValueError(message) from None
        return cls(integer, fraction)

    @property
    def lsb(self) -> float:
        """The value of one least significant bit."""
        return 2.0**-self.fraction

    @property
    def minimum(self) -> float:
        """The most negative value."""
        return WORD_MIN * self.lsb

    @property
    def maximum(self) -> float:
        """The most positive value."""
        return WORD_MAX * self.lsb

    def __str__(self) -> str:
        return f"Q{self.integer}.{self.fraction}"


WEIGHT = Format(3, 12)
ACTIVATION = Format(6, 9)
LOGIT = Format(7, 8)
CURRENT = Format(4, 11)
DELTA = Format(2, 13)
MOMENTUM = Format(3, 12)


def shift_right_rounded(value: Any, shift: Any) -> Any:
    """Round(value / 2**shift), halves towards plus infinity: (value + 2**(shift-1)) >> shift.

    Works on integers and on integer arrays; a shift of 0 returns the value.
    """
    return (value + ((1 << shift) >> 1)) >> shift


def saturated(value: int, bits: int = WORD_BITS) -> int:
    """`value` limited to the range of a signed word of `bits` bits."""
    return max(-(1 << (bits - 1)), min((1 << (bits - 1)) - 1, value))


def mantissa_and_shift(value: float, *, width: int, max_shift: int = 15) -> tuple[int, int]:
    """The device's constant for a rate: value ~ mantissa * 2**-(16 + shift).

    Parameters
    ----------
    value: the rate, 0 <= value < 1
    width: significant bits that the device keeps of a mantissa (8 to 16)
    max_shift: the largest shift of the product

    Returns the 16-bit mantissa, whose 16 - `width` low bits are 0, and the shift; the largest
    shift that fits, so that the most significant bits are used.
    """
    if not 0 <= value < 1:
        raise ValueError(f"a rate must be at least 0 and below 1, not {value}")
    unit = 1 << (16 - width)
    for shift in range(max_shift, -1, -1):
        mantissa = round(value * 2.0 ** (16 + shift) / unit) * unit
        if mantissa < 1 << 16:
            return mantissa, shift
    return (1 << 16) - unit, 0


LFSR_TAPS = 0x80200003
"""Galois taps of x^32 + x^22 + x^2 + x + 1, maximal (Xilinx XAPP052, table 3)."""


def lfsr_step(state: int) -> int:
    """The 32-bit LFSR's next state; it never becomes 0 unless it is."""
    return (state >> 1) ^ (LFSR_TAPS if state & 1 else 0)


DROPOUT_BITS = 8
"""Bits of a rate of dropout, which is a multiple of 1/256, and of a random number beside it."""

LFSR_LEAP = DROPOUT_BITS
"""Steps of an LFSR from one random byte, its lowest bits, to the next: none of them stays."""


def lfsr_seed(lane: int, seed: int = 1) -> int:
    """The state from which lane `lane` starts for a seed: never 0, far apart between lanes.

    (seed * 64 + lane + 1) times the odd constant 0x9E3779B1 (Knuth's multiplicative hash), modulo
    2**32; 1 where that is 0.
    """
    return ((seed * 64 + lane + 1) * 0x9E3779B1 & 0xFFFFFFFF) or 1
