"""What a build is, as 16 bytes: a device tells them, a host refuses a device of another build."""

import hashlib
from dataclasses import fields
from functools import cache
from pathlib import Path

from hw.config import DeviceConfig
from hw.isa import IDENTITY_BYTES, VERSION

_LABELS = ("name", "family")
"""Fields of a configuration that change no bit of what a device computes or answers."""

_CATALOGUE = "configurations.py"
"""The file of configurations with a name: a further one there makes no build another."""


def build_identity(config: DeviceConfig) -> bytes:
    """BLAKE2b over the version of the instruction set, the configuration's sizes and features,
    and the text of the files in `hw/`, which the netlist is made of.

    The name and the family of a configuration are left out: the same sizes with another vendor's
    multipliers are the same device.
    """
    digest = hashlib.blake2b(digest_size=IDENTITY_BYTES)
    digest.update(f"isa {VERSION}\n".encode())
    for field in fields(config):
        if field.name not in _LABELS:
            digest.update(f"{field.name} = {getattr(config, field.name)!r}\n".encode())
    digest.update(_sources(Path(__file__).parent))
    return digest.digest()


@cache
def _sources(folder: Path) -> bytes:
    """A hash over name and text of all source files but the catalogue, however their lines end."""
    digest = hashlib.blake2b()
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder).as_posix()
        if name != _CATALOGUE:
            text = path.read_text(encoding="utf-8")
            digest.update(f"{name} {len(text)}\n{text}".encode())
    return digest.digest()
