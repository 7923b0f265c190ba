"""Inputs of more samples than memory is to hold: words in a file, read when they are needed."""

import mmap
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from host.fixed_point import encode
from hw.numbers import WORD_BITS, Format

WORD_BYTES = WORD_BITS // 8

SPARE = 1 << 28
"""Bytes of a disk that are left alone."""


class StoredInputs:
    """Inputs (N, F) of a format, which are looked up when they are needed.

    It stands where an array of inputs stands: it has a shape, and can be indexed by the numbers of
    samples, as scikit-learn does to split it; that copies nothing but the numbers.

    Attributes
    ----------
    shape, dtype, ndim: as of the array of float64 that it stands for
    file: rows of little-endian words of M samples, 2 F bytes each
    fmt: of the words
    index: the N rows that it consists of
    """

    ndim = 2
    dtype = np.dtype(np.float64)

    def __init__(self, file: "RowFile", fmt: Format, index: NDArray[np.int64]) -> None:
        self.file, self.fmt, self.index = file, fmt, index
        self.shape = (len(index), file.rows.shape[1] // WORD_BYTES)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, key: Any) -> "StoredInputs":
        numbers = key[0] if isinstance(key, tuple) else key
        return StoredInputs(self.file, self.fmt, self.index[numbers])

    def __array__(self, *arguments: Any, **options: Any) -> NDArray[Any]:
        raise TypeError(f"{self.shape[0]} stored inputs must not be loaded as a whole")


class RowFile:
    """A file of rows of bytes, which are read one by one.

    Looking them up in the mapped file is no quicker, and the system then maps up to half a
    megabyte around each row, which counts as this process's memory.

    Parameters
    ----------
    file: of rows; it stays open as long as this does
    width: bytes of a row

    Attributes
    ----------
    rows: (M, width), mapped for whoever walks all of them; not to be written
    """

    def __init__(self, file: IO[bytes], width: int) -> None:
        self._file, self._width = file, width
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.rows = np.frombuffer(mapping, np.uint8).reshape(-1, width)

    def take(self, index: NDArray[np.int64]) -> NDArray[np.uint8]:
        """A copy of some rows; OSError where the file does not give them."""
        found = np.empty((len(index), self._width), np.uint8)
        file, width = self._file.fileno(), self._width
        for row, number in zip(found, index.tolist(), strict=True):
            if os.preadv(file, [row.data], number * width) != width:
                raise OSError(f"stored sample {number} cannot be read any more")
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
        self._file.flush()
        rows = RowFile(self._file, self._features * WORD_BYTES)
        return StoredInputs(rows, self._fmt, np.arange(self._samples))
