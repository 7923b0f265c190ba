"""The Verilated device in this process: bytes in, bytes out, a known number of clock cycles."""

import ctypes
import time
from pathlib import Path
from types import TracebackType
from typing import Self

NEVER = 2**64 - 1
ROOM = 1 << 20
# The library runs without Python, so Ctrl-C waits for the end of a call: well under a second.
CYCLES_PER_CALL = 1 << 18


class SimulationStalled(TimeoutError):  # noqa: N818 -- named after what happened
    """The device did not accept all data in the cycles allowed.

    Attributes
    ----------
    accepted: how many bytes it accepted
    received: the bytes that it sent meanwhile
    """

    def __init__(self, accepted: int, size: int, cycles: int, received: bytes):
        self.accepted = accepted
        self.received = received
        super().__init__(
            f"the device must accept {size} bytes, not {accepted}, within {cycles} cycles; "
            "it may be waiting for bytes that were never sent, or need more cycles"
        )


class _Exchange(ctypes.Structure):
    """The structure of the same name in harness.cpp."""

    _fields_ = [
        ("data", ctypes.c_char_p),
        ("data_size", ctypes.c_uint64),
        ("room", ctypes.c_void_p),
        ("room_size", ctypes.c_uint64),
        ("want", ctypes.c_uint64),
        ("max_cycles", ctypes.c_uint64),
        ("max_quiet", ctypes.c_uint64),
        ("accepted", ctypes.c_uint64),
        ("collected", ctypes.c_uint64),
        ("cycles", ctypes.c_uint64),
        ("quiet", ctypes.c_uint64),
    ]


class Simulation:
    """A device under a clock that runs while a method runs, and stands still between calls.

    Another thread may compute meanwhile: a call holds no lock of the interpreter. One simulation
    is for one thread at a time; several may exist in one process.

    Parameters
    ----------
    library: what `sim.rtl.build.build` returned

    Raises OSError if the library cannot be loaded.
    """

    def __init__(self, library: Path):
        self._library = _load(library)
        self._device = self._library.device_new()
        self._room = ctypes.create_string_buffer(ROOM)
        self._cycles = 0
        self._seconds = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def cycles(self) -> int:
        """Clock cycles since the start or the last reset."""
        return self._cycles

    @property
    def seconds(self) -> float:
        """Processor time that these cycles took, without what Python does between calls."""
        return self._seconds

    def exchange(
        self, data: bytes = b"", want: int = 0, max_cycles: int = 1_000_000, *, max_quiet: int = 0
    ) -> bytes:
        """Send `data`, and receive until all of it is accepted and `want` bytes have come.

        Sending and receiving overlap. Returns all bytes that came: more than `want` if the device
        sent them while it accepted data, fewer if it sent no more within `max_cycles`, or if no
        byte moved either way for `max_quiet` cycles (0: no such limit).

        Raises SimulationStalled if the device did not accept all of `data`.
        """
        for name, value in (("want", want), ("max_cycles", max_cycles), ("max_quiet", max_quiet)):
            if not 0 <= value < NEVER:
                raise ValueError(f"{name} must be a count from 0 up, not {value}")
        accepted, received, cycles = self._clock(bytes(data), want, max_cycles, max_quiet)
        if accepted < len(data):
            raise SimulationStalled(accepted, len(data), cycles, received)
        return received

    def run(self, cycles: int) -> bytes:
        """Pass exactly `cycles` clock cycles, and return the bytes that came."""
        if not 0 <= cycles < NEVER:
            raise ValueError(f"cycles must be a count from 0 up, not {cycles}")
        return self._clock(b"", NEVER, cycles, 0)[1]

    def stall(self, rx: float = 0.0, tx: float = 0.0, *, seed: int = 0) -> None:
        """From now on, withhold a byte to the device (`rx`), or readiness for one from it (`tx`).

        Each is the probability for a cycle, drawn from `seed`. A byte once offered stays offered
        until accepted, whatever is drawn. A reset ends the stalls.
        """
        for name, value in (("rx", rx), ("tx", tx)):
            if not 0 <= value < 1:
                raise ValueError(f"{name} must be a probability below 1, not {value}")
        self._library.device_stall(
            self._open(), int(rx * 2**32), int(tx * 2**32), seed & (2**64 - 1)
        )

    def trace(self, path: Path) -> None:
        """Record every signal into `path` (VCD) from now until the reset or the end.

        Raises RuntimeError if the library was built without `trace`, OSError if `path` cannot be
        written.
        """
        opened = self._library.device_trace(self._open(), str(path).encode())
        if opened < 0:
            raise RuntimeError("the library must be built with trace=True to record waves")
        if not opened:
            raise OSError(f"cannot write the trace {path}; is its folder there and writable?")

    def reset(self) -> None:
        """Start anew, as after configuration: registers and memories hold their initial values."""
        self.close()
        self._device = self._library.device_new()
        self._cycles = 0
        self._seconds = 0.0

    def close(self) -> None:
        """Free the device; closing twice is harmless."""
        if self._device:
            self._library.device_free(self._device)
            self._device = None

    def _open(self) -> int:
        if not self._device:
            raise ValueError("the simulation must be open, not closed; reset() opens it anew")
        return self._device

    def _clock(
        self, data: bytes, want: int, max_cycles: int, max_quiet: int
    ) -> tuple[int, bytes, int]:
        """Return how many bytes were accepted, what was received, and in how many cycles."""
        device = self._open()
        received: list[bytes] = []
        x = _Exchange(data=data, data_size=len(data), room=ctypes.addressof(self._room))
        x.room_size, x.want, x.max_quiet = len(self._room), want, max_quiet
        while True:
            x.max_cycles = min(max_cycles, x.cycles + CYCLES_PER_CALL)
            before, spent = x.cycles, time.thread_time()
            self._library.device_exchange(device, ctypes.byref(x))
            self._cycles += x.cycles - before
            self._seconds += time.thread_time() - spent
            x.want -= min(x.want, x.collected) if want != NEVER else 0
            received.append(ctypes.string_at(self._room, x.collected))
            x.collected = 0
            done = x.accepted == len(data) and not x.want
            if done or x.cycles >= max_cycles or 0 < max_quiet <= x.quiet:
                return x.accepted, b"".join(received), x.cycles


def _load(library: Path) -> ctypes.CDLL:
    loaded = ctypes.CDLL(str(library))
    loaded.device_new.restype = ctypes.c_void_p
    loaded.device_free.argtypes = [ctypes.c_void_p]
    loaded.device_free.restype = None
    loaded.device_stall.argtypes = [ctypes.c_void_p] + [ctypes.c_uint64] * 3
    loaded.device_stall.restype = None
    loaded.device_exchange.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    loaded.device_exchange.restype = None
    loaded.device_trace.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    loaded.device_trace.restype = ctypes.c_int
    return loaded
