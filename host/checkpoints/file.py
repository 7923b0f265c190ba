"""A checkpoint as a file: tensors in safetensors, everything else as JSON in its header.

    epoch-000012.safetensors = header {"synaptile": JSON, "checksum": SHA-256 of it and the tensors}
                               | tensors

Nothing in it is executed when it is read. It appears as a whole or not at all: written under
another name, brought to the disk, renamed.
"""

import errno
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import save

from host.checkpoints.document import join, split

FORMAT = 1
"""Of the document; another number cannot be read."""

DOCUMENT, CHECKSUM = "synaptile", "checksum"


class CheckpointError(ValueError):
    """A checkpoint cannot be written, read or used; the message says why and what would do."""


def encode(document: Mapping[str, Any]) -> bytes:
    """The bytes of a file with this document, which may hold arrays anywhere."""
    arrays: dict[str, NDArray[Any]] = {}
    text = json.dumps({"format": FORMAT, **split(document, arrays)})
    # A file without tensors is none to some readers.
    tensors = arrays or {"none": np.zeros(0, np.uint8)}
    return save(tensors, {DOCUMENT: text, CHECKSUM: _checksum(text, tensors)})


def read(path: Path) -> dict[str, Any]:
    """The document in a file; CheckpointError where it is not whole, or no checkpoint."""
    try:
        with safetensors.safe_open(path, framework="np") as file:
            header = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise CheckpointError(f"{path} does not exist") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from None
    except Exception as error:  # whatever the library finds wrong with the bytes
        raise CheckpointError(f"{path} is damaged or no checkpoint: {error}") from None
    if DOCUMENT not in header:
        raise CheckpointError(f"{path} is a safetensors file, but no checkpoint of a run")
    text = header[DOCUMENT]
    if header.get(CHECKSUM) != _checksum(text, arrays):
        raise CheckpointError(f"{path} is damaged: its checksum is not that of what it holds")
    values = json.loads(text)
    if values.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} must have format {FORMAT}, not {values.get('format')}: read it with the "
            "version of this program that wrote it"
        )
    document: dict[str, Any] = join(values, arrays)
    return document


def write_whole(path: Path, data: bytes) -> None:
    """Put `data` into a file that is there as a whole, on the disk, or is as it was before.

    Raises CheckpointError where the disk is full or the folder cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(partial, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> CheckpointError:
    """The error of a file that could not be written, with advice."""
    full = error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
    advice = "free some space" if full else "choose a folder that can be written"
    return CheckpointError(
        f"{path} cannot be written ({error.strerror}): {advice}; what was written before is whole, "
        "and --resume goes on with it"
    )


def _sync_folder(folder: Path) -> None:
    """Bring the folder's names to the disk, where the system lets a folder be opened."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _checksum(text: str, arrays: Mapping[str, NDArray[Any]]) -> str:
    found = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        found.update(name.encode())
        found.update(np.ascontiguousarray(arrays[name]).data)
    return found.hexdigest()
