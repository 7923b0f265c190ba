"""Files larger than memory is to hold: read three times in pieces, kept as words in a file.

    file --targets--> split --pieces of TRAIN--> scaling --all pieces--> words

The result is that of `host.data.splitting.prepare_table` but for the last bits of a z-score, whose
sums are taken in another order. In memory are the targets, and a few numbers a sample.
"""

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from host.data.checks import check_targets
from host.data.progress import reading
from host.data.scaling import Clipping, Scaling
from host.data.splitting import Dataset, Recipe, shaped_targets, split
from host.data.stored_inputs import InputStore, StoredInputs
from host.data.table import Reader, Reals, TargetCollector, numbered
from host.fixed_point import RangeError
from hw.numbers import Format


def store(reader: Reader, recipe: Recipe, fmt: Format, place: str) -> Dataset:
    """A file's samples as words of `fmt`, split and scaled; ValueError as of `prepare_table`.

    The recipe has no preprocessing. `place` is the file's name in errors.
    """
    if not reader.in_pieces:
        raise ValueError(
            f"{place} must be in C order to be read in pieces, not Fortran's; save "
            "np.ascontiguousarray of its arrays, or raise data.memory"
        )
    collector = TargetCollector(place)
    with reading("counting samples", reader.file_bytes) as show:
        for some, done in reader.targets():
            collector.add(some)
            show(done)
    found, classes = collector.result()
    check_targets(found, classes=recipe.classes or recipe.one_hot)
    targets, outputs = shaped_targets(found, classes, recipe)
    train, test = split(targets, recipe, reader.tested)
    scaling = _fitted(reader, recipe, train, len(targets)).within(recipe.limits)
    inputs, counts = _stored(reader, scaling, fmt, len(targets), place)
    names = reader.columns or numbered(inputs.shape[1])

    def part(numbers: NDArray[np.int64]) -> tuple[Reals, NDArray[Any]]:
        # Stands for an array wherever a data set's inputs go.
        return cast(Reals, inputs[numbers]), targets[numbers]

    return Dataset(
        train=part(train),
        test=part(test),
        classes=recipe.classes,
        outputs=outputs,
        scaling=scaling,
        shape=reader.shape,
        names=classes,
        clipping=Clipping.of(names, counts, len(targets) * inputs.shape[1]),
        stored=True,
    )


def _fitted(reader: Reader, recipe: Recipe, train: NDArray[np.int64], count: int) -> Scaling:
    """The scaling by the samples to learn, without having all of them."""
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    if recipe.scaling not in ("z-score", "min-max"):
        return Scaling.by(1.0 if recipe.scaling == "none" else float(recipe.scaling))
    learned = np.zeros(count, np.bool_)
    learned[train] = True
    scaler = StandardScaler() if recipe.scaling == "z-score" else MinMaxScaler()
    for inputs, start in _pieces(reader, "measuring columns"):
        some = inputs[learned[start : start + len(inputs)]]
        if len(some):
            with np.errstate(over="ignore", invalid="ignore"):
                scaler.partial_fit(some)
    if recipe.scaling == "z-score":
        return Scaling.of_moments(scaler.mean_, np.sqrt(scaler.var_))
    return Scaling.min_max(scaler.data_min_, scaler.data_max_)


def _stored(
    reader: Reader, scaling: Scaling, fmt: Format, count: int, place: str
) -> tuple[StoredInputs, NDArray[np.int64]]:
    """All inputs, and how many of each column were clipped."""
    features = int(np.prod(reader.shape))
    storage = InputStore(count, features, fmt)
    counts = np.zeros(features, np.int64)
    for inputs, start in _pieces(reader, "storing samples"):
        counts += scaling.outside(inputs)
        try:
            storage.append(scaling(inputs))
        except RangeError as error:
            raise RangeError(
                f"{place}, among samples {start} to {start + len(inputs) - 1}: {error}; [data] "
                "scaling does that: a divisor, or 'z-score'"
            ) from None
    return storage.finished(), counts


def _pieces(reader: Reader, title: str) -> Iterator[tuple[Reals, int]]:
    """Inputs, and the number of the first of them."""
    start = 0
    with reading(title, reader.file_bytes) as show:
        for inputs, _, done in reader.chunks():
            yield inputs, start
            start += len(inputs)
            show(done)
