"""A simulated board behind a pseudo-terminal, which any program may take for a serial port.

    host --serial port--> pseudo-terminal <--bytes--> simulation of the board and its line
"""

import os
import select
import tty
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import boards
from boards.board import board
from host.devices.device import Report
from hw.build_identity import build_identity
from sim.rtl.build import build, hw_files
from sim.rtl.simulation import Simulation

TURN = 4_000
"""Cycles that pass while the terminal is looked at once."""
BLOCK = 256
"""Bytes taken from the terminal at once: what is in the simulation cannot wait for a clock."""
LONGEST_REST = 0.02
"""Seconds without a simulated cycle, when none of late has moved a byte."""


def open_board(name: str, *, report: Report | None = None, trace: bool = False) -> Simulation:
    """Build the simulation of the board `name`, pins and all, or take it from the cache."""
    found = board(name)

    def design() -> object:
        from boards.virtual import VirtualBoard

        return VirtualBoard(board=found)

    folder = Path(boards.__file__).parent
    library = build(
        design,
        name=f"board-{name}",
        key=f"{name} {build_identity(found.config).hex()}",
        sources=[*hw_files(), *folder.glob("*.py"), *folder.glob("catalogue/*.py")],
        trace=trace,
        report=lambda stage: report(f"{stage} {found.title} once") if report else None,
    )
    return Simulation(library)


class Terminal:
    """A pseudo-terminal in front of a simulation.

    Attributes
    ----------
    port: its name, for `serial:PORT`
    received, sent: bytes that have gone into the simulation and come out of it
    """

    def __init__(self, simulation: Simulation):
        self._simulation = simulation
        self._far, self._near = os.openpty()
        tty.setraw(self._near)
        os.set_blocking(self._far, False)
        self.port = os.ttyname(self._near)
        self.received = self.sent = 0

    @property
    def cycles(self) -> int:
        """Cycles of the board's clock."""
        return self._simulation.cycles

    def serve(self, ended: Callable[[], bool]) -> None:
        """Pass bytes both ways until `ended`; the clock runs as fast as it can, and no faster."""
        rest = 0.0
        pending = b""
        while not ended():
            ready, _, _ = select.select([self._far], [], [], rest)
            data = os.read(self._far, BLOCK) if ready else b""
            self.received += len(data)
            cycles = TURN * (1 + len(data))
            pending += self._simulation.exchange(data, max_cycles=cycles) if data else b""
            pending += self._simulation.run(TURN)
            rest = 0.0 if data or pending else min(LONGEST_REST, 2 * rest + 1e-4)
            with suppress(BlockingIOError):
                written = os.write(self._far, pending)
                self.sent += written
                pending = pending[written:]

    def close(self) -> None:
        """Give the terminal up."""
        os.close(self._far)
        os.close(self._near)
