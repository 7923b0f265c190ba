"""What nextpnr says of a placement: frequencies, slack, and the slowest path by the design's names.

The file is the one of nextpnr's `--report`: fmax by clock in MHz, critical paths as segments in ns.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Amaranth tells names that occur twice apart by a number.
_SAME_NAME = re.compile(r"\$\d+")
# Yosys and nextpnr name a cell after the signal it drives, and append what it is made of.
_CELLS = "SB_|LUT|TRELLIS|CCU2|PFUMX|L6MUX|DFF|ALU|MUX2|DP16|MULT"
_MADE_OF = re.compile(rf"(\$|\.\d+\.\d+|_({_CELLS})).*")


@dataclass(frozen=True, kw_only=True)
class Hop:
    """A signal on a path: its name in the design, and when it is settled, in ns."""

    signal: str
    at: float


@dataclass(frozen=True, kw_only=True)
class Timing:
    """One placement.

    Attributes
    ----------
    seed: nextpnr's
    megahertz: fmax of the device's clock
    slack: ns left in a period of its slowest clock; negative where it misses its constraint
    logic, routing: ns of the critical path of the device's clock
    path: its signals in order
    """

    seed: int
    megahertz: float
    slack: float
    logic: float
    routing: float
    path: tuple[Hop, ...]


def read_timing(path: Path, *, seed: int, megahertz: float) -> Timing:
    """Timing from a report, of a device that is meant to run at `megahertz`.

    Raises ValueError where there is no clock of that frequency.
    """
    report = json.loads(path.read_text())
    clocks = report["fmax"]
    own = [name for name in clocks if abs(clocks[name]["constraint"] / megahertz - 1) < 0.01]
    if not own:
        constraints = ", ".join(f"{name} {c['constraint']:g} MHz" for name, c in clocks.items())
        raise ValueError(
            f"the timing report must have a clock of {megahertz:g} MHz, not {constraints or 'none'}"
        )
    slowest = min(own, key=lambda name: clocks[name]["achieved"])
    slack = min(1e3 / c["constraint"] - 1e3 / c["achieved"] for c in clocks.values())
    segments = _critical(report, slowest)
    return Timing(
        seed=seed,
        megahertz=clocks[slowest]["achieved"],
        slack=slack,
        logic=sum(s["delay"] for s in segments if s["type"] != "routing"),
        routing=sum(s["delay"] for s in segments if s["type"] == "routing"),
        path=_hops(segments),
    )


def _critical(report: dict[str, Any], clock: str) -> list[dict[str, Any]]:
    """The segments of the path from a clock's edge to its next one."""
    for found in report["critical_paths"]:
        # Such as "posedge sync".
        if all(found[end].partition(" ")[2] == clock for end in ("from", "to")):
            return found["path"]
    return []


def _hops(segments: list[dict[str, Any]]) -> tuple[Hop, ...]:
    """A hop for each signal of the design; cells of the same one are taken together."""
    hops: list[Hop] = []
    at = 0.0
    for segment in segments:
        at += segment["delay"]
        signal = design_name(segment["to"]["cell"])
        if hops and (not signal or signal == hops[-1].signal):
            hops[-1] = Hop(signal=hops[-1].signal, at=at)
        elif signal:
            hops.append(Hop(signal=signal, at=at))
    return tuple(hops)


def design_name(cell: str) -> str:
    """The signal of the design after which a cell is named; '' where it is named after none."""
    return _MADE_OF.sub("", _SAME_NAME.sub("", cell)).rstrip("._")
