"""Finds boards: which serial port has a device behind it, and which build it is."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from rich.table import Table

from boards.board import board, names
from host.device import DeviceError
from host.framing import FrameError
from host.requests import Message, Requester
from host.serial_device import DEFAULT_BAUD, SerialTransport, ports
from host.transport import Transport
from hw.build_identity import build_identity
from hw.config import CONFIGURATIONS
from hw.isa import IDENTITY_BYTES, Request

LONGEST_PAYLOAD = max(config.frame_payload for config in CONFIGURATIONS.values())
"""A device that waits for the rest of a frame needs so many bytes, whichever it is."""


@dataclass(frozen=True)
class Found:
    """A serial port and what is behind it.

    Attributes
    ----------
    port: its name
    identity: of the build that answers, or None
    what: that build in words, or why there is none
    """

    port: str
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


def find(
    places: Iterable[str] | None = None,
    *,
    baud: int = DEFAULT_BAUD,
    report: Callable[[str], None] = lambda port: None,
) -> Iterator[Found]:
    """Ask at every serial port, one after the other.

    Parameters
    ----------
    places: the ports; all there are unless told
    baud: bits per second
    report: is told each port before it is asked
    """
    for port in ports() if places is None else places:
        report(port)
        yield _ask(port, baud)


def _ask(port: str, baud: int) -> Found:
    try:
        transport = SerialTransport(port, baud=baud, frame_payload=LONGEST_PAYLOAD)
        try:
            identity = ask_identity(transport)
        finally:
            transport.close()
    except (DeviceError, FrameError) as error:
        return Found(port, None, str(error))
    return Found(port, identity, build_name(identity))


def table(found: Iterable[Found]) -> Table:
    """One row for each port."""
    rows = Table("port", "build", "what", box=None, pad_edge=False)
    for one in found:
        rows.add_row(one.port, one.identity.hex() if one.identity else "-", one.what)
    return rows
