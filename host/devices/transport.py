"""How bytes reach a device and come back: what a link needs of a simulation or a serial port."""

from typing import Protocol


class Transport(Protocol):
    """Two byte streams.

    Attributes
    ----------
    name: what kind of device is at the other end, such as 'sim'
    window: requests that may be on their way at once; more than 1 keeps the link busy, and
        without flow control no more than the device buffers
    patience: how long `receive` waits, in words, such as '20000 cycles'
    """

    name: str
    window: int
    patience: str

    def send(self, data: bytes) -> None:
        """Hand bytes over; they may leave with the next `receive`."""

    def receive(self, want: int) -> bytes:
        """At least `want` bytes; fewer when none has come for `patience`."""

    def pause(self, polls: int) -> None:
        """Let the device work a while, the longer the more `polls` were in vain."""

    def close(self) -> None:
        """Give the port or the simulation up."""
