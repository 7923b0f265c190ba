"""The checkpoints of a run: which are kept, and from which one it goes on.

    DIR/checkpoints/epoch-000012.safetensors
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from host.checkpoints.file import CheckpointError, encode, read, write_whole

FOLDER = "checkpoints"
_NAME = re.compile(r"epoch-(\d+)\.safetensors")


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A checkpoint that is there: of which epoch, how good that was, and where."""

    epoch: int
    score: float | None
    path: Path


class Store:
    """Checkpoints in a folder.

    Parameters
    ----------
    folder: which
    keep: how many at most; the best one is always among them

    Attributes
    ----------
    kept: what is there, by epoch
    """

    def __init__(self, folder: Path, *, keep: int):
        self.folder, self._keep = folder, keep
        self.kept: dict[int, Kept] = {}

    @property
    def best(self) -> Kept | None:
        """The one with the highest score, the earliest of equal ones; None without scores."""
        scored = [one for one in self.kept.values() if one.score is not None]
        return max(scored, key=lambda one: (one.score, -one.epoch), default=None)

    def write(self, epoch: int, score: float | None, document: Mapping[str, Any]) -> Path:
        """Write the checkpoint of an epoch, and remove those that are too many."""
        path = self.folder / f"epoch-{epoch:06d}.safetensors"
        write_whole(path, encode({**document, "epoch": epoch, "score": score}))
        self.kept[epoch] = Kept(epoch=epoch, score=score, path=path)
        self._remove()
        return path

    def clear(self) -> None:
        """Remove all checkpoints, of whatever run."""
        for _, path in paths(self.folder):
            path.unlink(missing_ok=True)
        self.kept.clear()

    def note(self, document: Mapping[str, Any], path: Path) -> None:
        """Count a checkpoint that was read as one that is there."""
        epoch = document["epoch"]
        self.kept[epoch] = Kept(epoch=epoch, score=document["score"], path=path)

    def _remove(self) -> None:
        best = self.best
        spared = {max(self.kept), best.epoch if best else max(self.kept)}
        while len(self.kept) > self._keep:
            oldest = min((e for e in self.kept if e not in spared), default=None)
            if oldest is None:
                return
            self.kept.pop(oldest).path.unlink(missing_ok=True)


def paths(folder: Path) -> list[tuple[int, Path]]:
    """Epochs and files of the checkpoints in a folder, the latest first; nothing is read."""
    found = []
    for path in folder.glob("epoch-*.safetensors"):
        match = _NAME.fullmatch(path.name)
        if match:
            found.append((int(match[1]), path))
    return sorted(found, reverse=True)


def documents(folder: Path) -> Iterator[tuple[Path, dict[str, Any] | CheckpointError]]:
    """Each checkpoint in a folder, the latest first: what it holds, or why it cannot be used."""
    for epoch, path in paths(folder):
        try:
            document = read(path)
            if document.get("epoch") != epoch:
                raise CheckpointError(
                    f"{path} must be of epoch {epoch}, as its name says, not "
                    f"{document.get('epoch')}"
                )
        except CheckpointError as error:
            yield path, error
        else:
            yield path, document
