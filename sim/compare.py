"""Two devices as one: every request goes to both, and all that they hold must stay equal.

    trainer --> Lockstep --+--> first device   --+
                           +--> second device  --+--> compare every word, every LFSR, every counter

`Lockstep` has the interface of a device, so that whatever drives one drives two. It compares after
every command, or after every program, and the first difference stops it with `Divergence`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hw.config import DeviceConfig, region_words
from hw.isa import (
    COUNTER_WORDS,
    COUNTERS,
    INSTRUCTION_WORDS,
    MEMORY_REGIONS,
    Control,
    Instruction,
    Opcode,
    Region,
    Register,
    State,
)

Words = NDArray[np.uint16]


class ComparedDevice(Protocol):
    """What a comparison asks of a device; `host.devices.device` says what each member does."""

    name: str
    config: DeviceConfig
    identity: bytes

    def write(self, region: Region, address: int, words: ArrayLike) -> None: ...

    def read(self, region: Region, address: int, count: int) -> Words: ...

    def run(self, start: int, count: int = 1) -> None: ...

    def step(self, start: int) -> None: ...

    def stream(self, data: bytes | memoryview, *, end: bool = True) -> None: ...

    def poll(self) -> Any: ...

    def wait(self) -> None: ...

    def close(self) -> None: ...


class Every(Enum):
    """When two devices are compared."""

    COMMAND = "command"
    PROGRAM = "program"


@dataclass(frozen=True)
class Difference:
    """The first word in which two devices differ.

    Attributes
    ----------
    program: how many programs had been started
    command: what was carried out last
    place: the region's word by the name of its tensor, row and column
    region, address: where it lies
    devices: names of the two
    values: the word in each, signed in tile memories
    count: how many words differ in all
    """

    program: int
    command: str
    place: str
    region: Region
    address: int
    devices: tuple[str, str]
    values: tuple[int, int]
    count: int

    def __str__(self) -> str:
        first, second = (f"{d} {v}" for d, v in zip(self.devices, self.values, strict=True))
        more = f"; {self.count} words differ in all" if self.count > 1 else ""
        return (
            f"program {self.program}, after {self.command}: {self.place} "
            f"({self.region.name} word {self.address}) is {first}, {second}{more}"
        )


class Divergence(Exception):  # noqa: N818 - a finding, not a fault of either device
    """Two devices differ.

    Attributes
    ----------
    difference: where they do first
    """

    def __init__(self, difference: Difference):
        super().__init__(str(difference))
        self.difference = difference


def read_state(
    device: ComparedDevice, extents: Mapping[Region, int] | None = None
) -> dict[Region, Words]:
    """Every word that a device holds: tile memories, LFSRs, and all counters but those of clocks.

    Parameters
    ----------
    extents: words of tile memories to read, from address 0; all of a memory that it does not name
    """
    sizes = region_words(device.config)
    state = {
        region: device.read(region, 0, words)
        for region in MEMORY_REGIONS
        if (words := min(sizes[region], (extents or sizes).get(region, sizes[region])))
    }
    state[Region.LFSR] = device.read(Region.LFSR, 0, sizes[Region.LFSR])
    counters = device.read(Region.COUNTERS, 0, COUNTER_WORDS).copy()
    for counter in COUNTERS.values():
        if counter.clock:
            counters[counter.address : counter.address + counter.words] = 0
    state[Region.COUNTERS] = counters
    return state


def differing_words(
    first: Mapping[Region, Words], second: Mapping[Region, Words]
) -> Iterator[tuple[Region, NDArray[np.intp]]]:
    """Each region in which two states differ, with the addresses where they do."""
    for region in first:
        if not np.array_equal(first[region], second[region]):
            yield region, np.flatnonzero(first[region] != second[region])


def describe_word(region: Region, address: int) -> str:
    """The name of a word that is no tensor's: a counter, an LFSR, or its region."""
    if region == Region.LFSR:
        return f"LFSR of lane {address // 2}, {('low', 'high')[address % 2]} half"
    if region == Region.COUNTERS:
        for counter in COUNTERS.values():
            if counter.address <= address < counter.address + counter.words:
                return f"counter {counter.name}, word {address - counter.address}"
    return f"{region.name} word {address}"


