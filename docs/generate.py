"""Writes what the documentation takes from declarations.

`docs/commands.md` is the reference of commands, registers and packets, from `hw/isa.py`. The first
table of `docs/boards.md` lists `boards/catalogue/`; the second one tells what boards train, from
the cycles in `docs/cycles.json` and the compiler; the third one what is recorded of placed boards
in `docs/boards.json`. `docs/api.md` is the public face's docstrings. Run `make docs` after a
change of these; a test compares the pages.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterable, Mapping
from enum import IntEnum
from pathlib import Path
from statistics import median
from typing import Any

import synaptile
from boards.board import Board, board, names
from boards.record import recorded
from host.benchmarks.boards import array_rate, largest, line_rate, supervised, workload_of
from host.benchmarks.record import recorded as recorded_cycles
from host.benchmarks.workload import Workload, shape
from hw import isa, spiking

BOARDS = Path(__file__).with_name("boards.md")
BOARD_COLUMNS = ("board", "", "price", "configuration", "device, MHz", "serial line, baud")
TRAINED_COLUMNS = ("board", "trains", "array, samples/s", "line, samples/s", "largest 64-H-10")
PLACED_COLUMNS = (
    *("board", "part", "cells", "memories", "multipliers"),
    *("fmax, MHz", "of placements", "clock, MHz", "slack, ns"),
)
API = Path(__file__).with_name("api.md")
PAGE = Path(__file__).with_name("commands.md")

ENUMS = (
    (isa.Opcode, "Commands"),
    (isa.Activation, "Activations"),
    (isa.GradientFlag, "Flags of GRADIENT"),
    (isa.Loss, "Losses"),
    (isa.Source, "Right operands"),
    (isa.Destination, "Destinations"),
    (isa.DropoutFlag, "Flags of FORWARD and BACKWARD"),
    (isa.Region, "Regions"),
    (isa.Register, "Registers"),
    (isa.Control, "Values of CONTROL"),
    (isa.SampleFormat, "Bits of SAMPLE_FORMAT"),
    (isa.State, "States"),
    (isa.Error, "Errors"),
    (isa.Request, "Requests"),
    (isa.Status, "Answers"),
    (spiking.Encoding, "Encodings"),
    (spiking.Variable, "Variables of a population"),
    (spiking.NeuronParameter, "Parameters of FIRE"),
    (spiking.EncoderParameter, "Parameters of ENCODE"),
    (spiking.SynapseParameter, "Parameters of PLASTICITY and SCALE"),
    (spiking.ClimbingParameter, "Parameters of CLIMB"),
    (spiking.FireFlag, "Flags of FIRE"),
    (spiking.EncodeFlag, "Flags of ENCODE"),
    (spiking.PlasticityFlag, "Flags of PLASTICITY"),
    (spiking.ScaleFlag, "Flags of SCALE"),
)


def member_docstrings(enum: type[IntEnum]) -> dict[str, str]:
    """The string that follows each member in the source, in one line."""
    (body,) = ast.parse(inspect.getsource(enum)).body
    assert isinstance(body, ast.ClassDef)
    docs, name = {}, ""
    for node in body.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and name:
            docs[name] = " ".join(str(node.value.value).split())
    return docs


def table(columns: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> list[str]:
    """A Markdown table."""
    lines = [columns, tuple("---" for _ in columns), *rows]
    return ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines]


def page() -> str:
    """The whole page."""
    lines = ["# Commands, registers and packets", ""]
    lines += ["Generated from `hw/isa.py` and `hw/spiking.py` by `make docs`; edit it there.", ""]
    for enum, title in ENUMS:
        docs = member_docstrings(enum)
        lines += [f"## {title}", "", inspect.cleandoc(enum.__doc__ or ""), ""]
        if docs:
            rows = [(m.value, m.name, docs.get(m.name, "")) for m in enum]
            lines += table(("value", "name", "meaning"), rows)
        else:
            lines += table(("value", "name"), [(m.value, m.name) for m in enum])
        lines.append("")
    lines += ["## Fields of an instruction", ""]
    lines += [f"An instruction is {isa.INSTRUCTION_WORDS} words of 16 bits.", ""]
    lines += table(
        ("field", "word", "bits", "meaning"),
        [(f.name, f.word, f"{f.low + f.width - 1}:{f.low}", f.meaning) for f in isa.FIELDS],
    )
    lines += ["", "## Counters", "", "Read-only words of the region COUNTERS, low word first.", ""]
    lines += table(
        ("name", "address", "words", "meaning"),
        [(c.name, c.address, c.words, c.meaning) for c in isa.COUNTERS.values()],
    )
    return "\n".join(lines) + "\n"


def boards_page() -> str:
    """The page of boards with the tables that catalogue and record make now."""
    boards = [(name, board(name)) for name in names()]
    rows = [
        (name, b.title, b.price, b.config.name, f"{b.megahertz:g}", f"{b.baud:,}")
        for name, b in boards
    ]
    record = recorded()
    placed = [placement(name, record[name]) for name, _ in boards if name in record]
    cycles = recorded_cycles()
    trained = [training(name, board(name), cycles) for name in supervised()]
    tables = ((BOARD_COLUMNS, rows), (TRAINED_COLUMNS, trained), (PLACED_COLUMNS, placed))
    lines = BOARDS.read_text().splitlines()
    for columns, content in tables:
        made = table(columns, content)
        first = lines.index(made[0])
        lines[first : lines.index("", first)] = made
    return "\n".join(lines) + "\n"


def api_page() -> str:
    """api.md: what the public face offers, as its docstrings say it."""
    lines = [
        "# Python interface",
        "",
        "Everything that `import synaptile` offers, from its docstrings by `make docs`.",
    ]
    for name in synaptile.__all__:
        value = getattr(synaptile, name)
        if inspect.getmodule(value) is None:
            lines += ["", f"## {name}", "", f"A dictionary of {len(value)}: {', '.join(value)}."]
            continue
        lines += ["", f"## {name}", "", *described(name, value)]
        if inspect.isclass(value):
            for method, function in vars(value).items():
                if inspect.isfunction(function) and not method.startswith("_"):
                    lines += ["", f"### {name}.{method}", "", *described(method, function)]
    return "\n".join(lines) + "\n"


def described(name: str, value: Any) -> list[str]:
    """How it is called, and its docstring."""
    try:
        signature = inspect.signature(value)
    except ValueError:
        called = name
    else:
        bare = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
        own = [p for p in bare if p.name != "self"]
        called = f"{name}{inspect.Signature(own)}"
    text = textwrap.fill(called, 100, subsequent_indent="    ")
    return ["```text", text, "", inspect.getdoc(value) or "", "```"]


def training(name: str, found: Board, cycles: Mapping[str, int]) -> tuple[object, ...]:
    """A board's row; `cycles` are of a training step, by a workload's title."""
    workload, most = workload_of(found), largest(found.config)
    taken = cycles.get(workload.title)
    array = f"{array_rate(found, workload, taken):,.0f}" if taken else "not measured"
    line = f"{line_rate(found, workload):,.0f}"
    return (name, in_batches(workload), array, line, in_batches(most) if most else "none")


def in_batches(workload: Workload) -> str:
    """Such as '64-32-10, batch 32'."""
    return f"{shape(workload.network)}, batch {workload.batch}"


def placement(name: str, figures: dict[str, Any]) -> tuple[object, ...]:
    """A placed board's row; what misses its clock names the slowest path's ends."""
    taken = [
        "{used:,} of {available:,}".format(**figures["utilisation"][resource])
        for resource in ("cells", "memories", "multipliers")
    ]
    fmax = figures["fmax"].values()
    slack = f"{figures['slack']:+.2f}"
    if figures["slack"] < 0:
        slack += f": {figures['path'][0]} to {figures['path'][-1]}"
    speed = (f"{median(fmax):.2f}", len(fmax), f"{figures['megahertz']:g}", slack)
    return (name, figures["part"], *taken, *speed)


if __name__ == "__main__":
    PAGE.write_text(page())
    BOARDS.write_text(boards_page())
    API.write_text(api_page())
