"""Accumulator: the twin, and Yosys's model of iCE40's block, are exact; it is one block."""

import pytest

from boards.resources import count
from boards.yosys import model, netlist
from hw.accumulator import Accumulator
from hw.config import Family
from hw.configurations import CONFIGURATIONS
from hw.multiplier import Multiplier
from sim.bench.runner import run_bench

SMALL = CONFIGURATIONS["up5k-4x2"]
SEED = 38


@pytest.mark.simulator
@pytest.mark.parametrize("family", ["behavioural", "ice40"])
def test_sums_are_exact(family: Family) -> None:
    run_bench(
        Accumulator(width=SMALL.accumulator_width, family=family),
        bench="sim.bench.bench_accumulator",
        parameters={
            "width": SMALL.accumulator_width,
            "depth": SMALL.max_depth,
            "multiply": Multiplier.LATENCY,
            "latency": Accumulator.LATENCY,
            "seed": SEED,
        },
        models=model("SB_MAC16", "ice40") if family == "ice40" else "",
    )


@pytest.mark.toolchain
def test_ice40_takes_a_block_and_a_few_cells() -> None:
    unit = Accumulator(width=SMALL.accumulator_width, family="ice40")
    taken = count(netlist(unit, "ice40"), "ice40")
    assert (taken.multipliers, taken.memories) == (1, 0)
    assert taken.cells <= 20


def test_bounds_are_stated() -> None:
    assert (Accumulator.LATENCY, SMALL.accumulator_width, SMALL.max_depth) == (2, 38, 126)


def test_refuses_bad_parameters() -> None:
    for width in (31, 32):
        message = f"width of an accumulator must be more than 32, not {width}"
        with pytest.raises(ValueError, match=message):
            Accumulator(width=width)
