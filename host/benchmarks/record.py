"""Keeps what the documentation tells of boards' speed: the cycles of a training step, by workload.

    build/bench.json --> docs/cycles.json --> docs/boards.md (docs/generate.py)

    python -m host.benchmarks.record [build/bench.json]

Clock and line come from the catalogue, so that a figure stays true when a board's clock changes.
"""

import json
import sys
from pathlib import Path

BENCH = Path("build/bench.json")
RECORD = Path(__file__).resolve().parents[2] / "docs" / "cycles.json"


def recorded() -> dict[str, int]:
    """The record, by a workload's title."""
    found: dict[str, int] = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    return found


def record(bench: Path) -> dict[str, int]:
    """Put what a benchmark measured for the boards in the place of the record.

    Raises ValueError where it measured no boards, as `synaptile bench --quick` does.
    """
    boards = json.loads(bench.read_text())["sections"]["boards"]
    if not boards:
        raise ValueError(f"{bench} must tell of boards: run `synaptile bench` without --quick")
    taken = {row["title"]: row["cycles"] for row in boards}
    RECORD.write_text(json.dumps(taken, indent=1, sort_keys=True) + "\n")
    return taken


if __name__ == "__main__":
    taken = record(Path(sys.argv[1]) if len(sys.argv) > 1 else BENCH)
    print(f"recorded: {'; '.join(taken)}")
