"""Features of a series: moving averages, relative strength and the clock, from its own past alone.

Definitions and warm-up are TA-Lib's; docs/data.md states them.
"""

import re
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from host.data.table import Reals

DAY = 86_400_000
"""In ms."""

THURSDAY = 3
"""Of 1 January 1970, UTC, where Monday is 0."""

FEATURE = re.compile(
    r"(sma|ema|rsi|volume_sma)_([1-9]\d{0,4})|volume_ratio|time_of_day|day_of_week"
)

RATIO_PERIOD = 10
"""Samples of the mean volume by which `volume_ratio` divides."""

Series = Callable[[Reals], Reals]
"""From (N, F) to (N,), NaN as long as there is too little past."""


def feature(name: str, columns: Sequence[str]) -> Series:
    """The feature of this name, such as sma_10, of a series of these columns.

    Raises ValueError where there is none, its period is too short, or it needs another column.
    """
    match = FEATURE.fullmatch(name)
    assert match is not None, "steps are checked when the file is read"
    kind, period = match.group(1), int(match.group(2) or 0)
    if period == 1 and kind in ("rsi", "ema"):
        raise ValueError(f"{name} must have a period of at least 2, not 1")
    if kind is not None:
        column = "volume" if kind == "volume_sma" else "price"
        return partial(_averaged, kind=kind, place=_place(name, column, columns), period=period)
    if name == "volume_ratio":
        return partial(_ratio, place=_place(name, "volume", columns))
    return partial(_clock, place=_place(name, "timestamp", columns), name=name)


def _place(name: str, column: str, columns: Sequence[str]) -> int:
    if column not in columns:
        raise ValueError(
            f"{name} must have a column {column!r}, and there are {', '.join(columns)}"
        )
    return list(columns).index(column)


def _averaged(rows: Reals, *, kind: str, place: int, period: int) -> Reals:
    try:
        import talib
    except ImportError:
        raise ValueError(
            f"{kind}_{period} needs TA-Lib: pip install 'synaptile[market]', or take the step out"
        ) from None
    functions = {"sma": talib.SMA, "volume_sma": talib.SMA, "ema": talib.EMA, "rsi": talib.RSI}
    series = np.ascontiguousarray(rows[:, place], np.float64)
    if period == 1:
        return series
    if len(series) <= period:
        return np.full(len(series), np.nan)
    return functions[kind](series, timeperiod=period)


def _ratio(rows: Reals, *, place: int) -> Reals:
    mean = _averaged(rows, kind="volume_sma", place=place, period=RATIO_PERIOD)
    ratio = np.where(np.isnan(mean), np.nan, 0.0)
    return np.divide(rows[:, place], mean, out=ratio, where=mean > 0)


def _clock(rows: Reals, *, place: int, name: str) -> Reals:
    if name == "time_of_day":
        return rows[:, place] % DAY / DAY
    return (rows[:, place] // DAY + THURSDAY) % 7
