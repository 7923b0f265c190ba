"""What a run is doing now, in a file that another process reads: DIR/status.json.

The file is replaced as a whole. A run whose process is gone without a last word is dead.
"""

import json
import math
import os
import socket
import time
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from rich.table import Table

from host.checkpoints.file import unwritable
from host.commands.figures import number, percent

NAME = "status.json"

SECONDS = 0.5
"""From one time that the file is replaced to the next, as some file systems wait for the disk."""


class RunState(StrEnum):
    """What has become of a run."""

    RUNNING = "running"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    DEAD = "dead"


class StatusFile:
    """Writes the status of this process's run.

    Parameters
    ----------
    folder: of the run
    values: that stay as they are, such as the device
    """

    def __init__(self, folder: Path, values: Mapping[str, Any]):
        self._next = -math.inf
        self._path = folder / NAME
        self._partial = folder / f".{NAME}.partial"
        process = {"host": socket.gethostname(), "pid": os.getpid(), "process": _began(os.getpid())}
        self._values = {**values, **process}

    def write(self, state: RunState, values: Mapping[str, Any]) -> None:
        """Replace the file; what stood in it before is forgotten.

        Of a run that goes on, what comes soon after the last time is left out.
        """
        now = time.monotonic()
        if state == RunState.RUNNING and now < self._next:
            return
        self._next = now + SECONDS
        text = json.dumps({"state": state, **self._values, **values, "updated": time.time()})
        try:
            self._partial.write_text(text + "\n", encoding="utf-8")
            os.replace(self._partial, self._path)
        except OSError as error:
            raise unwritable(self._path, error) from error


def read_status(folder: Path) -> dict[str, Any]:
    """The status of the run in a folder; ValueError where there is none."""
    path = folder / NAME
    try:
        status = json.loads(path.read_text(encoding="utf-8"))
        status["state"] = RunState(status["state"])
    except FileNotFoundError:
        raise ValueError(
            f"{folder} must be the folder of a run, and has no {NAME}: it is what --out of "
            "`synaptile train` names"
        ) from None
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is not what a run writes: {error}") from None
    if status["state"] == RunState.RUNNING and not _alive(status):
        status["state"] = RunState.DEAD
    found: dict[str, Any] = status
    return found


def _alive(status: Mapping[str, Any]) -> bool:
    """Whether the run's process is there; of another machine's nobody knows, so yes."""
    if status.get("host") != socket.gethostname():
        return True
    try:
        os.kill(status["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return status.get("process") == _began(status["pid"])


def _began(pid: int) -> str | None:
    """When a process began, which tells it from a later one of the same number; None if unknown."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    state, *others = text.rpartition(")")[2].split()
    return None if state == "Z" else others[18]


def status_table(status: Mapping[str, Any]) -> Table:
    """The status as a person reads it."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column()
    table.add_row("state", _state(status))
    table.add_row("epoch", f"{status['epoch']} of {status['epochs']}")
    for name in ("train_loss", "test_loss"):
        if status.get(name) is not None:
            table.add_row(name.replace("_", " "), number(status[name]))
    for name in ("train_accuracy", "test_accuracy"):
        if status.get(name) is not None:
            table.add_row(name.replace("_", " "), percent(status[name]))
    if status.get("best") is not None:
        name, best = status["best_of"], status["best"]
        text = percent(best) if name.endswith("accuracy") else number(best)
        table.add_row("best", f"{name} {text}, epoch {status['best_epoch']}")
    table.add_row("elapsed", duration(status["elapsed"]))
    if status.get("remaining") is not None and status["state"] == RunState.RUNNING:
        table.add_row("remaining", f"about {duration(status['remaining'])}")
    table.add_row("device", f"{status['device']}, {status['configuration']}")
    return table


def _state(status: Mapping[str, Any]) -> str:
    age = duration(max(0.0, time.time() - status["updated"]))
    match status["state"]:
        case RunState.RUNNING:
            return f"running (process {status['pid']} on {status['host']}), last news {age} ago"
        case RunState.DEAD:
            return (
                f"dead: process {status['pid']} is gone since its last news {age} ago; "
                "--resume goes on with its last checkpoint"
            )
        case RunState.FAILED:
            return f"failed {age} ago: {status.get('error', 'nobody knows why')}"
    return f"{status['state']} {age} ago"


def duration(seconds: float) -> str:
    """Such as '0.4 s', '12 s', '3 min 20 s', '2 h 5 min'."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
