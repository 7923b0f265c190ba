"""Boards: each is found, is what amaranth-boards says, and has a clock that its part makes."""

import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from boards import top
from boards.board import MOST_BAUD_ERROR, Board, board, names
from boards.clocks import Ecp5Pll, Ecp5SecondaryPll, GowinPll, Ice40Pll, Pll
from boards.resources import PARTS, SIZED_FOR
from boards.top import Top
from hw.configurations import CONFIGURATIONS, configuration

NAMES = names()
CONSTRAINTS = {"ice40": "top.pcf", "ecp5": "top.lpf", "gowin": "top.cst"}
PINS = {
    "ice40": r"set_io (\w+) (\w+)",
    "ecp5": r'LOCATE COMP "(\w+)" SITE "(\w+)"',
    "gowin": r'IO_LOC "(\w+)" (\w+);',
}
"""A pin's name and place in a family's constraints."""


class Stub(wiring.Component):
    """In the place of a device, which takes seconds to elaborate: answers a byte with itself."""

    def __init__(self, *, config: Any, identity: bytes):
        octets = stream.Signature(8)
        super().__init__({"rx": In(octets), "tx": Out(octets), "state": Out(4)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.d.comb += [
            self.tx.payload.eq(self.rx.payload),
            self.tx.valid.eq(self.rx.valid),
            self.rx.ready.eq(self.tx.ready),
        ]
        m.d.sync += self.state.eq(self.state + self.rx.valid)
        return m


@pytest.fixture
def without_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top, "Device", Stub)


def prepared(declared: Board) -> tuple[str, dict[str, str]]:
    """The netlist of a board's top level, as RTLIL, and its pins by name; runs no tool."""
    plan = declared.open_platform().prepare(Top(board=declared), "top", emit_src=False)
    files = {k: v if isinstance(v, str) else v.decode() for k, v in plan.files.items()}
    found = re.findall(PINS[declared.family], files[CONSTRAINTS[declared.family]])
    assert len(dict(found)) == len(found)
    return files["top.il"], dict(found)


def test_an_unknown_board_is_told_the_names() -> None:
    assert {"icebreaker", "ulx3s_85f", "tang_nano_9k"} <= set(NAMES)
    with pytest.raises(ValueError, match="board must be one of icebreaker, .*, not 'icebraker'"):
        board("icebraker")


@pytest.mark.parametrize("name", NAMES)
def test_elaborates_with_every_pin(name: str, without_device: None) -> None:
    declared = board(name)
    netlist, pins = prepared(declared)
    # The clock, a line each way, what is held, and the lamps: each at a pin of its own.
    assert len(set(pins.values())) == len(pins)
    assert len(pins) == 3 + len(declared.held) + len(declared.lamps.leds)
    assert {pin for pin, _ in declared.held} <= set(pins.values())
    if declared.serial:
        assert pins["uart_0__rx__io"] == declared.serial.rx
        assert pins["uart_0__tx__io"] == declared.serial.tx


@pytest.mark.long
@pytest.mark.parametrize("name", ["icebreaker", "ulx3s_12f", "tang_nano_9k"])
def test_elaborates_with_its_device(name: str) -> None:
    """One of each family; what else there is of devices is the same for all of them."""
    netlist, _ = prepared(board(name))
    block = {"ice40": "SB_MAC16", "ecp5": "MULT18X18D", "gowin": "MULT18X18"}
    assert f"cell \\{block[board(name).family]} " in netlist


@pytest.mark.parametrize("name", NAMES)
def test_is_what_amaranth_boards_says(name: str) -> None:
    declared = board(name)
    platform = declared.open_platform()
    frequency = platform.lookup(declared.oscillator).clock.frequency
    assert frequency == declared.oscillator_megahertz * 1_000_000
    if declared.family == "gowin":
        series, size = declared.part.split("-")
        assert platform.part == f"{series}-LV{size}{declared.package}{declared.speed}"
        if isinstance(declared.pll, GowinPll):
            assert declared.pll.device == platform.family
    else:
        assert (platform.device, platform.package) == (declared.part, declared.package)
        assert declared.speed == getattr(platform, "speed", "")


@pytest.mark.parametrize("name", NAMES)
def test_fits_its_part_and_its_line(name: str) -> None:
    declared = board(name)
    assert PARTS[declared.part].family == declared.family
    meant, there = PARTS[SIZED_FOR[declared.config.name]].there, PARTS[declared.part].there
    assert meant.exceeded(there) == []
    actual = declared.hertz / declared.divisor
    error = 100 * (actual - declared.baud) / declared.baud
    assert declared.baud_error == pytest.approx(float(error)) and abs(error) < MOST_BAUD_ERROR
    # The receiver's tolerance, less what this end takes of it, leaves 2 % to the other one.
    d = declared.divisor
    borne = min(Fraction(d // 2, 10), Fraction((d - 1) // 2, 9)) / d
    assert borne - abs(error) / 100 > Fraction(2, 100)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"baud": 3_600_000}, "divide 30 MHz by at least 4 .* .4.17 % with a divisor of 8"),
        ({"baud": 10_000_000}, "by at least 4 .*: +0.00 % with a divisor of 3"),
        ({"baud": 24_000_000}, "must be at most the 12000000 of its FT2232H, not 24000000"),
        ({"oscillator_megahertz": 16}, "the reference of the PLL .* oscillator's 16 MHz, not 12"),
    ],
)
def test_refuses_a_line_or_clock_that_cannot_be(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("+", r"\+")):
        replace(board("icebreaker"), **change)


