"""A device that can go on where another one left off.

Two things that a run leaves in a device can be neither written nor read: its counters, which only
count, and which of the two sample buffers comes next. The host keeps both.

    read(COUNTERS) --> what the device counted + what was counted before
    stream(end), STOP --> front
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from host.devices.device import Device
from host.devices.forwarding import ForwardingDevice
from host.statistics import SUMS
from hw.isa import (
    COUNTER_WORDS,
    COUNTERS,
    INPUT_BUFFERS,
    SATURATION_COUNTERS,
    Control,
    Region,
    Register,
)

Words = NDArray[np.uint16]


def _tallies() -> list[slice]:
    """The words of each counter that only grows."""
    found = []
    for name in SUMS:
        counter = COUNTERS[name]
        found.append(slice(counter.address, counter.address + counter.words))
    counter = COUNTERS["saturations"]
    words = counter.words // SATURATION_COUNTERS
    first = counter.address
    return found + [slice(a, a + words) for a in range(first, first + counter.words, words)]


TALLIES = _tallies()


def total(first: Words, second: Words) -> Words:
    """The COUNTERS region of a device that counted both; what does not count is the second's."""
    words = second.copy()
    for place in TALLIES:
        carry = 0
        for address in range(place.start, place.stop):
            carry += int(first[address]) + int(second[address])
            words[address] = carry & 0xFFFF
            carry >>= 16
    return words


class ContinuedDevice(ForwardingDevice):
    """A device that counts on from other counters, and knows which buffer comes next.

    Attributes
    ----------
    front: the buffer that the next batch goes to, as long as no batch is under way
    """

    def __init__(self, device: Device):
        super().__init__(device)
        self.front = 0
        self._before: Words | None = None

    def count_from(self, before: Words) -> None:
        """Let the counters read as if the device had counted the region `before` already."""
        there = self._device.read(Region.COUNTERS, 0, COUNTER_WORDS)
        kept = np.zeros(COUNTER_WORDS, np.uint16)
        for place in TALLIES:
            kept[place] = _difference(before[place], there[place])
        self._before = kept

    def write(self, region: Region, address: int, words: ArrayLike) -> None:
        """See `Device.write`."""
        self._device.write(region, address, words)
        if region != Region.REGISTERS or address > Register.CONTROL:
            return
        control = np.atleast_1d(np.asarray(words))[Register.CONTROL - address]
        if control == Control.STOP:
            self.front = 0
        elif control == Control.CLEAR:
            self._before = None

    def read(self, region: Region, address: int, count: int) -> Words:
        """See `Device.read`."""
        if region != Region.COUNTERS or self._before is None:
            return self._device.read(region, address, count)
        words = self._device.read(region, 0, COUNTER_WORDS)
        return total(self._before, words)[address : address + count]

    def stream(self, data: bytes | memoryview, *, end: bool = True) -> None:
        """See `Device.stream`."""
        self._device.stream(data, end=end)
        if end:
            self.front = (self.front + 1) % INPUT_BUFFERS


def _difference(later: Words, earlier: Words) -> Words:
    """`later` - `earlier` of a counter, modulo its width."""
    size = 8 * later.nbytes
    numbers = [int.from_bytes(w.astype("<u2").tobytes(), "little") for w in (later, earlier)]
    kept = (numbers[0] - numbers[1]) % (1 << size)
    return np.frombuffer(kept.to_bytes(size // 8, "little"), "<u2").astype(np.uint16)
