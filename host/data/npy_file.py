"""NPZ and NPY: numpy's own files, never as a pickle."""

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from host.data.array_file import ArrayFile
from host.data.array_stream import ArrayStream, check_size, labels_of, opened_at, whole_file

NPY_HEADERS: dict[tuple[int, int], Any] = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
}


def npz_file(path: Path, inputs: str, target: str) -> ArrayFile:
    """The arrays of these names in an NPZ file."""
    with whole_file(str(path)), zipfile.ZipFile(path) as archive:
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
                header = _npy_header(stream, info.file_size)
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
    targets = labels_of(path, labels, "y.npy")
    return ArrayFile(_npy(path), _npy(targets))


def _npy(path: Path) -> ArrayStream:
    with whole_file(str(path)), path.open("rb") as file:
        shape, dtype, fortran = _npy_header(file, path.stat().st_size)
        at = file.tell()
    return ArrayStream(
        name=str(path),
        shape=shape,
        dtype=dtype,
        opened=opened_at(lambda: path.open("rb"), at),
        fortran=fortran,
    )


def _npy_header(stream: IO[bytes], size: int) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
    """Shape, type, and whether it is in Fortran's order.

    Raises ValueError where they do not account for a file of so many bytes.
    """
    version = npy.read_magic(stream)
    if version not in NPY_HEADERS:
        raise ValueError(f"must be of NPY version 1.0 or 2.0, not {version}")
    shape, fortran, dtype = NPY_HEADERS[version](stream)
    if dtype.hasobject:
        raise ValueError("must hold numbers, not Python objects, which are never unpickled")
    check_size(shape, dtype, size - stream.tell())
    return shape, dtype, fortran and len(shape) > 1


def _member(path: Path, name: str, at: int) -> Callable[[], Any]:
    """Opens an array in a ZIP archive behind its header."""

    @contextmanager
    def opened() -> Iterator[IO[bytes]]:
        with zipfile.ZipFile(path) as archive, archive.open(name) as stream:
            stream.read(at)
            yield stream

    return opened
