"""Operands that benches of multipliers draw."""

import numpy as np
from numpy.typing import NDArray

from hw.numbers import WORD_MAX, WORD_MIN


def words(random: np.random.Generator, *shape: int) -> NDArray[np.int64]:
    """Random words, every fourth one at an end of the range."""
    ends = random.choice([WORD_MIN, WORD_MAX], shape)
    return np.where(
        random.random(shape) < 0.25, ends, random.integers(WORD_MIN, WORD_MAX + 1, shape)
    )
