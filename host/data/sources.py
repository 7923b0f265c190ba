"""Data sets by name: those that scikit-learn brings, and made ones, which say that they are."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from host.data.table import Reals

SHAPES = {"digits": (8, 8)}
"""Of the samples that are images."""

FIRST_TIME = 1_704_067_200_000
"""1 January 2024, a Monday, in ms."""

INTERVAL = 300_000
"""Of the synthetic market, in ms."""


def _bundled(loader: str) -> Callable[[int], tuple[Reals, NDArray[Any]]]:
    def load(seed: int) -> tuple[Reals, NDArray[Any]]:
        from sklearn import datasets

        inputs, targets = getattr(datasets, loader)(return_X_y=True)
        return inputs, targets

    return load


def sums(seed: int, samples: int = 1000) -> tuple[Reals, Reals]:
    """Four whole numbers from 0 to 9 each, whose targets are (x0 + x1, x2 - x3)."""
    inputs = np.random.default_rng(seed).integers(0, 10, (samples, 4)).astype(np.float64)
    targets = np.stack([inputs[:, 0] + inputs[:, 1], inputs[:, 2] - inputs[:, 3]], axis=1)
    return inputs, targets


def generated(
    seed: int, *, samples: int, features: int, classes: int
) -> tuple[Reals, NDArray[np.int64]]:
    """Classes around random centres, for shapes of which there is no real data: 0 <= inputs < 1."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(samples) % classes)
    centres = rng.uniform(0.25, 0.75, (classes, features))
    inputs = centres[labels] + rng.uniform(-0.25, 0.25, (samples, features))
    return inputs, labels


def synthetic_market(seed: int, samples: int = 1000) -> str:
    """A made market as JSON, see `host.data.market_file`; it says nothing about a real one.

    The price swings around 100 with a period of some 60 samples and noise. What should be done is
    known from the swing: buy while it rises fast, sell while it falls fast, otherwise hold.
    """
    rng = np.random.default_rng(seed)
    phase = np.cumsum(rng.uniform(0.08, 0.13, samples))
    slope = np.cos(phase)
    price = 100 + 4 * np.sin(phase) + rng.normal(0, 0.1, samples)
    volume = rng.gamma(4.0, 50.0, samples) * (1 + 0.5 * np.abs(slope))
    spread = rng.uniform(0.01, 0.05, samples)
    actions = np.where(slope > 0.4, "buy", np.where(slope < -0.4, "sell", "hold"))
    examples = [
        {
            "input": {
                "price": round(float(price[k]), 4),
                "volume": round(float(volume[k]), 2),
                "bid": round(float(price[k] - spread[k]), 4),
                "ask": round(float(price[k] + spread[k]), 4),
                "timestamp": FIRST_TIME + INTERVAL * k,
                "features": [round(float(rng.normal()), 4)],
            },
            "target": {
                "action": str(actions[k]),
                "confidence": round(float(abs(slope[k])), 4),
                "quantity": 1.0,
                "expected_return": round(float(0.004 * slope[k]), 6),
            },
            "weight": 1.0,
        }
        for k in range(samples)
    ]
    return json.dumps({"training_examples": examples}, indent=1)


SOURCES: dict[str, Callable[[int], tuple[Reals, NDArray[Any]]]] = {
    "digits": _bundled("load_digits"),
    "breast_cancer": _bundled("load_breast_cancer"),
    "iris": _bundled("load_iris"),
    "wine": _bundled("load_wine"),
    "sums": sums,
}
"""Named sources, each a function of a seed, which the bundled ones need not."""
