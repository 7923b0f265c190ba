"""A serial line whose far end is a simulated device, for tests without a board.

    port <--pseudo-terminal--> thread, which damages and loses bytes <--> simulation

As on a board nothing can tell the line to wait: a byte that the device does not take in the time of
a byte is lost.
"""

import os
import random
import select
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from host.devices.sim_device import open_simulation
from hw.config import DeviceConfig
from sim.rtl.simulation import SimulationStalled

CYCLES_PER_BYTE = 40
"""Ten bits of four cycles: no board's line is faster."""
CYCLES_PER_TURN = 4_000
"""Cycles that pass for the device while the line is looked at once."""
POLL_SECONDS = 0.0005


@dataclass
class Line:
    """The line's state, which a test may change while it runs.

    Attributes
    ----------
    port: name of the near end
    chance: probability that a byte is damaged or lost, either way
    seed: of what is damaged
    damaged, lost: how many bytes have been
    overrun: how many bytes the device did not take in time
    """

    port: str
    chance: float = 0.0
    seed: int = 1
    damaged: int = 0
    lost: int = 0
    overrun: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def carry(self, data: bytes) -> bytes:
        """What arrives of `data`."""
        arrived = bytearray()
        for byte in data:
            if self._random.random() >= self.chance:
                arrived.append(byte)
            elif self._random.random() < 0.5:
                self.damaged += 1
                arrived.append(byte ^ self._random.randrange(1, 256))
            else:
                self.lost += 1
        return bytes(arrived)


@contextmanager
def simulated_line(config: DeviceConfig, *, seed: int = 1) -> Iterator[Line]:
    """A line to a simulated device of `config`, which computes while the test waits for it."""
    print(f"line seed {seed}")
    far, near = os.openpty()
    tty.setraw(near)
    os.set_blocking(far, False)
    line = Line(os.ttyname(near), seed=seed)
    with open_simulation(config) as device:
        simulation = device.simulation
        # Answers leave at the line's rate, which is what requests pile up behind.
        simulation.stall(tx=1 - 1 / CYCLES_PER_BYTE, seed=seed)

        def passed(data: bytes) -> bytes:
            """Pass bytes to the device one after the other; what it sends meanwhile."""
            answer = b""
            for byte in data:
                try:
                    answer += simulation.exchange(bytes([byte]), max_cycles=CYCLES_PER_BYTE)
                except SimulationStalled as stalled:
                    answer += stalled.received
                    line.overrun += 1
                answer += simulation.run(CYCLES_PER_BYTE)
            return answer

        def serve() -> None:
            while not line.ended.is_set():
                ready, _, _ = select.select([far], [], [], POLL_SECONDS)
                data = line.carry(os.read(far, 4096)) if ready else b""
                answer = line.carry(passed(data) + simulation.run(CYCLES_PER_TURN))
                while answer and not line.ended.is_set():
                    select.select([], [far], [], 1.0)
                    with suppress(BlockingIOError):
                        answer = answer[os.write(far, answer) :]

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield line
        finally:
            line.ended.set()
            thread.join()
            os.close(far)
            os.close(near)
