"""Data sets: where they come from, how they are split and scaled.

    source --split 80/20--> train | test --scale with what TRAIN says--> device's range
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Z_SCORE_LIMIT = 4.0
"""Standard deviations from the mean at which a z-scored input is clipped."""

Reals = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scaling:
    """(x - offset) / divisor, limited to +-limit; offset and divisor a number each or by column."""

    offset: Reals
    divisor: Reals
    limit: float = np.inf

    @classmethod
    def by(cls, divisor: float) -> "Scaling":
        """x / divisor."""
        return cls(np.zeros(()), np.asarray(float(divisor)))

    @classmethod
    def z_score(cls, inputs: Reals) -> "Scaling":
        """Mean 0 and deviation 1 over `inputs`; a column that never changes becomes 0."""
        deviation = inputs.std(axis=0)
        divisor = np.where(deviation > 0, deviation, 1.0)
        return cls(inputs.mean(axis=0), divisor, Z_SCORE_LIMIT)

    def __call__(self, inputs: ArrayLike) -> Reals:
        scaled = (np.asarray(inputs, dtype=np.float64) - self.offset) / self.divisor
        return np.clip(scaled, -self.limit, self.limit)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A split and scaled data set.

    Attributes
    ----------
    train, test: scaled inputs (N, F) and targets: N class indices, or an (N, O) array
    classes: whether targets are classes
    outputs: number of classes or of values a target has
    scaling: from the source's inputs to these
    """

    train: tuple[Reals, NDArray[Any]]
    test: tuple[Reals, NDArray[Any]]
    classes: bool
    outputs: int
    scaling: Scaling

    @property
    def features(self) -> int:
        """F."""
        return self.train[0].shape[1]


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


SOURCES: dict[str, Callable[[int], tuple[Reals, NDArray[Any]]]] = {
    "digits": _bundled("load_digits"),
    "breast_cancer": _bundled("load_breast_cancer"),
    "iris": _bundled("load_iris"),
    "wine": _bundled("load_wine"),
    "sums": sums,
}
"""Named sources, each a function of a seed, which the bundled ones need not."""


def read_file(path: Path) -> tuple[Reals, NDArray[Any]]:
    """Inputs and targets of a file: NPZ with arrays x and y, or CSV whose last column is y.

    A CSV file's first line may name the columns. Raises ValueError on any other file.
    """
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            missing = {"x", "y"} - set(arrays.files)
            if missing:
                raise ValueError(f"{path} must hold arrays x and y, but {min(missing)} is missing")
            return np.asarray(arrays["x"]), np.asarray(arrays["y"])
    if path.suffix == ".csv":
        with path.open(encoding="utf-8") as lines:
            named = any(not _is_number(cell) for cell in lines.readline().split(","))
            if named and not lines.readline():
                raise ValueError(f"{path} must have at least one sample, not none")
        table = np.loadtxt(path, delimiter=",", skiprows=int(named), ndmin=2)
        if table.shape[1] < 2:
            raise ValueError(f"{path} must have columns of inputs and then one of targets")
        return table[:, :-1], table[:, -1]
    raise ValueError(f"a data file must end in .npz or .csv, not {path.name}")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def prepare(
    inputs: NDArray[Any],
    targets: NDArray[Any],
    *,
    classes: bool,
    scaling: str | float,
    test_size: float,
    seed: int,
) -> Dataset:
    """Split and scale; ValueError on data that cannot be.

    Parameters
    ----------
    classes: whether targets are classes; the split then keeps their shares
    scaling: 'z-score', 'none', or what inputs are divided by
    test_size: share of the samples that is not trained on
    seed: of the split
    """
    from sklearn.model_selection import train_test_split

    _check(inputs, targets, classes=classes)
    if classes:
        targets = targets.astype(np.int64)
        if len(np.unique(targets)) < 2:
            raise ValueError("data must have at least two classes, not only one")
    elif targets.ndim == 1:
        targets = targets[:, None]
    train_x, test_x, train_y, test_y = train_test_split(
        inputs.astype(np.float64),
        targets,
        test_size=test_size,
        random_state=seed,
        stratify=targets if classes else None,
    )
    if scaling == "z-score":
        scale = Scaling.z_score(train_x)
    else:
        scale = Scaling.by(1.0 if scaling == "none" else float(scaling))
    return Dataset(
        train=(scale(train_x), train_y),
        test=(scale(test_x), test_y),
        classes=classes,
        outputs=int(targets.max()) + 1 if classes else targets.shape[1],
        scaling=scale,
    )


def _check(inputs: NDArray[Any], targets: NDArray[Any], *, classes: bool) -> None:
    for name, array in (("inputs", inputs), ("targets", targets)):
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{name} must be numbers, not {array.dtype}")
        if not array.size:
            raise ValueError(f"{name} must have at least one sample, not none")
    if inputs.ndim != 2 or len(inputs) != len(targets):
        raise ValueError(
            "inputs must be an array of N x F with a target each, not "
            f"{inputs.shape} with targets {targets.shape}"
        )
    strange = np.argwhere(~np.isfinite(inputs))
    if len(strange):
        row, column = (int(place) for place in strange[0])
        raise ValueError(
            f"every input must be finite, but {inputs[row, column]} stands in column {column}, "
            f"row {row}; drop such samples or replace the value"
        )
    if classes:
        whole = targets.ndim == 1 and bool((targets == np.floor(targets)).all())
        if not whole or targets.min() < 0:
            raise ValueError(
                "labels must be whole numbers from 0 on, one for each sample; number the classes "
                "from 0"
            )
