"""Tang Nano 9K, https://wiki.sipeed.com/hardware/en/tang/Tang-Nano-9K/Nano-9K.html

Its bridge has been seen to hold 3 Mbaud (sipeed/TangNano-9K-example issue 7).
"""

from boards.board import Board, Lamps
from boards.clocks import GowinPll
from hw.configurations import configuration

BOARD = Board(
    title="Sipeed Tang Nano 9K",
    price="below 40 USD",
    part="GW1NR-9",
    package="QN88P",
    speed="C6/I5",
    config=configuration("gw1n-4x2"),
    platform="tang_nano_9k:TangNano9kPlatform",
    oscillator="clk27",
    oscillator_megahertz=27,
    pll=GowinPll(reference=27, divider=1, feedback=2, output=16, device="GW1NR-9C"),
    baud=3_000_000,
    bridge="BL702",
    bridge_baud=3_000_000,
    lamps=Lamps(idle=(("led", 0),), running=(("led", 1),), failed=(("led", 2),)),
    loader=("-b", "tangnano9k"),
)
