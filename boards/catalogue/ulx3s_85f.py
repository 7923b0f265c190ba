"""ULX3S with an LFE5U-85F: the 25F's board, at a clock of its own."""

from dataclasses import replace

from boards.catalogue import ulx3s_25f
from boards.clocks import Ecp5Pll
from hw.configurations import configuration

BOARD = replace(
    ulx3s_25f.BOARD,
    title="Radiona ULX3S 85F",
    part="LFE5U-85F",
    config=configuration("ecp5-8x8"),
    platform="ulx3s:ULX3S_85F_Platform",
    pll=Ecp5Pll(reference=25, divider=2, feedback=7, output=8),
)
