"""IDX: the format of MNIST, plain or with gzip."""

import gzip
import struct
from pathlib import Path
from typing import IO, cast

import numpy as np

from host.data.array_file import ArrayFile
from host.data.array_stream import ArrayStream, check_size, labels_of, opened_at, whole_file

IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""Third byte of an IDX file: the type of its values (http://yann.lecun.com/exdb/mnist)."""


def idx_file(path: Path, labels: Path | None) -> ArrayFile:
    """The array of an IDX file, MNIST's format, and the labels of another; either may be .gz."""
    targets = labels_of(path, labels, "train-labels-idx1-ubyte")
    return ArrayFile(_idx(path), _idx(targets))


def _idx(path: Path) -> ArrayStream:
    def opened() -> IO[bytes]:
        return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")

    with whole_file(str(path)), opened() as stream:
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
            check_size(shape, dtype, path.stat().st_size - at)
    return ArrayStream(
        name=str(path),
        shape=shape,
        dtype=dtype,
        opened=opened_at(opened, at),
    )
