"""The golden model as a device: the same interface, no link, no time."""

from types import TracebackType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from host.devices.device import (
    DeviceError,
    DeviceStatus,
    as_words,
    failure,
    no_credit,
    refusal,
    starvation,
)
from hw.build_identity import build_identity
from hw.config import DeviceConfig, region_words
from hw.isa import Control, Region, Register, State, Status
from sim.golden.executor import GoldenExecutor


class GoldenDevice:
    """A `Device` over the golden executor, which works inside run() and stream().

    Attributes
    ----------
    executor: the golden model's whole state
    """

    name = "golden"

    def __init__(self, config: DeviceConfig):
        self.config = config
        self.identity = build_identity(config)
        self.executor = GoldenExecutor(config)
        self._words = region_words(config)

    def write(self, region: Region, address: int, words: ArrayLike) -> None:
        """See `Device.write`."""
        values = as_words(words)
        self._check("write", region, address, len(values))
        self.executor.write(region, address, values)

    def read(self, region: Region, address: int, count: int) -> NDArray[np.uint16]:
        """See `Device.read`."""
        self._check("read", region, address, count)
        return self.executor.read(region, address, count)

    def _check(self, verb: str, region: Region, address: int, count: int) -> None:
        what = f"{verb} of {count} words at {Region(region).name} {address}"
        outside = address < 0 or count < 0 or address + count > self._words[region]
        if outside or (verb == "write" and region == Region.COUNTERS):
            raise refusal(Status.BAD_ADDRESS, what)
        free = region in (Region.REGISTERS, Region.COUNTERS)
        if not free and self.executor.state == State.RUNNING:
            raise refusal(Status.BUSY, what)

    def run(self, start: int, count: int = 1) -> None:
        """See `Device.run`."""
        self.write(Region.REGISTERS, Register.START, [start, count])
        self.write(Region.REGISTERS, Register.CONTROL, Control.RUN)

    def step(self, start: int) -> None:
        """See `Device.step`."""
        self.write(Region.REGISTERS, Register.START, start)
        self.write(Region.REGISTERS, Register.CONTROL, Control.STEP)

    def stream(self, data: bytes | memoryview, *, end: bool = True) -> None:
        """See `Device.stream`."""
        if not self.executor.take(data, end=end):
            raise self._stopped() or no_credit()
        if end and self.executor.loader.overflow:
            raise refusal(Status.NO_CREDIT, f"stream of {len(data)} bytes")

    def poll(self) -> DeviceStatus:
        """See `Device.poll`."""
        return DeviceStatus(self.executor.state, self.executor.loader.credits)

    def wait(self) -> None:
        """See `Device.wait`."""
        error = self._stopped()
        if error is None and self.executor.state == State.RUNNING:
            error = starvation()
        if error is not None:
            raise error

    def _stopped(self) -> DeviceError | None:
        if self.executor.state == State.FAILED:
            return failure(self.executor.error, self.executor.position)
        return None

    def close(self) -> None:
        """See `Device.close`."""

    def __enter__(self) -> "GoldenDevice":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
