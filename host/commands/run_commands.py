"""The commands for the folder of a run: how it stands, and its report."""

import json
from pathlib import Path
from typing import Annotated

import typer

from host.commands.terminal import explained, out
from host.monitoring.status import read_status, status_table
from host.report.page import write_report

app = typer.Typer()

Folder = Annotated[Path, typer.Argument(help="The --out of `synaptile train`")]


@app.command()
def status(
    folder: Folder,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON")] = False,
) -> None:
    """Tell how a run stands, while it goes on or afterwards."""
    with explained():
        found = read_status(folder)
        if as_json:
            print(json.dumps(found))
        else:
            out.print(status_table(found))


@app.command()
def report(folder: Folder) -> None:
    """Draw a run's pictures and write report.html, which stands alone, into its folder."""
    with explained():
        out.print(f"report in {write_report(folder)}", soft_wrap=True)
