"""Keeps what the documentation tells of placed boards: of every report its figures.

    build/boards/NAME/report.json --> docs/boards.json --> docs/boards.md (docs/generate.py)

    python -m boards.record [build/boards]

A board without a report keeps what was recorded of it.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from boards.board import names
from boards.report import Report, read_report

REPORTS = Path("build/boards")
RECORD = Path(__file__).resolve().parents[1] / "docs" / "boards.json"


def figures(report: Report) -> dict[str, Any]:
    """What is recorded of a report; the path is that of the best placement."""
    best = report.best
    return {
        "part": report.part,
        "configuration": report.configuration,
        "identity": report.identity,
        "megahertz": report.megahertz,
        "fmax": {str(timing.seed): round(timing.megahertz, 2) for timing in report.timings},
        "slack": round(best.slack, 2),
        "utilisation": {name: asdict(usage) for name, usage in report.utilisation.items()},
        "path": [hop.signal for hop in best.path],
        "versions": report.versions,
    }


def recorded() -> dict[str, Any]:
    """The record, by board."""
    found: dict[str, Any] = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    return found


def record(reports: Path) -> list[str]:
    """Take the reports of a folder into the record; the boards that it had."""
    kept, taken = recorded(), []
    for name in names():
        path = reports / name / "report.json"
        if path.exists():
            kept[name] = figures(read_report(path))
            taken.append(name)
    RECORD.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    return taken


if __name__ == "__main__":
    taken = record(Path(sys.argv[1]) if len(sys.argv) > 1 else REPORTS)
    print(f"recorded: {', '.join(taken) or 'nothing'}")
