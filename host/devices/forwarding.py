"""A device that passes everything on to another one: what watches or completes a device is one."""

from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from host.devices.device import Device, DeviceStatus
from hw.isa import Region


class ForwardingDevice:
    """A `host.devices.device.Device` that is another one.

    Parameters
    ----------
    device: which; it is closed with this one
    """

    def __init__(self, device: Device):
        self._device = device
        self.name, self.config, self.identity = device.name, device.config, device.identity

    def write(self, region: Region, address: int, words: ArrayLike) -> None:
        """See `Device.write`."""
        self._device.write(region, address, words)

    def read(self, region: Region, address: int, count: int) -> NDArray[np.uint16]:
        """See `Device.read`."""
        return self._device.read(region, address, count)

    def run(self, start: int, count: int = 1) -> None:
        """See `Device.run`."""
        self._device.run(start, count)

    def step(self, start: int) -> None:
        """See `Device.step`."""
        self._device.step(start)

    def stream(self, data: bytes | memoryview, *, end: bool = True) -> None:
        """See `Device.stream`."""
        self._device.stream(data, end=end)

    def poll(self) -> DeviceStatus:
        """See `Device.poll`."""
        return self._device.poll()

    def wait(self) -> None:
        """See `Device.wait`."""
        self._device.wait()

    def close(self) -> None:
        """See `Device.close`."""
        self._device.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
