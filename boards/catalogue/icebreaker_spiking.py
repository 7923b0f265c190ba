"""The iCEBreaker with the spiking half alone, whose longest path takes a slower clock."""

from dataclasses import replace

from boards.catalogue.icebreaker import BOARD as DENSE
from boards.clocks import Ice40PadPll
from hw.configurations import configuration

BOARD = replace(
    DENSE,
    title="1BitSquared iCEBreaker, spiking",
    config=configuration("up5k-2-spiking"),
    pll=Ice40PadPll(reference=12, divider=1, feedback=64, output=32),
)
