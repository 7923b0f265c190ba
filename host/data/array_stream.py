"""An array in a file, read from its beginning, a few entries at a time.

    header (type, shape) | entry 0 | entry 1 ...
"""

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    struct.error,
    NotImplementedError,
    RuntimeError,
    ValueError,
    SyntaxError,
    OverflowError,
    MemoryError,
    TypeError,
    LookupError,
    tokenize.TokenError,
)
"""What the libraries raise where a file is not whole, or not of its kind, or encrypted."""


@dataclass(frozen=True, kw_only=True)
class ArrayStream:
    """An array in a file.

    Attributes
    ----------
    name: of the file, and of the array in it
    shape, dtype: of the array
    opened: the stream of its bytes, behind its header
    fortran: whether it is in Fortran's order, and can only be read as a whole
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    opened: Callable[[], Any]
    fortran: bool = False

    def records(self, many: int) -> Iterator[NDArray[Any]]:
        """`many` entries of the first axis at a time; ValueError where the file ends too early."""
        if self.fortran:
            whole = np.concatenate(list(self._in_order(self.shape[0])))
            turned = whole.reshape(-1).reshape(self.shape, order="F")
            for start in range(0, self.shape[0], many):
                yield turned[start : start + many]
        else:
            yield from self._in_order(many)

    def _in_order(self, many: int) -> Iterator[NDArray[Any]]:
        """The same, in the order in which they lie in the file."""
        item = self.shape[1:]
        size = prod(item) * self.dtype.itemsize
        with whole_file(self.name), self.opened() as stream:
            for start in range(0, self.shape[0], many):
                count = min(many, self.shape[0] - start)
                data = stream.read(count * size)
                if len(data) != count * size:
                    raise ValueError(
                        f"{self.name} must have {self.shape[0]} entries of {size} bytes, and ends "
                        f"in entry {start + len(data) // max(1, size)}: it is not whole; write or "
                        "fetch it again"
                    )
                yield np.frombuffer(data, self.dtype).reshape(count, *item)
            if stream.read(1):
                raise ValueError(
                    f"{self.name} must end after {self.shape[0]} entries, and has more bytes; "
                    "write or fetch it again"
                )


@contextmanager
def whole_file(name: str) -> Iterator[None]:
    """Turns what the libraries raise for a damaged file into a ValueError that names it."""
    try:
        yield
    except DAMAGED as error:
        text = str(error) or type(error).__name__
        if text.startswith(name.partition(",")[0]):
            raise ValueError(text) from None
        raise ValueError(
            f"{name} cannot be used: {text}; is it whole, and of the kind that its name says?"
        ) from None


def check_size(shape: tuple[int, ...], dtype: np.dtype[Any], size: int) -> None:
    """Raise ValueError unless an array has so many bytes, before memory is taken for it."""
    expected = prod(shape) * dtype.itemsize
    if size != expected:
        raise ValueError(
            f"must have {expected:,} bytes of an array of {' x '.join(map(str, shape))} {dtype}, "
            f"not {size:,}"
        )


def opened_at(opened: Callable[[], IO[bytes]], at: int) -> Callable[[], IO[bytes]]:
    """What opens a stream and goes to a place in it."""

    def positioned() -> IO[bytes]:
        stream = opened()
        stream.seek(at)
        return stream

    return positioned


def labels_of(path: Path, labels: Path | None, example: str) -> Path:
    """The file of the targets; ValueError where none is named."""
    if labels is None:
        raise ValueError(f"{path} has no targets: data.labels names their file, such as {example}")
    return labels
