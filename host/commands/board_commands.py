"""The commands for boards: `synaptile synth`, `flash`, `virtual-board`, `devices`."""

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from host.commands.terminal import BAD, errors, explained, out

if TYPE_CHECKING:
    from boards.report import Report

app = typer.Typer()

BUILDS = Path("build/boards")

Name = Annotated[str, typer.Argument(help="A board, such as icebreaker")]
Folder = Annotated[Path, typer.Option("--out", help="Folder of all boards' results")]


@app.command()
def synth(
    board: Name,
    seeds: Annotated[int, typer.Option(min=1, help="Placements to choose from")] = 1,
    jobs: Annotated[int, typer.Option(min=1, help="Placements at a time")] = os.cpu_count() or 1,
    out_dir: Folder = BUILDS,
) -> None:
    """Build a board's bitstream with open tools, and report its resources and its timing."""
    from boards.flow import STAGES, FlowError, build

    with explained(FlowError):
        columns = [TextColumn("{task.description:<16}"), BarColumn(), MofNCompleteColumn()]
        with Progress(*columns, TimeElapsedColumn(), console=errors) as display:
            tasks = {stage: display.add_task(stage, total=None, start=False) for stage in STAGES}

            def progress(stage: str, done: int, total: int) -> None:
                display.start_task(tasks[stage])
                display.update(tasks[stage], completed=done, total=total)

            report = build(
                board, seeds=range(1, seeds + 1), folder=out_dir, jobs=jobs, progress=progress
            )
        show(report)
        out.print(f"\nreport in {out_dir / board}/report.json", soft_wrap=True)
        if report.bitstream is None:
            errors.print(
                Text.assemble(
                    ("error: ", "bold red"),
                    f"the best of {seeds} placements misses its clock by {-report.best.slack:.2f} "
                    "ns, so there is no bitstream; try more --seeds, a lower clock or an array "
                    "with fewer lanes in the board's file",
                ),
                soft_wrap=True,
            )
            raise typer.Exit(BAD)
        out.print(f"bitstream in {report.bitstream}", soft_wrap=True)


def show(report: "Report") -> None:
    """Print what a board's build takes, how fast it is, and what keeps it from being faster."""
    out.print(f"\n{report.board}: {report.configuration} on {report.part}\n", style="bold")
    taken = Table("resource", box=None, header_style="bold")
    for heading in ("used", "available", "%"):
        taken.add_column(heading, justify="right")
    for name, usage in report.utilisation.items():
        share = f"{100 * usage.used / usage.available:.0f}" if usage.available else ""
        taken.add_row(name, f"{usage.used:,}", f"{usage.available:,}", share)
    out.print(taken)
    out.print()
    speed = Table("seed", box=None, header_style="bold")
    for heading in ("fmax, MHz", f"slack at {report.megahertz:g} MHz, ns"):
        speed.add_column(heading, justify="right")
    for timing in report.timings:
        style = "bold" if timing is report.best else None
        figures = (f"{timing.megahertz:.2f}", f"{timing.slack:+.2f}")
        speed.add_row(str(timing.seed), *figures, style=style)
    out.print(speed)
    if len(report.timings) > 1:
        out.print(f"median {report.median_megahertz:.2f} MHz")
    best = report.best
    total = best.logic + best.routing
    out.print(
        f"\ncritical path of seed {best.seed}: {total:.1f} ns, {best.logic:.1f} of logic and "
        f"{best.routing:.1f} of routing"
    )
    for hop in best.path:
        out.print(f"  {hop.at:6.1f}  {hop.signal}", soft_wrap=True)


@app.command()
def flash(
    board: Name,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the command only")] = False,
    permanent: Annotated[
        bool, typer.Option("--permanent", help="Into the flash memory, not the FPGA alone")
    ] = False,
    out_dir: Folder = BUILDS,
) -> None:
    """Load a board's bitstream, as `synaptile synth` left it."""
    from boards.board import board as find
    from boards.flash import loading

    with explained():
        found = find(board)
        command = loading(board, found, out_dir / board, permanent=permanent)
        out.print(" ".join(command), soft_wrap=True)
        if not dry_run and subprocess.run(command, check=False).returncode != 0:
            raise ValueError(
                f"{found.title} did not take its bitstream; is it plugged in, and may you use its "
                "USB device? openFPGALoader's own message is above"
            )


@app.command("virtual-board")
def virtual_board(
    board: Name,
) -> None:
    """Simulate a board, pins and all, behind a pseudo-terminal that any program may open."""
    from host.devices.virtual_board import Terminal, open_board

    with explained(), open_board(board, report=errors.print) as simulation:
        terminal = Terminal(simulation)
        out.print(f"{terminal.port}  is a virtual {board}, until Ctrl-C; try")
        out.print(
            "  synaptile train examples/iris_small.toml --out runs/iris --device "
            f"serial:{terminal.port}@{board}",
            soft_wrap=True,
        )
        try:
            terminal.serve(lambda: False)
        finally:
            terminal.close()
            out.print(
                f"{terminal.received:,} bytes to the board, {terminal.sent:,} from it, in "
                f"{simulation.cycles:,} cycles"
            )


@app.command()
def devices(
    port: Annotated[
        list[str] | None, typer.Argument(help="Such as /dev/ttyUSB1; all there are if left out")
    ] = None,
    baud: Annotated[
        list[int] | None, typer.Option(help="Bits per second; those of all boards if left out")
    ] = None,
) -> None:
    """List the serial ports, and which build of a device answers there."""
    from host.devices.serial_device import ports
    from host.devices.serial_ports import find, table

    with explained():
        asked = port or ports()
        if not asked:
            out.print("no serial ports: plug a board in, or see whether its driver is loaded")
            return
        with out.status("") as status:
            found = list(
                find(asked, bauds=baud or (), report=lambda what: status.update(Text(what)))
            )
        out.print(table(found))
