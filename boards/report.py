"""What came of a board's build: what it takes of its part, and how fast each placement is."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from boards.timing import Hop, Timing
from hw.config import Family

RESOURCES: dict[Family, dict[str, str]] = {
    "ice40": {
        "ICESTORM_LC": "cells",
        "ICESTORM_DSP": "multipliers",
        "ICESTORM_RAM": "memories",
        "ICESTORM_SPRAM": "large memories",
    },
    "ecp5": {
        "TRELLIS_COMB": "cells",
        "TRELLIS_FF": "flip-flops",
        "MULT18X18D": "multipliers",
        "DP16KD": "memories",
    },
    "gowin": {
        "LUT4": "cells",
        "DFF": "flip-flops",
        "MULT18X18": "multipliers",
        "BSRAM": "memories",
    },
}
"""nextpnr's names of what a part has, and ours."""

_LINE = re.compile(r"Info:\s+(\w+):\s+(\d+)\s*/\s*(\d+)\s+\d+%")


@dataclass(frozen=True, kw_only=True)
class Usage:
    """How many of something a design takes, and how many there are."""

    used: int
    available: int

    @property
    def over(self) -> bool:
        return self.used > self.available


@dataclass(frozen=True, kw_only=True)
class Report:
    """A board's build.

    Attributes
    ----------
    board, part, configuration: names
    identity: of the build, which the device tells the host; see `hw.build_identity`
    megahertz: the clock that the board gives the device
    versions: of the tools
    utilisation: by resource
    timings: a placement each, by seed
    bitstream: where it is; None where no placement met its clocks
    """

    board: str
    part: str
    configuration: str
    identity: str
    megahertz: float
    versions: dict[str, str]
    utilisation: dict[str, Usage]
    timings: tuple[Timing, ...]
    bitstream: str | None

    @property
    def best(self) -> Timing:
        """The placement with the most slack."""
        return best_of(self.timings)

    @property
    def median_megahertz(self) -> float:
        """fmax, over all placements."""
        return median(timing.megahertz for timing in self.timings)

    def write(self, path: Path) -> None:
        """As JSON, with what follows from it."""
        content = asdict(self) | {
            "best_seed": self.best.seed,
            "median_megahertz": self.median_megahertz,
        }
        path.write_text(json.dumps(content, indent=2) + "\n")


def read_report(path: Path) -> Report:
    """What `Report.write` wrote. Raises ValueError where it is something else."""
    try:
        content = json.loads(path.read_text())
        timings = []
        for timing in content["timings"]:
            hops = tuple(Hop(**hop) for hop in timing.pop("path"))
            timings.append(Timing(**timing, path=hops))
        taken = {name: Usage(**usage) for name, usage in content["utilisation"].items()}
        for derived in ("best_seed", "median_megahertz", "timings", "utilisation"):
            del content[derived]
        return Report(**content, timings=tuple(timings), utilisation=taken)
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} must be a report that `synaptile synth` wrote, and is not ({error!r}); "
            "build the board again"
        ) from None


def best_of(timings: Sequence[Timing]) -> Timing:
    """The placement with the most slack; of several the lowest seed."""
    return max(timings, key=lambda timing: (timing.slack, -timing.seed))


def read_utilisation(log: Path, family: Family) -> dict[str, Usage]:
    """What nextpnr's log says of a design, whether or not it was placed in the end."""
    names = RESOURCES[family]
    found: dict[str, Usage] = {}
    if log.exists():
        for name, used, available in _LINE.findall(log.read_text(errors="replace")):
            if name in names:
                found[names[name]] = Usage(used=int(used), available=int(available))
    return found
