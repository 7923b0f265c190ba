"""ULX3S with an LFE5U-45F and the spiking half alone.

At 50 MHz, of which no whole number of cycles makes a bit of 3 Mbaud within 1.5 %.
"""

from dataclasses import replace

from boards.catalogue import ulx3s_45f
from boards.clocks import Ecp5Pll
from hw.configurations import configuration

BOARD = replace(
    ulx3s_45f.BOARD,
    title="Radiona ULX3S 45F, spiking",
    config=configuration("ecp5-8-spiking"),
    pll=Ecp5Pll(reference=25, divider=1, feedback=2, output=12),
    baud=2_000_000,
)
