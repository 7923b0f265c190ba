"""A device that learns, whatever it is made of: one interface, and how to open one by its name.

    golden         the numpy model
    sim            simulated gateware, behind the framed byte link
    netlist        the same, synthesized for the configuration's family
    serial:PORT    a board behind the same link; serial:PORT@BAUD at another rate

All obey `Device`; what uses one need not know which it has.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hw.config import DeviceConfig
from hw.isa import INPUT_BUFFERS, Error, Region, State, Status

DEVICES = ("golden", "sim", "netlist", "netlist:BOARD", "serial:PORT")

Report = Callable[[str], None]
"""Takes a line about what takes long, such as the build of a simulator."""


class DeviceStatus:
    """What a device is doing (`state`) and how many sample buffers are empty (`credits`)."""

    __slots__ = ("credits", "state")

    def __init__(self, state: State, credits: int):
        self.state, self.credits = state, credits

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DeviceStatus):
            return NotImplemented
        return (self.state, self.credits) == (other.state, other.credits)

    def __repr__(self) -> str:
        return f"DeviceStatus(state=State.{self.state.name}, credits={self.credits})"


class DeviceError(RuntimeError):
    """A device refused a request, failed, or does not answer.

    Attributes
    ----------
    status: the device's answer to a refused request, or None
    error: why its program failed, Error.NONE where it did not
    """

    def __init__(self, message: str, *, status: Status | None = None, error: Error = Error.NONE):
        super().__init__(message)
        self.status, self.error = status, error


@runtime_checkable
class Device(Protocol):
    """What every device does. Addresses and counts are in words of the region.

    Attributes
    ----------
    name: what kind of device, such as 'golden'
    config: its configuration
    identity: hash of the build, 16 bytes; see `hw.build_identity`

    Raises DeviceError where the device refuses, fails or is silent.
    """

    name: str
    config: DeviceConfig
    identity: bytes

    def write(self, region: Region, address: int, words: ArrayLike) -> None:
        """Write 16-bit words, signed or unsigned; refused (BUSY) while a program runs."""

    def read(self, region: Region, address: int, count: int) -> NDArray[np.uint16]:
        """Read words; all but registers and counters are refused (BUSY) while a program runs."""

    def run(self, start: int, count: int = 1) -> None:
        """Start the program at instruction `start`; its LOOP goes round `count` times."""

    def step(self, start: int) -> None:
        """Carry out one instruction: the next one of a halted program, else that at `start`."""

    def stream(self, data: bytes | memoryview, *, end: bool = True) -> None:
        """Send bytes of a batch, its last ones with `end`; waits for an empty buffer."""

    def poll(self) -> DeviceStatus:
        """What the device is doing now."""

    def wait(self) -> None:
        """Return when no program runs; DeviceError when it failed or waits for samples in vain."""

    def close(self) -> None:
        """Give up what the device holds of this machine; nothing else may follow."""

    def __enter__(self) -> "Device": ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def open_device(spec: str, config: DeviceConfig, *, report: Report | None = None) -> Device:
    """Open the device that `spec` names, one of DEVICES.

    `report` is told what takes long. Raises ValueError on a name that is not known.
    """
    kind, _, place = spec.partition(":")
    if kind in ("serial", "netlist") and place:
        from host.devices.named_board import check_configuration

        check_configuration(spec, config)
    if kind == "serial":
        from host.devices.serial_device import open_serial

        return open_serial(place, config)
    if kind == "netlist":
        from host.devices.netlist_device import open_netlist

        return open_netlist(config, report=report)
    if spec not in DEVICES:
        extra = f", and {kind} takes no {place!r}" if kind in DEVICES else ""
        raise ValueError(f"device must be one of {', '.join(DEVICES)}, not {spec!r}{extra}")
    if kind == "golden":
        from host.devices.golden_device import GoldenDevice

        return GoldenDevice(config)
    from host.devices.sim_device import open_simulation

    return open_simulation(config, report=report)


def as_words(words: ArrayLike) -> NDArray[np.uint16]:
    """16-bit words, signed or unsigned, as an array of uint16; ValueError where they are not."""
    array = np.atleast_1d(np.asarray(words))
    if array.ndim != 1:
        raise ValueError(f"words must be a scalar or one-dimensional, not of shape {array.shape}")
    if array.dtype in (np.int16, np.uint16):
        return array.view(np.uint16)
    whole = array.dtype.kind in "iu"
    if array.size and not (whole and array.min() >= -0x8000 and array.max() <= 0xFFFF):
        raise ValueError("words must be whole numbers from -32768 to 65535")
    return (array.astype(np.int64) & 0xFFFF).astype(np.uint16)


def refusal(status: Status, what: str) -> DeviceError:
    """The error of a refused request; `what` names it, such as 'write of 3 words to WEIGHT 0'."""
    why = {
        Status.BAD_REQUEST: "the device does not know such a request; is the build the same?",
        Status.BAD_ADDRESS: "the region does not exist or ends before; see hw.config.region_words",
        Status.BUSY: "a program runs; wait() for it, or write Control.STOP",
        Status.NO_CREDIT: (
            "both sample buffers are full, or the batch is larger than a buffer; run a program "
            "that takes samples, or make batches smaller"
        ),
    }
    return DeviceError(f"{what} was refused ({status.name}): {why.get(status, '')}", status=status)


def failure(error: Error, position: int) -> DeviceError:
    """The error of a failed program that stands at instruction `position`."""
    why = {
        Error.UNKNOWN_OPCODE: "it is no command of this device; was the program written whole?",
        Error.PROGRAM_END: "the program memory ends here without an END; was START right?",
        Error.BATCH_SIZE: "the batch that came has another size than its ACQUIRE expects; stream "
        "as many samples as the program was compiled for",
    }
    return DeviceError(
        f"the program failed at instruction {position} ({error.name}): {why.get(error, '')}; "
        "write Control.STOP to make the device ready again",
        error=error,
    )


def starvation() -> DeviceError:
    """The error of a wait for a program that waits for samples which nobody sends."""
    return DeviceError(
        "the program waits for a batch and none was sent: stream() one for every round before "
        "wait(), or write Control.STOP"
    )


def no_credit() -> DeviceError:
    """The error of a stream to a device whose buffers are full and whose program does not run."""
    return DeviceError(
        f"all {INPUT_BUFFERS} sample buffers are full and no program runs that would empty one: "
        "run() one first, or write Control.STOP to forget the samples",
        status=Status.NO_CREDIT,
    )
