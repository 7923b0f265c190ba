"""ULX3S with an LFE5U-25F, https://github.com/emard/ulx3s

The ESP32 on it restarts the board unless the pin of its GPIO0 is 1.
"""

from boards.board import Board, Lamps
from boards.clocks import Ecp5Pll
from hw.configurations import configuration

BOARD = Board(
    title="Radiona ULX3S 25F",
    price="above 100 USD",
    part="LFE5U-25F",
    package="BG381",
    speed="6",
    config=configuration("ecp5-4x4"),
    platform="ulx3s:ULX3S_25F_Platform",
    oscillator="clk25",
    oscillator_megahertz=25,
    pll=Ecp5Pll(reference=25, divider=1, feedback=3, output=8),
    baud=3_000_000,
    bridge="FT231X",
    bridge_baud=3_000_000,
    lamps=Lamps(idle=(("led", 0),), running=(("led", 1),), failed=(("led", 2),)),
    held=(("L2", 1),),
    loader=("-b", "ulx3s"),
)
