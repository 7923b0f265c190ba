"""What a source says of its samples: columns of inputs, targets, and what belongs to them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]
Targets = NDArray[Any]

CHUNK_VALUES = 1 << 18
"""Values that a file is read by at a time: 2 MiB as float64, some 20 MiB as text."""

MAX_CLASSES = 10_000
"""Most names of classes: what has more is hardly a class."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Table:
    """Samples as they stand in a source.

    Attributes
    ----------
    inputs: (N, F)
    targets: N class indices, or (N,) or (N, O) values
    columns: names of the inputs; their numbers where they have none
    classes: names of the classes in the order of their indices; () where they are numbers
    shape: of the inputs of a sample, such as (28, 28); its product is F
    weights: of the samples, or None
    times: of the samples in ms, in order of which they stand, or None
    tested: how many samples, the last ones, are the test; 0 where the split is still to be made
    """

    inputs: NDArray[Any]
    targets: Targets
    columns: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    weights: Reals | None = None
    times: Reals | None = None
    tested: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns, numbers instead of names where there are none."""
        return self.columns or numbered(self.inputs.shape[-1])


class Reader(Protocol):
    """A file of samples that is read piece by piece, as often as wanted.

    Attributes
    ----------
    columns, shape, tested: as of Table, `tested` when all has been read
    in_pieces: whether it can be read without having all of it in memory
    size: bytes of the inputs as float64, where they were all in memory; estimated
    file_bytes: of the file, for progress
    """

    columns: tuple[str, ...]
    shape: tuple[int, ...]
    tested: int
    in_pieces: bool

    @property
    def size(self) -> int: ...

    @property
    def file_bytes(self) -> int: ...

    def chunks(self) -> Iterator[tuple[Reals, Targets, int]]:
        """Inputs (n, F), targets, text where they are names, and bytes of the file until here."""

    def targets(self) -> Iterator[tuple[Targets, int]]:
        """The targets alone, quicker."""


def numbered(count: int) -> tuple[str, ...]:
    """Names of columns that have none: '0', '1' ..."""
    return tuple(map(str, range(count)))


class TargetCollector:
    """Puts the targets of a file together; names become the indices of classes, in their order.

    Names that are all numbers are taken for numbers.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._parts: list[Targets] = []
        self._codes: dict[str, int] = {}

    def add(self, targets: Targets) -> None:
        """Some more; ValueError where they have too many names."""
        if targets.dtype.kind != "U":
            self._parts.append(targets)
            return
        names, codes = np.unique(targets, return_inverse=True)
        known = [self._codes.setdefault(str(name), len(self._codes)) for name in names]
        if len(self._codes) > MAX_CLASSES:
            raise ValueError(
                f"{self._place} must have at most {MAX_CLASSES} different labels, and has more; "
                "name a column of classes as the target, or set targets = 'values' in [network]"
            )
        self._parts.append(np.array(known, np.int32)[codes])

    def result(self) -> tuple[Targets, tuple[str, ...]]:
        """All targets, and the names of the classes or ()."""
        if not self._parts:
            raise ValueError(f"{self._place} must have at least one sample, not none")
        found = np.concatenate(self._parts)
        if not self._codes:
            return found, ()
        names = list(self._codes)
        values = _numbers(names)
        if values is not None:
            return values[found], ()
        order = sorted(range(len(names)), key=names.__getitem__)
        index = np.empty(len(names), np.int64)
        index[order] = np.arange(len(names))
        return index[found], tuple(names[place] for place in order)


def _numbers(names: Sequence[str]) -> Reals | None:
    try:
        return np.array([float(name) for name in names])
    except ValueError:
        return None


def read_whole(reader: Reader, place: str) -> Table:
    """All samples of a file in memory; errors as of its reader."""
    inputs: list[Reals] = []
    collector = TargetCollector(place)
    for some, targets, _ in reader.chunks():
        inputs.append(some)
        collector.add(targets)
    targets, classes = collector.result()
    return Table(
        inputs=np.concatenate(inputs),
        targets=targets,
        columns=reader.columns,
        classes=classes,
        shape=reader.shape,
        tested=reader.tested,
    )