def test_every_configuration_has_a_part_of_its_family() -> None:
    assert set(SIZED_FOR) == set(CONFIGURATIONS)
    for name, part in SIZED_FOR.items():
        assert PARTS[part].family == configuration(name).family


def number(netlist: str, parameter: str) -> int:
    """A parameter of a cell in RTLIL."""
    (value,) = re.findall(rf"parameter (?:signed )?\\{parameter} (\S+)", netlist)
    width, _, bits = value.partition("'")
    return int(bits, 2) if bits else int(width)


def made_by_ice40(netlist: str) -> tuple[Fraction, Fraction]:
    detector = Fraction(12, number(netlist, "DIVR") + 1)
    oscillator = detector * (number(netlist, "DIVF") + 1)
    return oscillator, oscillator / 2 ** number(netlist, "DIVQ")


def made_by_ecp5(netlist: str) -> tuple[Fraction, Fraction]:
    (reference,) = re.findall(r'attribute \\FREQUENCY_PIN_CLKI "(\d+)"', netlist)
    detector = Fraction(int(reference), number(netlist, "CLKI_DIV"))
    loop = detector * number(netlist, "CLKFB_DIV")
    oscillator = loop * number(netlist, "CLKOP_DIV")
    secondary = "CLKOS_DIV" in netlist
    return oscillator, oscillator / number(netlist, "CLKOS_DIV") if secondary else loop


def made_by_gowin(netlist: str) -> tuple[Fraction, Fraction]:
    clock = Fraction(27 * (number(netlist, "FBDIV_SEL") + 1), number(netlist, "IDIV_SEL") + 1)
    return clock * number(netlist, "ODIV_SEL"), clock


MADE: dict[str, Callable[[str], tuple[Fraction, Fraction]]] = {
    "ice40": made_by_ice40,
    "ecp5": made_by_ecp5,
    "gowin": made_by_gowin,
}
"""Frequencies of oscillator and clock by what the cell of the netlist says."""
OSCILLATORS = {"ice40": (533, 1066), "ecp5": (400, 800), "gowin": (500, 1200)}


@pytest.mark.parametrize("name", [name for name in NAMES if board(name).pll])
def test_pll_makes_the_clock(name: str, without_device: None) -> None:
    declared = board(name)
    oscillator, clock = MADE[declared.family](prepared(declared)[0])
    least, most = OSCILLATORS[declared.family]
    assert least <= oscillator <= most
    assert clock * 1_000_000 == declared.hertz


@pytest.mark.parametrize(
    ("pll", "values", "message"),
    [
        (Ice40Pll, (12, 1, 44, 32), "the oscillator of an Ice40Pll must run at 533 to 1066 MHz"),
        (Ice40Pll, (12, 2, 64, 16), "the detector of an Ice40Pll must run at 10 to 133 MHz, not 6"),
        (Ice40Pll, (12, 1, 64, 64), "the output of an Ice40Pll must run at 16 to 275 MHz, not 12"),
        (Ice40Pll, (12, 1, 129, 32), "feedback of an Ice40Pll must be one of 1, 2, ... 128,"),
        (Ice40Pll, (12, 1, 64, 24), "output of an Ice40Pll must be one of 2, 4, ... 64, not 24"),
        (Ecp5Pll, (25, 1, 3, 4), "the oscillator of an Ecp5Pll must run at 400 to 800 MHz, not 30"),
        (Ecp5Pll, (25, 1, 4, 9), "the oscillator of an Ecp5Pll must run at 400 to 800 MHz, not 90"),
        (Ecp5Pll, (25, 0, 4, 9), "divider of an Ecp5Pll must be one of 1, 2, ... 128, not 0"),
    ],
)
def test_pll_refuses_what_its_part_cannot(
    pll: type[Pll], values: tuple[int, int, int, int], message: str
) -> None:
    reference, divider, feedback, output = values
    with pytest.raises(ValueError, match=re.escape(message)):
        pll(reference=reference, divider=divider, feedback=feedback, output=output)


def test_secondary_clock_of_an_ecp5_is_the_oscillator_divided() -> None:
    dividers = {"reference": 48, "divider": 4, "feedback": 10, "output": 5}
    pll = Ecp5SecondaryPll(**dividers, secondary=6)
    assert (pll.detector, pll.oscillator, pll.megahertz) == (12, 600, 100)
    with pytest.raises(ValueError, match="secondary of .* must be from 1 to 128, not 0"):
        Ecp5SecondaryPll(**dividers, secondary=0)
    with pytest.raises(ValueError, match="oscillator of .* must run at 400 to 800 MHz, not 960"):
        Ecp5SecondaryPll(**{**dividers, "output": 8}, secondary=6)


def test_gowin_pll_refuses_a_slow_oscillator() -> None:
    with pytest.raises(ValueError, match="must run at 500 to 1200 MHz, not 432"):
        GowinPll(reference=27, divider=1, feedback=2, output=8, device="GW2A-18C")
