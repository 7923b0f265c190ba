"""ULX3S with an LFE5U-12F: the 25F's board."""

from dataclasses import replace

from boards.catalogue import ulx3s_25f
from boards.clocks import Ecp5Pll
from hw.configurations import configuration

BOARD = replace(
    ulx3s_25f.BOARD,
    title="Radiona ULX3S 12F",
    part="LFE5U-12F",
    config=configuration("ecp5-4x2"),
    platform="ulx3s:ULX3S_12F_Platform",
    pll=Ecp5Pll(reference=25, divider=2, feedback=5, output=10),
)
