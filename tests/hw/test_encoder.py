"""ENCODE against the golden model, and how long it takes."""

from dataclasses import asdict, replace

import pytest

from hw.configurations import configuration
from hw.encoder import EncoderUnit
from sim.bench.multiplied import Multiplied
from sim.bench.runner import run_bench

SEED = 61

SMALL = replace(configuration("ecp5-8-spiking"), input_tiles=32, state_rows=120)

CONFIGURATIONS = {
    2: replace(SMALL, lanes=2, family="behavioural"),
    4: configuration("gw2a-4-spiking").with_family("behavioural"),
    8: replace(SMALL, batch_lanes=8).with_family("behavioural"),
}


@pytest.mark.simulator
@pytest.mark.parametrize(
    # Four lanes are in the lockstep of their device too.
    "lanes", [2, pytest.param(4, marks=pytest.mark.demand), 8]
)
def test_equals_golden(lanes: int) -> None:
    config = CONFIGURATIONS[lanes]
    unit = EncoderUnit(config=config)
    run_bench(
        Multiplied(unit),
        bench="sim.bench.bench_encoder",
        parameters={
            "config": asdict(config),
            "period": unit.PERIOD,
            "first": unit.cycles(rows=1),
            "seed": SEED,
        },
        seed=SEED,
    )


@pytest.mark.parametrize(("lanes", "period"), [(2, 12), (4, 18), (8, 30)])
def test_cycles(lanes: int, period: int) -> None:
    unit = EncoderUnit(config=CONFIGURATIONS[lanes])
    assert unit.PERIOD == period
    assert [unit.cycles(rows=rows) for rows in (1, lanes, lanes + 1)] == [
        18 + period,
        18 + period,
        18 + 2 * period,
    ]