class Lockstep:
    """A pair of devices that are driven as one and compared.

    Parameters
    ----------
    first, second: the devices, of the same configuration
    every: compare after every command or after every program
    locate: names a word of a tile memory, such as `host.memory_map.MemoryMap.locate`
    extents: words of each tile memory to compare, from address 0; all where it is None. What a
        network does not use stays as it is, so one `check` of everything at the end covers it

    Attributes
    ----------
    commands: how many commands have been compared

    Raises ValueError when the configurations differ.
    """

    def __init__(
        self,
        first: ComparedDevice,
        second: ComparedDevice,
        *,
        every: Every = Every.PROGRAM,
        locate: Callable[[Region, int], str] | None = None,
        extents: Mapping[Region, int] | None = None,
    ):
        if first.config != second.config:
            raise ValueError(
                f"devices must have the same configuration, not {first.config} and {second.config}"
            )
        self.name = f"{first.name}+{second.name}"
        self.config = first.config
        self.identity = first.identity
        self.devices = (first, second)
        self.every = every
        self.locate = locate
        self.extents = extents
        self.commands = 0
        self._programs = 0
        self._batches = 0
        self._start = 0
        self._stepping = False
        self._program = np.zeros(region_words(self.config)[Region.PROGRAM], np.uint16)

    def write(self, region: Region, address: int, words: ArrayLike) -> None:
        """Write to both."""
        for device in self.devices:
            device.write(region, address, words)
        values = np.atleast_1d(np.asarray(words)).astype(np.int64) & 0xFFFF
        if region == Region.PROGRAM:
            self._program[address : address + len(values)] = values
        if region == Region.REGISTERS and address <= Register.CONTROL < address + len(values):
            if values[Register.CONTROL - address] == Control.STOP:
                self._batches, self._stepping = 0, False

    def read(self, region: Region, address: int, count: int) -> Words:
        """Read from the second device, whose clock counters count if one's do."""
        return self.devices[1].read(region, address, count)

    def run(self, start: int, count: int = 1) -> None:
        """Start a program on both."""
        self._programs += 1
        if self.every is Every.PROGRAM:
            for device in self.devices:
                device.run(start, count)
            return
        self.write(Region.REGISTERS, Register.COUNT, count)
        self._start, self._stepping = start, True
        self._advance()

    def step(self, start: int) -> None:
        """Carry out one instruction on both, and compare."""
        instruction = self._next(start)
        for device in self.devices:
            device.step(start)
        for device in self.devices:
            device.wait()
        self.check(f"instruction {self._last} {instruction.opcode.name}", self.extents)
        self.commands += 1

    def stream(self, data: bytes | memoryview, *, end: bool = True) -> None:
        """Send samples to both."""
        for device in self.devices:
            device.stream(data, end=end)
        self._batches += end
        if self._stepping:
            self._advance()

    def poll(self) -> Any:
        """State of the second device."""
        return self.devices[1].poll()

    def wait(self) -> None:
        """Wait until no program runs on either, and compare, unless none has been started yet.

        What was there before is nobody's result: a part's memories may hold anything then.
        """
        for device in self.devices:
            device.wait()
        if self._programs:
            self.check("its end", self.extents)

    def close(self) -> None:
        """Close both."""
        for device in self.devices:
            device.close()

    def __enter__(self) -> "Lockstep":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def check(self, command: str, extents: Mapping[Region, int] | None = None) -> None:
        """Raise Divergence unless both hold the same words, all that there are or `extents`.

        `command` is what they did last.
        """
        first, second = (read_state(device, extents) for device in self.devices)
        differing = list(differing_words(first, second))
        if not differing:
            return
        region, addresses = differing[0]
        address = int(addresses[0])
        signed = region in MEMORY_REGIONS
        kind = np.int16 if signed else np.uint16
        values = [int(state[region].view(kind)[address]) for state in (first, second)]
        place = self.locate(region, address) if self.locate and signed else None
        raise Divergence(
            Difference(
                program=self._programs,
                command=command,
                place=place or describe_word(region, address),
                region=region,
                address=address,
                devices=(self.devices[0].name, self.devices[1].name),
                values=(values[0], values[1]),
                count=sum(len(addresses) for _, addresses in differing),
            )
        )

    def _next(self, start: int) -> Instruction:
        """The instruction that a step carries out."""
        state, position = self.devices[0].read(Region.COUNTERS, COUNTERS["state"].address, 3)[::2]
        self._last = int(position) if state == State.HALTED else start
        words = self._program.reshape(-1, INSTRUCTION_WORDS)[self._last]
        return Instruction.decode(words.tolist())

    def _advance(self) -> None:
        """Step until the program ends or needs samples that have not come."""
        while self._stepping:
            opcode = self._next(self._start).opcode
            if opcode == Opcode.ACQUIRE and not self._batches:
                return
            self.step(self._start)
            self._batches -= opcode == Opcode.RELEASE
            self._stepping = opcode != Opcode.END
