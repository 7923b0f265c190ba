"""From a table to a Dataset: checked, split, scaled with what TRAIN says.

    table --split--> train | test --scale with what TRAIN says--> device's range
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from host.data.checks import check_table
from host.data.preprocessing import Preprocessing, preprocess
from host.data.scaling import Clipping, Scaling
from host.data.table import Reals, Table, Targets

Split = Literal["random", "order"]
Weights = Literal["ignore", "resample"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is made of a table.

    Parameters
    ----------
    classes: whether targets are classes; a random split then keeps their shares
    seed: of the split
    scaling: 'z-score', 'min-max', 'none', or what inputs are divided by; without meaning where
        there is preprocessing
    test_size: share of the samples that is not trained on
    split: at random, or the last samples are the test, as of what comes in order of time
    limits: range of the inputs' format, to which they are clipped; None: refused where outside
    one_hot: make values of classes, 1 for the sample's class and 0 for the others
    weights: of samples: not looked at, or samples to learn are drawn in proportion to them
    preprocessing: steps, or None
    """

    classes: bool
    seed: int = 0
    scaling: str | float = "none"
    test_size: float = 0.2
    split: Split = "random"
    limits: tuple[float, float] | None = None
    one_hot: bool = False
    weights: Weights | None = None
    preprocessing: Preprocessing | None = None


@dataclass(frozen=True, eq=False)
class Dataset:
    """A split and scaled data set.

    Attributes
    ----------
    train, test: scaled inputs (N, F) and targets: N class indices, or an (N, O) array
    classes: whether targets are classes
    outputs: number of classes or of values a target has
    scaling: from the source's inputs to these
    shape: of the inputs of a sample
    names: of the classes, or ()
    clipping: what was outside the range to which inputs are clipped
    dropped: samples that have too little past for their features
    stored: whether inputs are not arrays but `host.data.stored_inputs.StoredInputs`
    """

    train: tuple[Reals, NDArray[Any]]
    test: tuple[Reals, NDArray[Any]]
    classes: bool
    outputs: int
    scaling: Callable[[ArrayLike], Reals]
    shape: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    clipping: Clipping = Clipping({}, 0)
    dropped: int = 0
    stored: bool = False

    @property
    def features(self) -> int:
        """F."""
        return self.train[0].shape[1]

    def results(self) -> dict[str, Any]:
        """What is to be known of the data, as plain numbers."""
        return {
            "features": self.features,
            "classes": list(self.names),
            "dropped": self.dropped,
            "stored": self.stored,
            "clipping": self.clipping.results(),
        }

    def summary(self) -> list[tuple[str, str]]:
        """What a user is told of it, in rows of a name and a text."""
        rows = [("clipped inputs", str(self.clipping))] if self.clipping.columns else []
        if self.stored:
            kept = 2 * self.features * (len(self.train[0]) + len(self.test[0]))
            rows.append(("stored samples", f"{kept:,} bytes in a file, as they are large"))
        if self.dropped:
            rows.append(("dropped samples", f"{self.dropped}, with too little past"))
        return rows


def prepare(
    inputs: NDArray[Any],
    targets: NDArray[Any],
    *,
    classes: bool,
    scaling: str | float,
    test_size: float,
    seed: int,
) -> Dataset:
    """Split and scale arrays (N, F) and (N,) or (N, O), as in Recipe; ValueError says what cannot.

    The device's format refuses later what it does not hold.
    """
    recipe = Recipe(classes=classes, scaling=scaling, test_size=test_size, seed=seed)
    return prepare_table(Table(inputs=inputs, targets=targets), recipe)


