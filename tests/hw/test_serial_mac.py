"""Serial MAC: exact against the golden product, with the twin and with iCE40's blocks."""

from dataclasses import replace

import pytest

from boards.yosys import cells, model
from hw.accumulator import Accumulator
from hw.config import DeviceConfig
from hw.configurations import CONFIGURATIONS
from hw.multiplier import Multiplier
from hw.serial_mac import SerialMac
from sim.bench.runner import run_bench

SMALL = CONFIGURATIONS["up5k-4x2"]
SQUARE = replace(SMALL, family="behavioural", batch_lanes=4, accumulator_width=34)
SEED = 42


@pytest.mark.simulator
@pytest.mark.parametrize(
    "config", [pytest.param(SMALL, id="blocks"), pytest.param(SQUARE, id="twins")]
)
def test_products_are_exact(config: DeviceConfig) -> None:
    run_bench(
        SerialMac(config=config),
        bench="sim.bench.bench_serial_mac",
        parameters={
            "lanes": config.lanes,
            "batch_lanes": config.batch_lanes,
            "accumulator_width": config.accumulator_width,
            "max_depth": config.max_depth,
            "latency": SerialMac.LATENCY,
            "seed": SEED,
        },
        models=model("SB_MAC16", "ice40") if config.family == "ice40" else "",
    )


@pytest.mark.toolchain
def test_takes_all_eight_blocks_of_an_up5k() -> None:
    counts = cells(SerialMac(config=SMALL), "ice40")
    assert counts["SB_MAC16"] == SMALL.processing_elements == 8


def test_latency_is_stated() -> None:
    assert SerialMac.LATENCY == Multiplier.LATENCY + Accumulator.LATENCY == 5
