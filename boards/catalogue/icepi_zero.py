"""Icepi Zero 1.3, https://github.com/cheyao/icepi-zero"""

from boards.board import Board, Lamps
from boards.clocks import Ecp5Pll
from hw.configurations import configuration

BOARD = Board(
    title="Icepi Zero",
    price="40 to 100 USD",
    part="LFE5U-25F",
    package="BG256",
    speed="6",
    config=configuration("ecp5-4x4"),
    platform="icepi_zero:IcepiZero1_3Platform",
    oscillator="clk50",
    oscillator_megahertz=50,
    pll=Ecp5Pll(reference=50, divider=2, feedback=3, output=8),
    baud=3_000_000,
    bridge="FT231X",
    bridge_baud=3_000_000,
    lamps=Lamps(idle=(("led", 0),), running=(("led", 1),), failed=(("led", 2),)),
    loader=("-b", "icepi-zero"),
)
