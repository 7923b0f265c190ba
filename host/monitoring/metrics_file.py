"""Metrics of a run, a line of JSON each, in a file that only grows.

    {"event": "start", ...}
    {"event": "batches", "epoch": 1, "batch": 10, "loss": ..., "accuracy": ...}
    {"event": "epoch", "epoch": 1, "rate": ..., "train_loss": ..., "seconds": ...}
    {"event": "weights", "epoch": 1, "quantiles": {"layer_1": [...]}}
    {"event": "resumed", "epoch": 7}        what was written of later epochs before no longer counts
    {"event": "end", "state": "finished"}

Every line is handed to the system as a whole, so that another process can read the file at any
time; the rest of a line that a killed run has left is skipped.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from host.checkpoints.file import unwritable


class MetricsFile:
    """Appends lines to a file.

    Parameters
    ----------
    path: which; made where it is missing

    Raises CheckpointError where it cannot be written.
    """

    def __init__(self, path: Path):
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - open for a run
        if path.stat().st_size and not _ends_a_line(path):
            self._file.write(b"\n")

    def write(self, event: str, values: Mapping[str, Any]) -> None:
        """Append an event; what is None is left out."""
        given = {name: value for name, value in values.items() if value is not None}
        line = json.dumps({"event": event, **given}).encode() + b"\n"
        try:
            written = self._file.write(line)
            if written < len(line):
                # The disk took what it had room for; the next attempt says why it is no more.
                self._file.write(line[written:])
        except OSError as error:
            raise unwritable(self._path, error) from error

    def close(self) -> None:
        """Nothing else follows."""
        self._file.close()


def _ends_a_line(path: Path) -> bool:
    with open(path, "rb") as file:
        file.seek(-1, 2)
        return file.read(1) == b"\n"


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The events of a run that count, in their order; none of a file that does not exist."""
    found: list[dict[str, Any]] = []
    for event in _events(path):
        if event["event"] == "start":
            found = []
        elif event["event"] == "resumed":
            found = [own for own in found if own.get("epoch", 0) <= event["epoch"]]
            found = [own for own in found if own["event"] != "end"]
        found.append(event)
    return found


def _events(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    for line in path.read_bytes().splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "event" in event:
            yield event
