"""Models of a part's cells, where Yosys has none or one that is slow to compile."""

from pathlib import Path


def models(family: str) -> str:
    """Verilog of the cells of `family` that have a model here, 'ice40', 'ecp5' or 'gowin'."""
    return Path(__file__).with_name(f"{family}.v").read_text()
