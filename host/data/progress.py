"""What is shown while a large file is read: a bar on the terminal, by bytes of the file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from host.commands.terminal import errors


@contextmanager
def reading(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar up to `total` bytes; what it gives is called with the bytes that are done."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        DownloadColumn(binary_units=True),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task(title, total=total)
        yield lambda done: progress.update(task, completed=done)
