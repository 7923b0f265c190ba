"""Inputs of more samples than memory is to hold: words in a file, of which pages come and go."""

import mmap
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from host.fixed_point import encode
from hw.numbers import WORD_BITS, Format

WORD_BYTES = WORD_BITS // 8

PAGES_AROUND = 1 << 16
"""Bytes that the system maps where one is read: those beside it come along."""

RESIDENT = 1 << 24
"""Bytes of the file that are left mapped, about, before they are let go."""

SPARE = 1 << 28
"""Bytes of a disk that are left alone."""


class StoredInputs:
    """Inputs (N, F) of a format, which are looked up when they are needed.

    It stands where an array of inputs stands: it has a shape, and can be indexed by the numbers of
    samples, as scikit-learn does to split it; that copies nothing but the numbers.

    Attributes
    ----------
    shape, dtype, ndim: as of the array of float64 that it stands for
    mapped: rows of little-endian words of the samples in the file, (M, 2 F) bytes
    fmt: of the words
    index: the N rows that it consists of
    """

    ndim = 2
    dtype = np.dtype(np.float64)

    def __init__(self, mapped: "MappedRows", fmt: Format, index: NDArray[np.int64]) -> None:
        self.mapped, self.fmt, self.index = mapped, fmt, index
        self.shape = (len(index), mapped.rows.shape[1] // WORD_BYTES)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, key: Any) -> "StoredInputs":
        numbers = key[0] if isinstance(key, tuple) else key
        return StoredInputs(self.mapped, self.fmt, self.index[numbers])

    def __array__(self, *arguments: Any, **options: Any) -> NDArray[Any]:
        raise TypeError(f"{self.shape[0]} stored inputs must not be loaded as a whole")


class MappedRows:
    """A file of rows of bytes, read where it is looked at.

    Attributes
    ----------
    rows: (M, bytes of a row), not to be written
    """

    def __init__(self, mapping: mmap.mmap, width: int) -> None:
        self._mapping = mapping
        self.rows = np.frombuffer(mapping, np.uint8).reshape(-1, width)
        self._taken = 0

    def take(self, index: NDArray[np.int64]) -> NDArray[np.uint8]:
        """A copy of some rows; lets go of the pages of those taken before, now and then."""
        found = self.rows[index]
        self._taken += len(index) * max(PAGES_AROUND, self.rows.shape[1])
        if self._taken > RESIDENT:
            self._mapping.madvise(mmap.MADV_DONTNEED)
            self._taken = 0
        return found


class InputStore:
    """A file in the folder for temporary ones, without a name, that goes with the process.

    Parameters
    ----------
    samples, features: that it will have
    fmt: of its words

    Raises ValueError where the disk has too little room.
    """

    def __init__(self, samples: int, features: int, fmt: Format) -> None:
        self._fmt, self._samples, self._features = fmt, samples, features
        folder = Path(tempfile.gettempdir())
        needed, free = samples * features * WORD_BYTES, shutil.disk_usage(folder).free
        if needed + SPARE > free:
            raise ValueError(
                f"{folder} must have room for {needed:,} bytes of samples and {SPARE:,} to spare, "
                f"not {free:,} bytes: set TMPDIR to a folder on a larger disk"
            )
        self._file = tempfile.TemporaryFile(prefix="synaptile-", dir=folder)

    def append(self, inputs: NDArray[np.float64]) -> None:
        """Add samples; RangeError where the format does not hold them."""
        self._file.write(encode(inputs, self._fmt, name="input").astype("<i2").tobytes())

    def finished(self) -> StoredInputs:
        """All of them."""
        with self._file as file:
            file.flush()
            mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        rows = MappedRows(mapping, self._features * WORD_BYTES)
        return StoredInputs(rows, self._fmt, np.arange(self._samples))
