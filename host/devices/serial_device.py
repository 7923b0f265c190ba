"""A board on a serial port as a device: the link over pyserial.

    LinkDevice --frames--> SerialTransport --pyserial--> port --> board
"""

import contextlib
import errno
import grp
import os
import termios
import time
from collections.abc import Iterator

import serial
from serial.tools import list_ports

from host.devices.device import DeviceError
from host.devices.link_device import LinkDevice
from host.devices.named_board import named_board
from hw.config import DeviceConfig
from hw.isa import ANSWER_HEADER_BYTES, CHECKSUM_BYTES

DEFAULT_BAUD = 1_000_000
"""Bits per second where neither the name of the device nor its board says otherwise."""
BITS_PER_BYTE = 10
"""A start bit, eight of data, a stop bit."""
WINDOW = 2
"""The receiver (`hw.link_receiver`) has two halves: a frame comes into one while the frame before
is carried out from the other. A third would be lost, since a serial line cannot be told to wait."""
SHORTEST_PATIENCE = 0.25
"""Seconds: more than a USB bridge, its driver and a busy scheduler hold a byte back."""
WRITE_PATIENCE = 5.0
"""Seconds for the port to take the bytes of a window."""
SHORTEST_PAUSE, LONGEST_PAUSE = 0.0002, 0.004
"""Seconds between polls: longer ones would let a board wait that was ready meanwhile."""


class SerialTransport:
    """A `Transport` over a serial port, which nobody else may open meanwhile.

    Parameters
    ----------
    port: such as /dev/ttyUSB1
    baud: bits per second
    frame_payload: most payload bytes of an answer

    Attributes
    ----------
    seconds: how long `receive` waits for a byte

    Raises DeviceError where the port is not there, not allowed, in use, or is unplugged later.
    """

    name = "serial"
    window = WINDOW

    def __init__(self, port: str, *, baud: int = DEFAULT_BAUD, frame_payload: int):
        answers = WINDOW * (ANSWER_HEADER_BYTES + frame_payload + CHECKSUM_BYTES)
        # A bridge may keep the bytes of a window until all have come.
        self.seconds = SHORTEST_PATIENCE + answers * BITS_PER_BYTE / baud
        self.patience = f"{self.seconds:.2g} s"
        self._where = port
        try:
            self._port = serial.Serial(
                port,
                baud,
                timeout=self.seconds,
                write_timeout=WRITE_PATIENCE,
                exclusive=True,
            )
        except (OSError, ValueError, termios.error) as error:
            raise _refusal(port, baud, error) from error
        # FTDI bridges else hold bytes back for 16 ms. Other ports have no such setting.
        with contextlib.suppress(OSError, ValueError, NotImplementedError):
            self._port.set_low_latency_mode(True)
        with self._attached():
            # What an earlier program asked for and did not take.
            self._port.reset_input_buffer()

    def send(self, data: bytes) -> None:
        """Hand the bytes to the port's driver."""
        with self._attached():
            self._port.write(data)

    def receive(self, want: int) -> bytes:
        """At least `want` bytes; fewer when none has come for `seconds`."""
        data = bytearray()
        with self._attached():
            while len(data) < want:
                came = self._port.read(max(1, self._port.in_waiting))
                if not came:
                    break
                data += came
        return bytes(data)

    def pause(self, polls: int) -> None:
        """Sleep: at first a fifth of a millisecond, twice as long each time."""
        time.sleep(min(LONGEST_PAUSE, SHORTEST_PAUSE * 2 ** min(polls, 16)))

    def close(self) -> None:
        """Give the port up."""
        with contextlib.suppress(OSError, termios.error):
            self._port.close()

    @contextlib.contextmanager
    def _attached(self) -> Iterator[None]:
        try:
            yield
        except serial.SerialTimeoutException as error:
            raise DeviceError(
                f"serial port {self._where} takes no bytes within {WRITE_PATIENCE:g} s; "
                "is its flow control off? Unplug the board and plug it in again"
            ) from error
        # pyserial lets errors of the system through, and those of termios are no OSError.
        except (OSError, termios.error) as error:
            raise DeviceError(
                f"serial port {self._where} is gone ({error}); was the board unplugged? "
                "Plug it in and start again"
            ) from error


def open_serial(place: str, config: DeviceConfig, *, baud: int = DEFAULT_BAUD) -> LinkDevice:
    """Open the board at `place`; `baud` is the rate where it names none.

    Raises ValueError on a place that is none, DeviceError where nothing answers or another build.
    """
    port, baud = parse_place(place, baud)
    transport = SerialTransport(port, baud=baud, frame_payload=config.frame_payload)
    return LinkDevice(transport, config)


def parse_place(place: str, baud: int = DEFAULT_BAUD) -> tuple[str, int]:
    """Port and rate of 'PORT', 'PORT@BAUD' or 'PORT@BOARD'; ValueError where either is none."""
    port, at, rate = place.partition("@")
    if not port:
        raise ValueError(
            "a serial device must be named as 'serial:PORT', 'serial:PORT@BAUD' or "
            f"'serial:PORT@BOARD'; {_offer()}"
        )
    there = named_board(f"serial:{place}")
    if there:
        baud = there.baud
    elif at:
        if not (rate.isascii() and rate.isdigit() and int(rate) > 0):
            raise ValueError(
                f"baud rate of serial:{place} must be a positive number, or a board, not {rate!r}"
            )
        baud = int(rate)
    return port, baud


def ports() -> list[str]:
    """Serial ports of this machine that have something behind them, by name."""
    return sorted(port.device for port in list_ports.comports())


def _offer() -> str:
    """What could be opened instead."""
    found = ports()
    return f"ports here: {', '.join(found)}" if found else "this machine has no serial port now"


def _refusal(port: str, baud: int, error: Exception) -> DeviceError:
    """The error of a port that cannot be opened: why, and what to do."""
    number = getattr(error, "errno", None)
    if number is None and isinstance(error.__cause__ or error.__context__, OSError):
        number = getattr(error.__cause__ or error.__context__, "errno", None)
    if number == errno.ENOENT:
        why = f"is not there; {_offer()}"
    elif number in (errno.EACCES, errno.EPERM):
        why = f"may not be opened by this user; it belongs to the group {_group(port)!r}: "
        why += f"`sudo usermod -aG {_group(port)} $USER`, then log in again"
    elif number in (errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK):
        why = "is in use by another program; close that one"
    else:
        why = f"cannot be opened at {baud} baud: {error}; {_offer()}"
    return DeviceError(f"serial port {port} {why}")


def _group(port: str) -> str:
    """Name of the group whose members may use a port."""
    number = os.stat(port).st_gid
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
