"""ULX3S with an LFE5U-45F: the 25F's board."""

from dataclasses import replace

from boards.catalogue import ulx3s_25f
from hw.configurations import configuration

BOARD = replace(
    ulx3s_25f.BOARD,
    title="Radiona ULX3S 45F",
    part="LFE5U-45F",
    config=configuration("ecp5-8x4"),
    platform="ulx3s:ULX3S_45F_Platform",
)
