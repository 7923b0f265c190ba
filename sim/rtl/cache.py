"""Keeps what takes long to make: files named by a hash of all that they were made from."""

import hashlib
import os
import re
import tempfile
from pathlib import Path

from filelock import FileLock


def cache_folder() -> Path:
    """The folder of everything built: $SYNAPTILE_CACHE, or `synaptile` in the user's cache."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get("SYNAPTILE_CACHE") or Path(caches, "synaptile"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def entry(name: str, suffix: str, *parts: str | bytes) -> Path:
    """Where the cache keeps what is made from `parts`, whether or not it is there yet."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise ValueError(f"name must be letters, digits, '_', '.' or '-', not {name!r}")
    digest = hashlib.blake2b(digest_size=12)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return cache_folder() / f"{name}-{digest.hexdigest()}{suffix}"


def alone(path: Path) -> FileLock:
    """What lets one process at a time make `path`: the others wait, and find it made."""
    return FileLock(f"{path}.lock")


def keep(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    os.replace(file.name, path)
