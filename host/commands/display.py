"""What a person sees of a run: a line an epoch, a bar below, and a table at the end."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from host.experiment import Experiment, Outcome, Report

MAX_LINES = 30
"""Of a longer run only every so many epochs make a line."""


class TrainingDisplay:
    """Live progress of a run.

    Parameters
    ----------
    console: where it is shown
    experiment: what runs
    """

    def __init__(self, console: Console, experiment: Experiment):
        self._console = console
        self._experiment, self._epochs = experiment, experiment.epochs
        self._every = -(-self._epochs // MAX_LINES)

    @contextmanager
    def showing(self, title: str, *, quiet: bool = False) -> Iterator["TrainingDisplay"]:
        """Show a bar while the context lasts, with a line an epoch unless `quiet`."""
        self._quiet = quiet
        if not quiet:
            self._console.print(Text(self._experiment.heading(), style="bold"))
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("epochs"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._console, transient=True) as self._progress:
            self._task = self._progress.add_task(escape(title), total=self._epochs)
            yield self

    def epoch(self, report: Report) -> None:
        """Show what an epoch did."""
        if not self._quiet and (
            report.epoch % self._every == 0 or report.epoch in (1, self._epochs)
        ):
            self._progress.console.print(Text(self._experiment.line(report)))
        self._progress.update(self._task, completed=report.epoch)


def opening(experiment: Experiment, device: str) -> str:
    """What is about to be trained, on what."""
    return f"{experiment.opening()}\non device {device}, {experiment.device_config.name}"


def summary(experiment: Experiment, outcome: Outcome) -> Table:
    """A run's results as a table."""
    values = experiment.results(outcome)
    table = Table(show_header=False, title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column()
    for row in experiment.summary(values):
        table.add_row(*row)
    if values["cycles"] is None:
        table.add_row("cycles", f"none: {values['device']} has no clock")
    else:
        table.add_row("cycles per sample", f"{values['cycles_per_sample']:.1f}")
        table.add_row(
            "waited for samples",
            f"{values['waiting']:,} cycles, besides {values['cycles']:,} of work",
        )
    table.add_row("time", f"{values['seconds']:.1f} s to train {values['samples']:,} samples")
    table.add_row("build", values["build"])
    return table
