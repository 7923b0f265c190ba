"""Steps from a series or a table to a network's inputs, as a pipeline of scikit-learn's.

    price, volume, timestamp ... --features--> more columns --min-max--> 0 to 1 --window--> inputs

Features add columns; min-max and z-score scale all columns by what TRAIN says; delta makes spikes
of their changes, window samples of several steps. Features, delta and window look at the past.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from host.data.indicators import FEATURE, feature
from host.data.scaling import Z_SCORE_LIMIT, Clipping
from host.data.table import Reals

SCALERS = ("min-max", "z-score")
OVER_TIME = ("delta", "window")
UNSCALED = ("timestamp",)
"""Columns that are no input unless asked for: they only grow."""


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Which steps, in which order.

    Parameters
    ----------
    steps: names of features, of SCALERS and of OVER_TIME
    inputs: names of the columns that are kept after the features; () for all but UNSCALED
    threshold: change of a column from one sample to the next that makes a spike of `delta`
    window: samples, the last one included, of which `window` makes one

    Raises ValueError for a step that there is not, and an order that makes no sense.
    """

    steps: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    threshold: float = 0.1
    window: int = 8

    def __post_init__(self) -> None:
        for step in self.steps:
            if step not in (*SCALERS, *OVER_TIME) and not FEATURE.fullmatch(step):
                raise ValueError(
                    "steps must be of sma_N, ema_N, rsi_N, volume_sma_N, volume_ratio, "
                    f"time_of_day, day_of_week, {', '.join((*SCALERS, *OVER_TIME))}, not {step!r}"
                )
        ranks = [_rank(step) for step in self.steps]
        if ranks != sorted(ranks) or len(set(self.steps)) < len(self.steps):
            raise ValueError(
                "steps must be features, then a scaling, then delta, then window, each once, not "
                f"{', '.join(self.steps)}"
            )
        if ranks.count(1) > 1:
            raise ValueError("steps must have min-max or z-score, not both")
        if self.window < 1 or not self.threshold > 0:
            raise ValueError("window must be at least 1 and threshold above 0")

    @property
    def in_time(self) -> bool:
        """Whether samples must follow one another in time."""
        return any(_rank(step) != 1 for step in self.steps)


def _rank(step: str) -> int:
    return {"min-max": 1, "z-score": 1, "delta": 2, "window": 3}.get(step, 0)


@dataclass(frozen=True, eq=False, kw_only=True)
class Prepared:
    """What the steps made of all samples.

    Attributes
    ----------
    inputs: (N, F), NaN where a sample has too little past
    columns: their names
    steps: time steps of a sample, of `window`
    clipping: by the scaling
    """

    inputs: Reals
    columns: tuple[str, ...]
    steps: int
    clipping: Clipping


def preprocess(
    what: Preprocessing, rows: Reals, columns: Sequence[str], train: NDArray[np.int64] | slice
) -> Prepared:
    """Carry the steps out on samples (N, F); what is learned from them is learned from `train`."""
    from sklearn.pipeline import Pipeline

    trained = len(rows[train])
    if "window" in what.steps and what.window > trained:
        raise ValueError(
            f"a window of {what.window} samples must fit into those that are trained, {trained}; "
            "make it smaller, or give more samples"
        )
    builder = _Builder(what, columns)
    pipeline = Pipeline(builder.stages())
    pipeline.fit(rows[train])
    inputs = pipeline.transform(rows)
    clipping = Clipping({}, inputs.size)
    if builder.clip is not None:
        names, counts = builder.scaled, builder.clip.outside_
        clipping = Clipping.of(names, counts, len(rows) * len(names))
    return Prepared(
        inputs=inputs, columns=tuple(builder.names), steps=builder.steps, clipping=clipping
    )


class _Builder:
    """Makes the stages, and the names of the columns behind each."""

    def __init__(self, what: Preprocessing, columns: Sequence[str]) -> None:
        self._what = what
        self.names = list(columns)
        self.scaled: list[str] = []
        self.clip: Any = None
        self.steps = 1

    def stages(self) -> list[tuple[str, Any]]:
        """Named stages of a Pipeline."""
        from sklearn.preprocessing import MinMaxScaler, StandardScaler

        stages: list[tuple[str, Any]] = []
        features = [step for step in self._what.steps if _rank(step) == 0]
        for name in features:
            series = feature(name, self.names)
            stages.append((name, _function(_append, series=series)))
            self.names.append(name)
        stages.append(("inputs", _function(_picked, places=self._kept())))
        for step in self._what.steps:
            if step in SCALERS:
                scaler = MinMaxScaler() if step == "min-max" else StandardScaler()
                low, high = (0.0, 1.0) if step == "min-max" else (-Z_SCORE_LIMIT, Z_SCORE_LIMIT)
                self.clip, self.scaled = _clip(low, high), list(self.names)
                stages += [(step, scaler), ("clip", self.clip)]
            elif step == "delta":
                stages.append((step, _function(_delta, threshold=self._what.threshold)))
                self.names = [f"{name} {way}" for way in ("up", "down") for name in self.names]
            elif step == "window":
                stages.append((step, _function(_windowed, width=self._what.window)))
                self.steps = self._what.window
                ago = range(self.steps - 1, -1, -1)
                self.names = [f"{name}[-{k}]" for k in ago for name in self.names]
        return stages

    def _kept(self) -> list[int]:
        wanted = self._what.inputs or [name for name in self.names if name not in UNSCALED]
        for name in wanted:
            if name not in self.names:
                raise ValueError(
                    f"inputs of the preprocessing must be of {', '.join(self.names)}, not {name!r}"
                )
        places = [self.names.index(name) for name in wanted]
        self.names = list(wanted)
        return places


def _function(function: Callable[..., Reals], **arguments: Any) -> Any:
    from sklearn.preprocessing import FunctionTransformer

    return FunctionTransformer(function, kw_args=arguments)


def _append(rows: Reals, *, series: Callable[[Reals], Reals]) -> Reals:
    return np.column_stack([rows, series(rows)])


def _picked(rows: Reals, *, places: list[int]) -> Reals:
    return rows[:, places]


def _delta(rows: Reals, *, threshold: float) -> Reals:
    """1 where a column has risen by the threshold since the last sample, then where it fell."""
    change = np.full(rows.shape, np.nan)
    change[1:] = rows[1:] - rows[:-1]
    spikes = np.concatenate([change >= threshold, change <= -threshold], axis=1).astype(np.float64)
    spikes[np.isnan(change).any(axis=1)] = np.nan
    return spikes


def _windowed(rows: Reals, *, width: int) -> Reals:
    """Rows k - width + 1 ... k side by side."""
    found = np.full((len(rows), width * rows.shape[1]), np.nan)
    view = np.lib.stride_tricks.sliding_window_view(rows, width, axis=0)
    found[width - 1 :] = view.transpose(0, 2, 1).reshape(len(view), -1)
    return found


def _clip(low: float, high: float) -> Any:
    """A transformer that clips, and counts in `outside_` what it has clipped the last time."""
    from sklearn.base import BaseEstimator, TransformerMixin

    class Clip(TransformerMixin, BaseEstimator):
        def __init__(self, low: float, high: float):
            self.low, self.high = low, high

        def fit(self, rows: Reals, y: object = None) -> "Clip":
            return self

        def transform(self, rows: Reals) -> Reals:
            self.outside_ = ((rows < self.low) | (rows > self.high)).sum(axis=0)
            return np.clip(rows, self.low, self.high)

        def __sklearn_is_fitted__(self) -> bool:
            return True

    return Clip(low, high)