def prepare_table(table: Table, recipe: Recipe) -> Dataset:
    """Split and scale a table; ValueError on data that cannot be."""
    check_table(table, classes=recipe.classes or recipe.one_hot)
    inputs = table.inputs.astype(np.float64)
    targets, outputs = shaped_targets(table.targets, table.classes, recipe)
    train, test = split(targets, recipe, table.tested)
    dropped = 0
    shape = table.shape
    scaling: Callable[[ArrayLike], Reals]
    if recipe.preprocessing is not None:
        made = preprocess(recipe.preprocessing, inputs, table.names, train)
        usable = np.asarray(np.isfinite(made.inputs).all(axis=1))
        dropped = int((~usable).sum())
        if usable[:dropped].any():
            raise ValueError(
                "steps of the preprocessing must make finite numbers, and sample "
                f"{int(np.flatnonzero(~usable)[-1])} becomes infinite; its values are too large"
            )
        train, test = train[usable[train]], test[usable[test]]
        _check_left(train, test, dropped)
        inputs, clipping = made.inputs, made.clipping
        shape = (made.steps, inputs.shape[1] // made.steps)
        scaling = Scaling.by(1.0).within(recipe.limits)
    else:
        scaling = fitted(recipe, inputs[train]).within(recipe.limits)
        names = table.names
        clipping = Clipping.of(names, scaling.outside(inputs), inputs.size)
    train = drawn(train, table.weights, recipe)
    return Dataset(
        train=(scaling(inputs[train]), targets[train]),
        test=(scaling(inputs[test]), targets[test]),
        classes=recipe.classes,
        outputs=outputs,
        scaling=scaling,
        shape=shape or (inputs.shape[1],),
        names=table.classes,
        clipping=clipping,
        dropped=dropped,
    )


def fitted(recipe: Recipe, train: Reals) -> Scaling:
    """The scaling by these samples."""
    if recipe.scaling == "z-score":
        return Scaling.z_score(train)
    if recipe.scaling == "min-max":
        return Scaling.min_max(train.min(axis=0), train.max(axis=0))
    return Scaling.by(1.0 if recipe.scaling == "none" else float(recipe.scaling))


def shaped_targets(
    targets: Targets, names: tuple[str, ...], recipe: Recipe
) -> tuple[Targets, int]:
    """Targets as class indices (N,) or values (N, O), and how many outputs they ask for."""
    if recipe.classes or recipe.one_hot:
        targets = targets.astype(np.int64)
        if len(np.unique(targets)) < 2:
            raise ValueError("data must have at least two classes, not only one")
        outputs = len(names) or int(targets.max()) + 1
        if recipe.one_hot:
            return (targets[:, None] == np.arange(outputs)).astype(np.float64), outputs
        return targets, outputs
    if targets.ndim == 1:
        targets = targets[:, None]
    return targets, targets.shape[1]


def split(
    targets: Targets, recipe: Recipe, tested: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of the samples to learn and of those to test: the last `tested`, where not 0."""
    from sklearn.model_selection import train_test_split

    everything = np.arange(len(targets))
    if tested:
        return everything[:-tested], everything[-tested:]
    if recipe.split == "order":
        test = math.ceil(recipe.test_size * len(targets))
        if not 0 < test < len(targets):
            raise ValueError(
                f"there must be samples to learn and to test, and {len(targets)} with a test_size "
                f"of {recipe.test_size} are too few; give more"
            )
        return everything[:-test], everything[-test:]
    stratify: Targets | None = targets if recipe.classes else None
    if recipe.one_hot:
        stratify = targets.argmax(axis=1)
    train, test = train_test_split(
        everything, test_size=recipe.test_size, random_state=recipe.seed, stratify=stratify
    )
    return train, test


def drawn(
    train: NDArray[np.int64], weights: Reals | None, recipe: Recipe
) -> NDArray[np.int64]:
    """As many samples to learn, drawn in proportion to their weights where the recipe says so."""
    if weights is None or recipe.weights == "ignore":
        return train
    if float(np.ptp(weights[train])) == 0:
        return train
    if recipe.weights is None:
        raise ValueError(
            "samples have weights, which the device does not know: data.weights must be "
            "'resample', which draws the samples to learn in proportion to them, or 'ignore'"
        )
    some = weights[train] / weights[train].sum()
    return np.random.default_rng(recipe.seed).choice(train, len(train), p=some)


def _check_left(train: NDArray[np.int64], test: NDArray[np.int64], dropped: int) -> None:
    if not len(train) or not len(test):
        raise ValueError(
            f"there must be samples to learn and to test, and {dropped} have too little past for "
            "their features; give more samples, or take shorter periods"
        )
