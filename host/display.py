"""What a person sees of a run: a line an epoch, a bar below, and a table at the end."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from host.run import AVERAGED_EPOCHS, Experiment
from host.trainer import EpochReport

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
        self._epochs = experiment.plan.epochs
        self._every = -(-self._epochs // MAX_LINES)
        self._classes = experiment.dataset.classes

    @contextmanager
    def showing(self, title: str, *, quiet: bool = False) -> Iterator["TrainingDisplay"]:
        """Show a bar while the context lasts, with a line an epoch unless `quiet`."""
        self._quiet = quiet
        if not quiet:
            self._console.print(Text(self._heading(), style="bold"))
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

    def epoch(self, report: EpochReport) -> None:
        """Show what an epoch did."""
        if not self._quiet and (
            report.epoch % self._every == 0 or report.epoch in (1, self._epochs)
        ):
            self._progress.console.print(Text(self._line(report)))
        self._progress.update(self._task, completed=report.epoch)

    def _heading(self) -> str:
        quality = "train acc  test acc" if self._classes else "    train RMSE  test RMSE"
        return f"{'epoch':>5} {'rate':>9} {'loss':>10}  {quality} {'samples/s':>11}"

    def _line(self, report: EpochReport) -> str:
        if self._classes:
            quality = f"{percent(report.train_accuracy):>9}  {percent(report.test_accuracy):>8}"
        else:
            quality = f"{_root(report.train_loss):>14}  {_root(report.test_loss):>9}"
        speed = report.train["samples"] / report.seconds
        loss = number(report.train_loss)
        return f"{report.epoch:>5} {report.rate:>9.3g} {loss:>10}  {quality} {speed:>11,.0f}"


def opening(experiment: Experiment, device: str) -> str:
    """What is about to be trained, on what."""
    plan, sizes = experiment.plan, "-".join(map(str, experiment.network.sizes))
    table = experiment.config.data
    source = table.name or table.file
    test = len(plan.test) if plan.test is not None else 0
    loss = experiment.network.loss.name.lower().replace("_", " ")
    return (
        f"{source}: {len(plan.train)} samples to learn, {test} to test; network {sizes}, {loss}, "
        f"batches of {plan.batch_size}, seed {plan.seed}\n"
        f"on device {device}, {experiment.device_config.name}"
    )


def summary(values: dict[str, Any]) -> Table:
    """A run's results as a table."""
    table = Table(show_header=False, title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column()
    if "test_accuracy" in values:
        last = min(AVERAGED_EPOCHS, values["epochs"])
        table.add_row(
            "test accuracy",
            f"{percent(values['test_accuracy'])} (mean of the last {last} epochs), "
            f"{percent(values['final_test_accuracy'])} at the end",
        )
    else:
        table.add_row("test RMSE", number(values["test_rmse"]))
    for answer in values["answers"]:
        question = ", ".join(f"{q:g}" for q in answer["question"])
        exact = ", ".join(f"{a:.4f}" for a in answer["answer"])
        rounded = ", ".join(map(str, answer["rounded"]))
        table.add_row("answer", f"({question}) -> ({rounded}), exactly ({exact})")
    if values["cycles"] is None:
        table.add_row("cycles", f"none: {values['device']} has no clock")
    else:
        used = values["mac_utilisation"]
        table.add_row("cycles per sample", f"{values['cycles_per_sample']:.1f}")
        table.add_row("MAC utilisation", f"{100 * used:.1f} % of a training step")
        table.add_row(
            "waited for samples",
            f"{values['waiting']:,} cycles, besides {values['cycles']:,} of work",
        )
    hot = {name: count for name, count in values["saturations"].items() if count}
    table.add_row("saturations", ", ".join(f"{n} {c:,}" for n, c in hot.items()) or "none")
    table.add_row("time", f"{values['seconds']:.1f} s to train {values['samples']:,} samples")
    table.add_row("build", values["build"])
    return table


def percent(share: float | None) -> str:
    """A share in percent; '-' where there is none."""
    return "-" if share is None else f"{100 * share:.2f} %"


def number(value: float | None) -> str:
    """A number of four digits; '-' where there is none."""
    return "-" if value is None else f"{value:.4g}"


def _root(mean_square: float | None) -> str:
    return "-" if mean_square is None else number(mean_square**0.5)
