"""CLIMB against the golden model."""

from dataclasses import asdict, replace

import pytest

from hw.climbing_fibre import ClimbingFibreUnit
from hw.configurations import configuration
from sim.bench.runner import run_bench

SEED = 604

BUILDS = {
    "8 lanes": replace(configuration("ecp5-8-spiking"), family="behavioural", weight_tiles=8),
    "4 lanes": replace(configuration("gw2a-4-spiking"), family="behavioural"),
    "2 lanes": replace(
        configuration("gw2a-4-spiking"), family="behavioural", lanes=2, state_rows=300
    ),
}


@pytest.mark.simulator
@pytest.mark.toolchain
@pytest.mark.parametrize(
    # Four lanes are in the lockstep of their device too.
    "build", [pytest.param(b, marks=[pytest.mark.demand] * (b == "4 lanes")) for b in BUILDS]
)
def test_equals_golden(build: str) -> None:
    config = BUILDS[build]
    unit = ClimbingFibreUnit(config=config)
    print(f"seed {SEED}")
    run_bench(
        unit,
        bench="sim.bench.bench_climbing_fibre",
        parameters={
            "config": asdict(config),
            "latency": unit.LATENCY,
            "tile_cycles": config.lanes + unit.TILE_CYCLES,
            "seed": SEED,
        },
        seed=SEED,
    )


def test_cycles_of_ten_outputs() -> None:
    unit = ClimbingFibreUnit(config=configuration("ecp5-8-spiking"))
    assert unit.cycles(rows=10) == 6 + 2 * (8 + 7)
