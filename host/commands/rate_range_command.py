"""The command that looks for a learning rate: `synaptile lr-find`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from host.commands.terminal import errors, explained, out
from host.dense_run import DenseExperiment
from host.devices.device import open_device
from host.devices.named_board import named_configuration
from host.pictures import rate_range_picture
from host.run import prepare
from host.run_config import read_config
from host.streaming import Interruption, stop
from host.training.rate_range import RangeTest, RateRange

app = typer.Typer()

ROWS = 12
"""Of the table on the terminal, about."""


@app.command("lr-find")
def lr_find(
    config: Annotated[Path, typer.Argument(help="A TOML file, such as examples/digits.toml")],
    out_dir: Annotated[Path, typer.Option("--out", help="Folder for lr_find.png and .json")],
    device: Annotated[
        str, typer.Option(help="sim, golden, netlist:BOARD or serial:PORT@BOARD")
    ] = "golden",
    low: Annotated[float, typer.Option(help="First learning rate")] = 1e-5,
    high: Annotated[float, typer.Option(help="Last learning rate, below 1")] = 0.99,
    batches: Annotated[int, typer.Option(help="From the first rate to the last")] = 100,
    seed: Annotated[int | None, typer.Option(help="Instead of the file's seeds")] = None,
) -> None:
    """Raise the learning rate from batch to batch, and show with which ones the network learns."""
    with explained():
        if out_dir.exists() and not out_dir.is_dir():
            raise ValueError(f"--out must be a folder, and {out_dir} is a file")
        chosen = named_configuration([device])
        experiment = prepare(read_config(config).with_options(seed=seed, configuration=chosen))
        if not isinstance(experiment, DenseExperiment):
            raise ValueError("lr-find needs a file with a [network], as spiking runs have no loss")
        test = RangeTest(experiment.plan, low=low, high=high, batches=batches)
        found = _measured(experiment, device, test)
        out_dir.mkdir(parents=True, exist_ok=True)
        title = f"{experiment.config.data.source}: learning-rate range test"
        picture = rate_range_picture(
            out_dir / "lr_find.png",
            found.rates,
            found.losses,
            found.smoothed,
            suggestion=found.suggestion,
            title=title,
        )
        curve = out_dir / "lr_find.json"
        curve.write_text(json.dumps(_values(experiment, found), indent=2) + "\n", encoding="utf-8")
        out.print(_table(found))
        out.print(Text(_conclusion(found)))
        out.print(f"\ncurve in {curve}\npicture in {picture}", soft_wrap=True)


def _measured(experiment: DenseExperiment, device: str, test: RangeTest) -> RateRange:
    """The test on a device, which a Ctrl-C leaves stopped."""

    def report(line: str) -> None:
        errors.print(Text(line))

    opened = open_device(device, experiment.device_config, report=report)
    with opened, Interruption() as interruption:
        try:
            return test.run(opened, interruption=interruption)
        except KeyboardInterrupt:
            stop(opened)
            raise


def _values(experiment: DenseExperiment, found: RateRange) -> dict[str, Any]:
    return {
        "rates": found.rates,
        "losses": found.losses,
        "smoothed": found.smoothed,
        "diverged": found.diverged,
        "suggestion": found.suggestion,
        "seed": experiment.seed,
        "config": experiment.config.model_dump(mode="json", exclude_unset=True),
    }


def _table(found: RateRange) -> Table:
    """Every so many batches a row, the last one too."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("batch", "rate", "loss", "smoothed"):
        table.add_column(column, justify="right")
    last = len(found.rates) - 1
    every = max(1, round(last / (ROWS - 1)))
    for index in [*range(0, last - every // 2, every), last]:
        row = (found.rates[index], found.losses[index], found.smoothed[index])
        table.add_row(str(index + 1), *(f"{value:.4g}" for value in row))
    return table


def _conclusion(found: RateRange) -> str:
    ending = (
        f"the loss ran away at {found.rates[-1]:.3g}"
        if found.diverged
        else f"the loss did not run away up to {found.rates[-1]:.3g}"
    )
    if found.suggestion is None:
        return f"\n{ending} and never fell: look at the data, or begin with another --low"
    steepest = f"suggested learning rate: {found.suggestion:.3g}, where the loss falls fastest"
    return f"\n{steepest}; {ending}"
