"""What every command shares: where it prints, and how it ends when something is wrong.

Exit code 0 is success, 1 a difference between devices or a failed bench, 2 bad input or a device
or tool that cannot go on, 130 a Ctrl-C.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.text import Text

from host.devices.device import DeviceError

DIFFERENT, BAD, INTERRUPTED = 1, 2, 130

out = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


@contextmanager
def explained(*others: type[Exception]) -> Iterator[None]:
    """Turn what a user can mend, and these other exceptions, into a message and an exit code."""
    mended: tuple[type[Exception], ...] = (ValueError, DeviceError, OSError, *others)
    try:
        yield
    except KeyboardInterrupt:
        errors.print("interrupted")
        raise typer.Exit(INTERRUPTED) from None
    except mended as error:
        errors.print(Text.assemble(("error: ", "bold red"), str(error)), soft_wrap=True)
        raise typer.Exit(BAD) from None
