"""The serial array's commands against the golden datapath, to the bit of every memory."""

from dataclasses import asdict, replace

import pytest

from hw.config import DeviceConfig
from hw.configurations import configuration
from hw.serial_array import SerialArray
from sim.bench.runner import run_bench

SMALL = replace(configuration("up5k-4x2"), family="behavioural")
SQUARE = replace(SMALL, batch_lanes=4, accumulator_width=34, weight_tiles=13, delta_tiles=39)
SEED = 20269


@pytest.mark.simulator
@pytest.mark.parametrize("config", [pytest.param(SMALL, id="4x2"), pytest.param(SQUARE, id="4x4")])
def test_equals_golden(config: DeviceConfig) -> None:
    run_bench(
        SerialArray(config=config),
        bench="sim.bench.bench_serial_array",
        parameters={"config": asdict(config), "seed": SEED},
    )
