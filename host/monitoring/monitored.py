"""A device that is watched while it trains: its counters are read every so many batches."""

from collections.abc import Callable

from host.devices.device import Device
from host.devices.forwarding import ForwardingDevice
from host.statistics import Counts


class MonitoredDevice(ForwardingDevice):
    """Counts the batches of an epoch as they are sent.

    Parameters
    ----------
    device: what is watched
    every: batches from one reading to the next
    batches: that an epoch trains; those that follow are not watched
    note: takes the number of batches that were sent and what was counted since the last reading
    """

    def __init__(
        self,
        device: Device,
        *,
        every: int,
        batches: int,
        note: Callable[[int, Counts], None],
    ):
        super().__init__(device)
        self._every, self._batches, self._note = every, batches, note
        self._sent = 0
        self._before: Counts | None = None

    def begin_epoch(self) -> None:
        """The next batch is the first one of an epoch."""
        self._sent = 0

    def stream(self, data: bytes | memoryview, *, end: bool = True) -> None:
        """See `Device.stream`."""
        if self._sent < self._batches and self._sent % self._every == 0:
            self._look()
        self._device.stream(data, end=end)
        if end and self._sent < self._batches:
            self._sent += 1

    def _look(self) -> None:
        counts = Counts.read(self._device)
        if self._sent and self._before is not None:
            self._note(self._sent, counts - self._before)
        self._before = counts
