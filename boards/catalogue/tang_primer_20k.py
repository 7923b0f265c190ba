"""Tang Primer 20K in its Dock, https://wiki.sipeed.com/hardware/en/tang/tang-primer-20k

The bridge and the lamps are on the Dock. The bridge is the same part as the Tang Nano 9K's.
"""

from boards.board import Board, Lamps
from boards.clocks import GowinPll
from hw.configurations import configuration

BOARD = Board(
    title="Sipeed Tang Primer 20K with Dock",
    price="40 to 100 USD",
    part="GW2A-18",
    package="PG256",
    speed="C8/I7",
    config=configuration("gw2a-4x2"),
    platform="tang_primer_20k:TangPrimer20kDockPlatform",
    oscillator="clk27",
    oscillator_megahertz=27,
    pll=GowinPll(reference=27, divider=1, feedback=2, output=16, device="GW2A-18C"),
    baud=3_000_000,
    bridge="BL702",
    bridge_baud=3_000_000,
    lamps=Lamps(idle=(("led", 0),), running=(("led", 1),), failed=(("led", 2),)),
    loader=("-b", "tangprimer20k"),
)
