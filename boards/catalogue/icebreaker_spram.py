"""The iCEBreaker with its weights in the large memories, for larger networks at a slower clock."""

from dataclasses import replace

from boards.catalogue.icebreaker import BOARD as DENSE
from boards.clocks import Ice40PadPll
from hw.configurations import configuration

BOARD = replace(
    DENSE,
    title="1BitSquared iCEBreaker, weights in SPRAM",
    config=configuration("up5k-4x2-spram"),
    pll=Ice40PadPll(reference=12, divider=1, feedback=72, output=32),
)
