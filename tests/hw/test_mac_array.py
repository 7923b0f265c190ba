"""MAC array: exact against the golden product, one vendor multiplier for each element."""

from dataclasses import replace
from typing import Any

import pytest

from boards.yosys import cells
from hw.config import DeviceConfig
from hw.configurations import CONFIGURATIONS
from hw.mac_array import INTERVALS, OPERAND_LATENCY, MacArray
from hw.multiplier import Multiplier
from hw.numbers import WORD_BITS
from sim.bench.runner import run_bench

LARGE = CONFIGURATIONS["ecp5-8x8"]
SMALL = replace(LARGE, name="4x2", lanes=4, batch_lanes=2)
SEED = 20


def array(config: DeviceConfig, **changes: Any) -> MacArray:
    arguments: dict[str, Any] = {
        "lanes": config.lanes,
        "batch_lanes": config.batch_lanes,
        "accumulator_width": config.accumulator_width,
    }
    return MacArray(**{**arguments, **changes})


@pytest.mark.simulator
@pytest.mark.parametrize(
    ("config", "longest_interval"),
    [(SMALL, INTERVALS[-1]), (LARGE, INTERVALS[-1]), (SMALL, 1)],
    ids=["small", "large", "without an enable"],
)
def test_products_are_exact(config: DeviceConfig, longest_interval: int) -> None:
    run_bench(
        array(config, intervals=range(1, longest_interval + 1)),
        bench="sim.bench.bench_mac_array",
        parameters={
            "lanes": config.lanes,
            "batch_lanes": config.batch_lanes,
            "accumulator_width": config.accumulator_width,
            "max_depth": config.max_depth,
            "longest_interval": longest_interval,
            "seed": SEED,
        },
    )


@pytest.mark.toolchain
def test_every_row_has_registers_of_its_own() -> None:
    counts = cells(array(LARGE, lanes=2, batch_lanes=2, intervals=(1,), family="ecp5"), "ecp5")
    more = cells(array(LARGE, lanes=4, batch_lanes=2, intervals=(1,), family="ecp5"), "ecp5")
    # Of a row: left, shared and its own, and both of right; and what its elements are to do.
    operands, element, control = 4 * WORD_BITS, 2 * LARGE.accumulator_width, 2
    assert more["TRELLIS_FF"] - counts["TRELLIS_FF"] == 2 * (operands + 2 * element + control)


@pytest.mark.toolchain
def test_ecp5_takes_a_block_an_element() -> None:
    counts = cells(array(LARGE, lanes=2, batch_lanes=2, family="ecp5"), "ecp5")
    assert counts["MULT18X18D"] == 4
    # A carry cell adds two bits; the drain's multiplexers of the last column are left out.
    assert counts["CCU2C"] == 4 * LARGE.accumulator_width // 2
    assert counts["LUT4"] < 3 * LARGE.accumulator_width


def test_latency_is_stated() -> None:
    assert MacArray.LATENCY == OPERAND_LATENCY + Multiplier.LATENCY + 1 == 6


def test_refuses_bad_parameters() -> None:
    with pytest.raises(ValueError, match=r"intervals must be some of 1 to 7, not \(0, 1\)"):
        array(SMALL, intervals=(0, 1))
    with pytest.raises(ValueError, match="lanes of a MAC array must be at least 1, not 0"):
        array(SMALL, lanes=0)
    with pytest.raises(ValueError, match="must hold a product of 32 bits, not 31"):
        array(SMALL, accumulator_width=31)
