"""Finds boards: which serial port has a device behind it, and which build it is."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.table import Table

from boards.board import board, names
from host.devices.device import DeviceError
from host.devices.framing import FrameError
from host.devices.requests import Message, Requester
from host.devices.serial_device import DEFAULT_BAUD, SerialTransport, ports
from host.devices.transport import Transport
from hw.build_identity import build_identity
from hw.configurations import CONFIGURATIONS
from hw.isa import IDENTITY_BYTES, Request

LONGEST_PAYLOAD = max(config.frame_payload for config in CONFIGURATIONS.values())
"""A device that waits for the rest of a frame needs so many bytes, whichever it is."""


@dataclass(frozen=True)
class Found:
    """A serial port and what is behind it.

    Attributes
    ----------
    port: its name
    baud: the rate at which a build answers, or None
    identity: of that build, or None
    what: that build in words, or why there is none
    """

    port: str
    baud: int | None
    identity: bytes | None
    what: str


def ask_identity(transport: Transport, *, frame_payload: int = LONGEST_PAYLOAD) -> bytes:
    """The identity of the device behind a transport, whichever build it is; DeviceError if none."""
    requester = Requester(transport, frame_payload=frame_payload)
    requester.synchronise()
    return requester.call([Message(Request.IDENTIFY, answer_bytes=IDENTITY_BYTES)])[0].payload


def build_name(identity: bytes) -> str:
    """Which configuration of these sources a build is, and which boards have it."""
    for name, config in CONFIGURATIONS.items():
        if build_identity(config) == identity:
            boards = [own for own in names() if board(own).config == config]
            return f"{name} ({', '.join(boards)})" if boards else name
    return "another build: other sources, or other sizes"


def rates() -> tuple[int, ...]:
    """The rates of all boards, in bits per second, the fastest first."""
    return tuple(sorted({DEFAULT_BAUD, *(board(name).baud for name in names())}, reverse=True))


def find(
    places: Iterable[str] | None = None,
    *,
    bauds: Sequence[int] = (),
    report: Callable[[str], None] = lambda what: None,
) -> Iterator[Found]:
    """Ask at every serial port, one after the other.

    Parameters
    ----------
    places: the ports; all there are unless told
    bauds: the rates to ask at, in bits per second; those of all boards unless told
    report: is told each port and rate before it is asked
    """
    for port in ports() if places is None else places:
        yield _ask(port, bauds or rates(), report)


def _ask(port: str, bauds: Sequence[int], report: Callable[[str], None]) -> Found:
    errors: dict[str, list[str]] = {}
    for baud in bauds:
        report(f"{port} at {baud:,} baud")
        try:
            transport = SerialTransport(port, baud=baud, frame_payload=LONGEST_PAYLOAD)
            try:
                identity = ask_identity(transport)
            finally:
                transport.close()
        except (DeviceError, FrameError) as error:
            errors.setdefault(str(error), []).append(f"{baud:,}")
        else:
            return Found(port, baud, identity, build_name(identity))
    reasons = [f"{error} (at {', '.join(bauds)} baud)" for error, bauds in errors.items()]
    return Found(port, None, None, "; ".join(reasons))


def table(found: Iterable[Found]) -> Table:
    """One row for each port."""
    rows = Table("port", "baud", "build", "what", box=None, pad_edge=False)
    for one in found:
        baud = f"{one.baud:,}" if one.baud else "-"
        rows.add_row(one.port, baud, one.identity.hex() if one.identity else "-", one.what)
    return rows
