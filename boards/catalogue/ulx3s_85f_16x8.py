"""ULX3S with an LFE5U-85F and the largest array, which takes all of its multipliers."""

from dataclasses import replace

from boards.catalogue import ulx3s_85f
from boards.clocks import Ecp5Pll
from hw.configurations import configuration

BOARD = replace(
    ulx3s_85f.BOARD,
    title="Radiona ULX3S 85F, 16 x 8",
    config=configuration("ecp5-16x8"),
    pll=Ecp5Pll(reference=25, divider=2, feedback=5, output=10),
)
