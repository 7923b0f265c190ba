"""Real numbers to words of a format and back, refusing what a format cannot hold."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hw.numbers import WORD_BITS, WORD_MAX, WORD_MIN, Format


class RangeError(ValueError):
    """A value is not finite or does not fit its format."""


def encode(values: ArrayLike, fmt: Format, *, name: str = "value") -> NDArray[np.int16]:
    """round(values * 2**fraction), halves upwards, as words.

    Parameters
    ----------
    values: a scalar or an array; its last axis is called the column in errors
    fmt: the words' format
    name: what the values are, in the singular, for errors

    Raises RangeError, naming the column, on NaN, infinity, and a value that the format cannot hold.
    """
    real = np.asarray(values, dtype=np.float64)
    words = np.floor(np.ldexp(real, fmt.fraction) + 0.5)
    if not ((words >= WORD_MIN) & (words <= WORD_MAX)).all():
        _refuse(real, words, fmt, name)
    return words.astype(np.int16)


def decode(words: NDArray[np.integer], fmt: Format) -> NDArray[np.float64]:
    """words * 2**-fraction; uint16 words are read as two's complement."""
    signed = words.view(np.int16) if words.dtype == np.uint16 else words
    return np.ldexp(signed.astype(np.float64), -fmt.fraction)


def _refuse(real: NDArray[np.float64], words: NDArray[np.float64], fmt: Format, name: str) -> None:
    strange = np.argwhere(~np.isfinite(real))
    if len(strange):
        place = tuple(int(index) for index in strange[0])
        raise RangeError(
            f"every {name} must be finite, but {real[place]} stands in {_column(place)}"
            f"{_row(place)}; drop such samples or replace the value"
        )
    outside = (words < WORD_MIN) | (words > WORD_MAX)
    place = tuple(int(index) for index in np.argwhere(outside)[0])
    column = real[..., place[-1]] if place else real
    low, high = float(column.min()), float(column.max())
    # The least power of two by which the column divided fits, halves upwards included.
    shift = 1
    while not (
        WORD_MIN <= math.floor(math.ldexp(low, fmt.fraction - shift) + 0.5)
        and math.floor(math.ldexp(high, fmt.fraction - shift) + 0.5) <= WORD_MAX
    ):
        shift += 1
    wider = ""
    if fmt.integer + shift < WORD_BITS:
        wider = f", or choose the format {Format(fmt.integer + shift, fmt.fraction - shift)}"
    others = len(np.unique(np.argwhere(outside)[:, -1])) - 1 if place else 0
    more = f" ({others} more columns do not fit either)" if others else ""
    raise RangeError(
        f"every {name} must lie from {fmt.minimum:g} to {fmt.maximum:g} ({fmt}), but "
        f"{_column(place)} goes from {low:g} to {high:g}{more}; divide it by {2**shift}{wider}"
    )


def _column(place: tuple[int, ...]) -> str:
    return f"column {place[-1]}" if place else "it"


def _row(place: tuple[int, ...]) -> str:
    return f", row {place[0]}" if len(place) > 1 else ""
