"""RESET against the golden model, and how long it takes."""

from dataclasses import asdict

import pytest

from hw.configurations import configuration
from hw.reset_unit import ResetUnit
from sim.bench.runner import run_bench

SEED = 71


@pytest.mark.simulator
@pytest.mark.parametrize(
    # Four lanes are in the lockstep of their device too.
    "name", ["ecp5-8-spiking", pytest.param("gw2a-4-spiking", marks=pytest.mark.demand)]
)
def test_equals_golden(name: str) -> None:
    unit = ResetUnit(config=configuration(name))
    first, second = (unit.cycles(rows=count * unit.config.lanes) for count in (1, 2))
    run_bench(
        unit,
        bench="sim.bench.bench_reset_unit",
        parameters={
            "config": asdict(unit.config),
            "first": first,
            "more": second - first,
            "seed": SEED,
        },
        seed=SEED,
    )


def test_cycles() -> None:
    unit = ResetUnit(config=configuration("ecp5-8-spiking"))
    assert [unit.cycles(rows=rows) for rows in (1, 8, 9)] == [9, 9, 17]
