"""Arrays of samples in files: NPZ, NPY and IDX, read from their beginning, never as a pickle.

    header (type, shape) | samples, one after another        of inputs, and the same of targets
"""

import gzip
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from host.data.table import CHUNK_VALUES, Reals, Targets

IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""Third byte of an IDX file: the type of its values (http://yann.lecun.com/exdb/mnist)."""

NPY_HEADERS: dict[tuple[int, int], Any] = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
}

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
        with _whole(self.name), self.opened() as stream:
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


def npz_file(path: Path, inputs: str, target: str) -> ArrayFile:
    """The arrays of these names in an NPZ file."""
    with _whole(str(path)), zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        for name in (inputs, target):
            if name not in members:
                raise ValueError(
                    f"{path} must hold arrays {inputs} and {target}, but {name} is missing; it "
                    f"holds {', '.join(members) or 'none'}; data.inputs and data.target name others"
                )
        found = []
        for name in (inputs, target):
            info = members[name]
            with archive.open(info) as stream:
                header = _npy_header(stream, f"{path}, array {name}", info.file_size)
                at = stream.tell()
            found.append(
                ArrayStream(
                    name=f"{path}, array {name}",
                    shape=header[0],
                    dtype=header[1],
                    opened=_member(path, info.filename, at),
                    fortran=header[2],
                )
            )
    return ArrayFile(*found)


def npy_file(path: Path, labels: Path | None) -> ArrayFile:
    """The array of an NPY file, and the targets of another."""
    targets = _labels(path, labels, "y.npy")
    return ArrayFile(_npy(path), _npy(targets))


def idx_file(path: Path, labels: Path | None) -> ArrayFile:
    """The array of an IDX file, MNIST's format, and the labels of another; either may be .gz."""
    targets = _labels(path, labels, "train-labels-idx1-ubyte")
    return ArrayFile(_idx(path), _idx(targets))


def _labels(path: Path, labels: Path | None, example: str) -> Path:
    if labels is None:
        raise ValueError(f"{path} has no targets: data.labels names their file, such as {example}")
    return labels


def _npy(path: Path) -> ArrayStream:
    with _whole(str(path)), path.open("rb") as file:
        shape, dtype, fortran = _npy_header(file, str(path), path.stat().st_size)
        at = file.tell()
    return ArrayStream(
        name=str(path),
        shape=shape,
        dtype=dtype,
        opened=_from(lambda: path.open("rb"), at),
        fortran=fortran,
    )


def _npy_header(
    stream: IO[bytes], name: str, size: int
) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
    """Shape, type, and whether it is in Fortran's order.

    Raises ValueError where they do not account for a file of so many bytes.
    """
    version = npy.read_magic(stream)
    if version not in NPY_HEADERS:
        raise ValueError(f"must be of NPY version 1.0 or 2.0, not {version}")
    shape, fortran, dtype = NPY_HEADERS[version](stream)
    if dtype.hasobject:
        raise ValueError("must hold numbers, not Python objects, which are never unpickled")
    _check_size(name, shape, dtype, size - stream.tell())
    return shape, dtype, fortran and len(shape) > 1


def _idx(path: Path) -> ArrayStream:
    def opened() -> IO[bytes]:
        return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")

    with _whole(str(path)), opened() as stream:
        magic = stream.read(4)
        if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in IDX_TYPES or not magic[3]:
            raise ValueError(
                "must begin with two zeros, a type (08, 09, 0b, 0c, 0d, 0e) and the number of "
                f"axes, not {magic.hex(' ')}"
            )
        axes = stream.read(4 * magic[3])
        shape = struct.unpack(f">{magic[3]}I", axes)
        at = stream.tell()
        dtype = np.dtype(IDX_TYPES[magic[2]])
        if path.suffix != ".gz":
            _check_size(str(path), shape, dtype, path.stat().st_size - at)
    return ArrayStream(
        name=str(path),
        shape=shape,
        dtype=dtype,
        opened=_from(opened, at),
    )


def _check_size(name: str, shape: tuple[int, ...], dtype: np.dtype[Any], size: int) -> None:
    """Before anything is made as large as a header says."""
    expected = prod(shape) * dtype.itemsize
    if size != expected:
        raise ValueError(
            f"must have {expected:,} bytes of an array of {' x '.join(map(str, shape))} {dtype}, "
            f"not {size:,}"
        )


def _from(opened: Callable[[], IO[bytes]], at: int) -> Callable[[], IO[bytes]]:
    def positioned() -> IO[bytes]:
        stream = opened()
        stream.seek(at)
        return stream

    return positioned


def _member(path: Path, name: str, at: int) -> Callable[[], Any]:
    """Opens an array in a ZIP archive behind its header."""

    @contextmanager
    def opened() -> Iterator[IO[bytes]]:
        with zipfile.ZipFile(path) as archive, archive.open(name) as stream:
            stream.read(at)
            yield stream

    return opened


@contextmanager
def _whole(name: str) -> Iterator[None]:
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
