"""iCEBreaker 1.0 and 1.1, https://github.com/icebreaker-fpga/icebreaker"""

from boards.board import Board, Lamps
from boards.clocks import Ice40PadPll
from hw.configurations import configuration

GREEN, RED = ("led_g", 0), ("led_r", 0)

BOARD = Board(
    title="1BitSquared iCEBreaker",
    price="40 to 100 USD",
    part="iCE40UP5K",
    package="SG48",
    speed="",
    config=configuration("up5k-4x2"),
    platform="icebreaker:ICEBreakerPlatform",
    oscillator="clk12",
    oscillator_megahertz=12,
    pll=Ice40PadPll(reference=12, divider=1, feedback=80, output=32),
    baud=3_000_000,
    bridge="FT2232H",
    bridge_baud=12_000_000,
    lamps=Lamps(idle=(GREEN,), running=(GREEN, RED), failed=(RED,)),
    loader=("-b", "ice40_generic"),
)
