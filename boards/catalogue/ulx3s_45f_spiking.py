"""ULX3S with an LFE5U-45F and the spiking half alone."""

from dataclasses import replace

from boards.catalogue import ulx3s_45f
from hw.configurations import configuration

BOARD = replace(
    ulx3s_45f.BOARD,
    title="Radiona ULX3S 45F, spiking",
    config=configuration("ecp5-8-spiking"),
)
