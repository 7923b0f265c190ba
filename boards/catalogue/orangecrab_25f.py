"""OrangeCrab r0.2 with an LFE5U-25F, https://github.com/orangecrab-fpga/orangecrab-hardware

Its USB port goes straight into the FPGA: the serial line is on the pins 0 (rx) and 1 (tx) of the
header, for an adapter of 3.3 V.
"""

from boards.board import Board, Lamps, SerialPins
from boards.clocks import Ecp5Pll
from hw.configurations import configuration

RED, GREEN, BLUE = (("rgb_led", 0, colour) for colour in "rgb")

BOARD = Board(
    title="OrangeCrab r0.2 25F",
    price="above 100 USD",
    part="LFE5U-25F",
    package="MG285",
    speed="8",
    config=configuration("ecp5-4x4"),
    platform="orangecrab_r0_2:OrangeCrabR0_2_25FPlatform",
    oscillator="clk",
    oscillator_megahertz=48,
    pll=Ecp5Pll(reference=48, divider=2, feedback=3, output=8),
    baud=3_000_000,
    bridge="adapter on header pins 0 (rx) and 1 (tx)",
    bridge_baud=3_000_000,
    lamps=Lamps(idle=(GREEN,), running=(BLUE,), failed=(RED,)),
    serial=SerialPins(rx="N17", tx="M18"),
    loader=("-b", "orangeCrab"),
    notes="There is no serial bridge: connect an adapter of 3.3 V that holds 3 Mbaud, its TX to "
    "pin 0 of the header, its RX to pin 1.",
)
