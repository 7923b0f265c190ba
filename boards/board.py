"""What a board is: its part, its clock, its serial line and its lamps, declared in one file each.

`boards/catalogue/NAME.py` holds the board NAME as `BOARD`; a new file there is a new board.
"""

import pkgutil
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from amaranth.build import Attrs, Pins, Resource, Subsignal

from boards.clocks import Pll
from hw.config import DeviceConfig, Family
from hw.uart import MIN_DIVISOR

CATALOGUE = Path(__file__).with_name("catalogue")

MOST_BAUD_ERROR = 1.5
"""Per cent that a divisor may be off: of the 5 that take the last bit of ten from its middle to its
edge, most is the other end's."""

Price = Literal["below 40 USD", "40 to 100 USD", "above 100 USD"]

Led = tuple[str, int] | tuple[str, int, str]
"""Name and number of a resource of amaranth-boards, and the name of a part of it."""


@dataclass(frozen=True, kw_only=True)
class Lamps:
    """The LEDs that are lit while the device is idle, runs a program, or has failed."""

    idle: tuple[Led, ...]
    running: tuple[Led, ...]
    failed: tuple[Led, ...]

    @property
    def leds(self) -> tuple[Led, ...]:
        """Every LED once."""
        return tuple(dict.fromkeys(self.idle + self.running + self.failed))


@dataclass(frozen=True, kw_only=True)
class SerialPins:
    """Pins of a serial line that amaranth-boards does not know; rx is the FPGA's input."""

    rx: str
    tx: str


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board that a device runs on.

    Parameters
    ----------
    title: as its maker writes it
    price: what it costs, roughly
    part: a name of `boards.resources.PARTS`
    package, speed: of the part, as they stand in its ordering code
    config: the device that fits the part; its family is the part's
    platform: module and class in amaranth-boards
    oscillator: resource of the pin at which the board's clock comes in
    oscillator_megahertz: its frequency
    pll: from there to the clock of the device; None: the device runs at the oscillator's
    baud: bits per second on the serial line
    bridge: what carries the serial line to the host
    bridge_baud: the fastest rate that the bridge is known to hold
    lamps: what tells the state of the device
    serial: pins of the line, where amaranth-boards has no "uart"
    held: pins that must be at a level for the board to work, such as the select of a flash memory
        that shares the serial line
    loader: arguments of openFPGALoader that name the board; None where it does not know it
    notes: what a user has to know or do

    Raises ValueError when the clock cannot be divided into the serial rate.
    """

    title: str
    price: Price
    part: str
    package: str
    speed: str
    config: DeviceConfig
    platform: str
    oscillator: str
    oscillator_megahertz: Fraction | int
    pll: Pll | None = None
    baud: int
    bridge: str
    bridge_baud: int
    lamps: Lamps
    serial: SerialPins | None = None
    held: tuple[tuple[str, Literal[0, 1]], ...] = ()
    loader: tuple[str, ...] | None
    notes: str = ""

    def __post_init__(self) -> None:
        if self.pll is not None and self.pll.reference != self.oscillator_megahertz:
            raise ValueError(
                f"the reference of the PLL of {self.title} must be its oscillator's "
                f"{float(self.oscillator_megahertz):g} MHz, not {float(self.pll.reference):g}"
            )
        if self.baud > self.bridge_baud:
            raise ValueError(
                f"baud of {self.title} must be at most the {self.bridge_baud} of its "
                f"{self.bridge}, not {self.baud}"
            )
        if self.divisor < MIN_DIVISOR or abs(self.baud_error) >= MOST_BAUD_ERROR:
            raise ValueError(
                f"baud of {self.title} must divide {self.megahertz:g} MHz by at least "
                f"{MIN_DIVISOR} with less than {MOST_BAUD_ERROR} % left over, not be {self.baud}: "
                f"{self.baud_error:+.2f} % with a divisor of {self.divisor}"
            )

    @property
    def family(self) -> Family:
        """Whose tools and multipliers."""
        return self.config.family

    @property
    def hertz(self) -> Fraction:
        """Clock of the device, exact."""
        megahertz = self.pll.megahertz if self.pll else Fraction(self.oscillator_megahertz)
        return megahertz * 1_000_000

    @property
    def megahertz(self) -> float:
        """Clock of the device."""
        return float(self.hertz / 1_000_000)

    @property
    def divisor(self) -> int:
        """Cycles of a bit on the serial line."""
        return round(self.hertz / self.baud)

    @property
    def baud_error(self) -> float:
        """What the rate on the line is above `baud`, in per cent."""
        return float(100 * (self.hertz / self.divisor / self.baud - 1))

    def open_platform(self) -> Any:
        """A new platform of amaranth-boards, with the pins that it does not know added."""
        module, _, name = self.platform.partition(":")
        platform = getattr(import_module(f"amaranth_boards.{module}"), name)()
        attributes = Attrs(**STANDARDS[self.family])
        if self.serial:
            rx = Subsignal("rx", Pins(self.serial.rx, dir="i"))
            tx = Subsignal("tx", Pins(self.serial.tx, dir="o"))
            platform.add_resources([Resource("uart", 0, rx, tx, attributes)])
        platform.add_resources(
            Resource("held", number, Pins(pin, dir="o"), attributes)
            for number, (pin, _) in enumerate(self.held)
        )
        return platform


STANDARDS: dict[Family, dict[str, str]] = {
    "ice40": {"IO_STANDARD": "SB_LVCMOS"},
    "ecp5": {"IO_TYPE": "LVCMOS33"},
    "gowin": {"IO_TYPE": "LVCMOS33"},
}
"""Attributes of a 3.3 V pin."""


def names() -> list[str]:
    """The boards of the catalogue, by name."""
    return sorted(module.name for module in pkgutil.iter_modules([str(CATALOGUE)]))


def board(name: str) -> Board:
    """The board of that name; ValueError lists the names there are."""
    if name not in names():
        raise ValueError(f"board must be one of {', '.join(names())}, not {name!r}")
    found = import_module(f"boards.catalogue.{name}").BOARD
    assert isinstance(found, Board)
    return found
