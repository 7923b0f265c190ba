"""An array of inputs and one of targets, as a reader of samples."""

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from host.data.array_stream import ArrayStream
from host.data.table import CHUNK_VALUES, Reals, Targets


class ArrayFile:
    """A reader of an array of inputs, N x ..., and one of targets; see `host.data.table.Reader`.

    Raises ValueError where they are not of numbers or do not fit each other.
    """

    def __init__(self, inputs: ArrayStream, targets: ArrayStream) -> None:
        self._inputs, self._targets = inputs, targets
        for array in (inputs, targets):
            if array.dtype.kind not in "biuf":
                raise ValueError(f"{array.name} must hold numbers, not {array.dtype}")
        if len(inputs.shape) < 2 or not prod(inputs.shape[1:]):
            raise ValueError(f"{inputs.name} must be an array of N x F or more, not {inputs.shape}")
        if len(targets.shape) not in (1, 2) or targets.shape[0] != inputs.shape[0]:
            raise ValueError(
                f"{targets.name} must have a target for each of the {inputs.shape[0]} samples, not "
                f"the shape {targets.shape}"
            )
        if not inputs.shape[0]:
            raise ValueError(f"{inputs.name} must have at least one sample, not none")
        self.columns: tuple[str, ...] = ()
        self.shape = inputs.shape[1:]
        self.tested, self.in_pieces = 0, not (inputs.fortran or targets.fortran)

    @property
    def size(self) -> int:
        """See `Reader`."""
        return 8 * prod(self._inputs.shape)

    @property
    def file_bytes(self) -> int:
        """See `Reader`: of the values, as they are unpacked."""
        return prod(self._inputs.shape) * self._inputs.dtype.itemsize

    def chunks(self) -> Iterator[tuple[Reals, Targets, int]]:
        """See `Reader`."""
        many = max(1, CHUNK_VALUES // prod(self.shape))
        targets = self._targets.records(many)
        start = 0
        for inputs in self._inputs.records(many):
            some = next(targets)
            # A value that float64 cannot hold becomes infinite, and is refused below.
            with np.errstate(all="ignore"):
                flat = inputs.reshape(len(inputs), -1).astype(np.float64)
            _check_finite(self._inputs.name, flat, start)
            _check_finite(self._targets.name, some.reshape(len(some), -1), start)
            start += len(flat)
            yield flat, _native(some), self.file_bytes * start // self._inputs.shape[0]
        # Read to its end, so that what comes after the last target is seen.
        for _ in targets:
            raise AssertionError("inputs and targets have as many entries")

    def targets(self) -> Iterator[tuple[Targets, int]]:
        """See `Reader`."""
        for some in self._targets.records(CHUNK_VALUES):
            yield _native(some), 0


def _check_finite(name: str, values: NDArray[Any], start: int) -> None:
    strange = np.argwhere(~np.isfinite(values))
    if len(strange):
        row, column = (int(place) for place in strange[0])
        raise ValueError(
            f"{name}, sample {start + row}, column {column}: must be finite, not "
            f"{values[row, column]}; drop such samples or replace the value"
        )


def _native(values: NDArray[Any]) -> NDArray[Any]:
    """In the machine's own byte order."""
    return values.astype(values.dtype.newbyteorder("="))
