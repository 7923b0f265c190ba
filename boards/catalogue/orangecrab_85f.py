"""OrangeCrab r0.2 with an LFE5U-85F: the 25F's board, at a clock of its own."""

from dataclasses import replace

from boards.catalogue import orangecrab_25f
from boards.clocks import Ecp5SecondaryPll
from hw.configurations import configuration

BOARD = replace(
    orangecrab_25f.BOARD,
    title="OrangeCrab r0.2 85F",
    part="LFE5U-85F",
    config=configuration("ecp5-8x8"),
    platform="orangecrab_r0_2:OrangeCrabR0_2_85FPlatform",
    pll=Ecp5SecondaryPll(reference=48, divider=4, feedback=10, output=5, secondary=6),
)
