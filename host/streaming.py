"""Samples through a program of the device, two batches ahead of the array.

    stream   batch 0 | batch 1 | batch 2 | batch 3 ...
    run                        | batch 0 | batch 1 | batch 2 ...
"""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from types import FrameType, TracebackType
from typing import Any, NamedTuple, Protocol

from host.compiler import Compiled, write_registers
from host.data.samples import Samples
from host.devices.device import Device
from host.program import Mode
from hw.isa import INPUT_BUFFERS, Control, Register
from hw.layout import tiles

MAX_ROUNDS = 0xFFFF
"""Largest COUNT of a run."""


class Interruption:
    """Puts a Ctrl-C off to a place between two batches, where the device can be stopped cleanly.

    Within the context the first Ctrl-C is remembered, and `check` raises KeyboardInterrupt; the
    second one interrupts at once. Outside the main thread, which alone gets signals, it does
    nothing.
    """

    def __init__(self) -> None:
        self._asked = False
        self._previous: Callable[[int, FrameType | None], object] | int | None = None

    def check(self) -> None:
        """Raise KeyboardInterrupt if the user pressed Ctrl-C."""
        if self._asked:
            raise KeyboardInterrupt

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._remember)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        self._restore()

    def _restore(self) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None


class Programs(Protocol):
    """What was compiled for batches, such as `host.compiler.Compiled`."""

    def entry(self, mode: Any, samples: int) -> int:
        """The first instruction of the program that does `mode` with a batch of so many."""


class Run(NamedTuple):
    """`rounds` times `size` samples in one run of a program."""

    size: int
    rounds: int


def runs(samples: int, batch: int, most: int | None = None) -> list[Run]:
    """The runs that take `samples`, `batch` a round, the ragged rest last.

    A run has at most `most` rounds, MAX_ROUNDS unless told.
    """
    full, rest = divmod(samples, batch)
    found = []
    while full:
        found.append(Run(batch, min(full, most or MAX_ROUNDS)))
        full -= found[-1].rounds
    return found + [Run(rest, 1)] * (rest > 0)


def batches(samples: Samples, batch: int) -> Sequence[memoryview]:
    """The bytes of every batch."""
    return samples.batches(batch)


def run_batches(
    device: Device,
    compiled: Programs,
    mode: Enum,
    samples: Samples,
    batch: int,
    *,
    update: int | None = None,
    interruption: Interruption | None = None,
    before: Callable[[int], None] | None = None,
) -> None:
    """Run the program of `mode` over all samples, sending batches while the device computes.

    A round of the program takes the batches of `update` samples, a multiple of those of a batch;
    one batch if left out.

    The samples' registers must stand in the device. KeyboardInterrupt, where `interruption` has
    one, comes between batches; the program still runs then.

    `before` is called with the number of each round, from 0, before it is run and while no program
    runs, so that it can write registers and read counters; every round then is a run of its own.
    """
    waiting = batches(samples, batch)
    sent = taken = 0

    def send_until(limit: int) -> None:
        nonlocal sent
        while sent < min(limit, len(waiting)):
            if interruption is not None:
                interruption.check()
            device.stream(waiting[sent])
            sent += 1

    send_until(INPUT_BUFFERS)
    update, rounds = update or batch, 0
    for run in runs(len(samples), update, 1 if before else None):
        if before is not None:
            before(rounds)
        device.run(compiled.entry(mode, run.size), run.rounds)
        rounds += run.rounds
        taken += run.rounds * tiles(run.size, batch)
        send_until(taken + INPUT_BUFFERS)
        device.wait()


def predict_batches(
    device: Device, compiled: Compiled, samples: Samples, batch: int
) -> Iterator[tuple[int, int]]:
    """Run PREDICT batch by batch; after each, the outputs of samples start ... stop - 1 are read.

    Yields (start, stop), between which nothing else may run.
    """
    start = 0
    for data in batches(samples, batch):
        stop = min(start + batch, len(samples))
        device.stream(data)
        device.run(compiled.entry(Mode.PREDICT, stop - start))
        device.wait()
        yield start, stop
        start = stop


def stop(device: Device) -> None:
    """Stop whatever runs and forget buffered samples; the device is ready again."""
    write_registers(device, {Register.CONTROL: Control.STOP})
    device.wait()
