"""The command that measures the STDP window: `synaptile stdp-window`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from host.checkpoints.file import write_whole
from host.commands.terminal import DIFFERENT, errors, explained, out
from host.devices.device import Device, open_device
from host.devices.named_board import named_configuration
from host.pictures import new_figure, stdp_window_picture
from host.run_config import read_config
from host.run_folder import refuse_file
from host.spiking.curves import REACH, Window, WindowTest
from host.spiking.network import Encoding
from host.spiking.rules import PairSTDP
from host.spiking.spike_pair import SpikePair
from host.spiking.tables import CONFIGURATION, SpikingRunConfig
from host.streaming import Interruption, stop
from hw.config import DeviceConfig
from hw.configurations import configuration

app = typer.Typer()

ROWS = 11
"""Of the table on the terminal, about; an odd number, so that 0 ms is one of them."""


@app.command("stdp-window")
def stdp_window(
    out_dir: Annotated[Path, typer.Option("--out", help="Folder for stdp_window.png and .json")],
    config: Annotated[
        Path | None,
        typer.Argument(help="A TOML file whose rule is stdp; the rule's defaults if left out"),
    ] = None,
    device: Annotated[
        str, typer.Option(help="sim, golden, netlist:BOARD or serial:PORT@BOARD")
    ] = "sim",
    reach: Annotated[float, typer.Option(help="Milliseconds to either side")] = REACH,
    seed: Annotated[
        int, typer.Option(min=0, max=0xFFFF_FFFF, help="Of the stochastic rounding")
    ] = 0,
) -> None:
    """Measure what pairs of spikes change, by the time between them, and draw it."""
    with explained():
        refuse_file(out_dir)
        # Without matplotlib nothing is measured either.
        new_figure(1, 1)
        pair, sizes = _asked(config, named_configuration([device]))
        test = WindowTest(pair, sizes, reach=reach)
        opened = open_device(device, sizes, report=lambda line: errors.print(Text(line)))
        with opened:
            out.print(Text(_opening(pair, opened)), soft_wrap=True)
            found = _measured(opened, test, seed)
            circumstances = {
                "device": opened.name,
                "configuration": sizes.name,
                "build": opened.identity.hex(),
                "seed": seed,
            }
        values = {**circumstances, **_values(pair, found)}
        curve = out_dir / "stdp_window.json"
        out_dir.mkdir(parents=True, exist_ok=True)
        write_whole(curve, (json.dumps(values, indent=2) + "\n").encode())
        picture = _drawn(out_dir, pair, found, f"STDP window, {opened.name}, {sizes.name}")
        out.print()
        out.print(_table(found))
        out.print(Text(_conclusion(found)))
        out.print(f"\ncurve in {curve}\npicture in {picture}", soft_wrap=True)
        if found.outside:
            raise typer.Exit(DIFFERENT)


def _asked(path: Path | None, chosen: str | None) -> tuple[SpikePair, DeviceConfig]:
    """The pair that a file describes, or the defaults do, and the device it is for."""
    if path is None:
        return SpikePair(), configuration(chosen or CONFIGURATION)
    config = read_config(path).with_options(configuration=chosen)
    if not isinstance(config, SpikingRunConfig):
        raise ValueError(f"{path} must have a [spiking] table with the rule stdp, not a [network]")
    rule = config.rule()
    if not isinstance(rule, PairSTDP):
        raise ValueError(
            f"{path}: spiking.rule must be stdp, which learns from pairs of spikes, not "
            f"{config.spiking.rule}"
        )
    encoding = config.spiking.encoding or Encoding()
    pair = SpikePair(rule=rule, dt=encoding.dt, formats=config.formats.formats())
    return pair, config.device.config()


def _measured(device: Device, test: WindowTest, seed: int) -> Window:
    """The window on a device, which a Ctrl-C leaves stopped."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("pairs of spikes"),
    )
    with (
        Interruption() as interruption,
        Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as progress,
    ):
        task = progress.add_task("measuring")

        def measured(pairs: int, of: int) -> None:
            progress.update(task, completed=pairs, total=of)
            interruption.check()

        try:
            return test.run(device, seed=seed, measured=measured)
        except KeyboardInterrupt:
            stop(device)
            raise


def _opening(pair: SpikePair, device: Device) -> str:
    weight, trace = pair.formats.weight, pair.formats.trace
    return (
        f"weights {weight} (an LSB is {weight.lsb:.3g}), traces {trace}, steps of {pair.dt:g} ms, "
        f"{pair.rule.bounds} bounds\non device {device.name}, {device.config.name}"
    )


def _values(pair: SpikePair, found: Window) -> dict[str, Any]:
    return {
        "rule": asdict(pair.rule),
        "dt": pair.dt,
        "formats": {"weight": str(pair.formats.weight), "trace": str(pair.formats.trace)},
        "differences": found.differences.tolist(),
        "measured": found.measured.tolist(),
        "exact": found.exact.tolist(),
        "bounds": found.bounds.tolist(),
    }


def _drawn(folder: Path, pair: SpikePair, found: Window, title: str) -> Path:
    """The picture, with the exact curve between its points too, up to either side of 0."""
    after = np.geomspace(1e-6, 1, 400) * found.differences[-1]
    halves = [
        (times, np.array([pair.change(time).exact for time in times.tolist()]))
        for times in (-after[::-1], after)
    ]
    return stdp_window_picture(
        folder / "stdp_window.png",
        found.differences,
        found.measured,
        found.exact,
        found.bounds,
        curves=halves,
        title=title,
    )


def _table(found: Window) -> Table:
    """Every so many differences a row, from 0 on to either side."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("ms", "measured", "exact", "deviation", "bound"):
        table.add_column(column, justify="right")
    steps = len(found.differences) // 2
    every = max(1, 2 * steps // (ROWS - 1))
    for index in range(steps % every, len(found.differences), every):
        reals = (found.exact[index], found.deviations[index], found.bounds[index])
        table.add_row(
            f"{found.differences[index]:g}",
            str(found.measured[index]),
            *(f"{value:.3f}" for value in reals),
        )
    return table


def _conclusion(found: Window) -> str:
    worst, pairs = found.worst, len(found.differences)
    inside = (
        f"all {pairs} points lie within their bounds"
        if not found.outside
        else f"{found.outside} of {pairs} points lie outside their bounds"
    )
    return (
        f"\nworst deviation {abs(found.deviations[worst]):.3f} LSB, at "
        f"{found.differences[worst]:g} ms, where the formats allow {found.bounds[worst]:.3f}\n"
        f"{inside}"
    )
