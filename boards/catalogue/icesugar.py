"""iCESugar 1.5, https://github.com/wuxx/icesugar"""

from boards.board import Board, Lamps
from boards.clocks import Ice40PadPll
from hw.configurations import configuration

RED, GREEN, BLUE = ("led_r", 0), ("led_g", 0), ("led_b", 0)

BOARD = Board(
    title="MuseLab iCESugar",
    price="40 to 100 USD",
    part="iCE40UP5K",
    package="SG48",
    speed="",
    config=configuration("up5k-4x2"),
    platform="icesugar:ICESugarPlatform",
    oscillator="clk12",
    oscillator_megahertz=12,
    pll=Ice40PadPll(reference=12, divider=1, feedback=72, output=32),
    baud=115_200,
    bridge="iCELink",
    bridge_baud=115_200,
    lamps=Lamps(idle=(GREEN,), running=(BLUE,), failed=(RED,)),
    loader=None,
    notes="Copy the bitstream onto the drive that the board shows, or use icesprog.",
)
