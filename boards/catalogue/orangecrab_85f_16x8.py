"""OrangeCrab r0.2 with an LFE5U-85F and the largest array, which takes all of its multipliers."""

from dataclasses import replace

from boards.catalogue import orangecrab_85f
from boards.clocks import Ecp5Pll
from hw.configurations import configuration

BOARD = replace(
    orangecrab_85f.BOARD,
    title="OrangeCrab r0.2 85F, 16 x 8",
    config=configuration("ecp5-16x8"),
    pll=Ecp5Pll(reference=48, divider=3, feedback=5, output=8),
)
