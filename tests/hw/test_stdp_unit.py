"""PLASTICITY and SCALE against the golden spiking half, at both widths."""

from dataclasses import asdict

import pytest

from hw.configurations import configuration
from hw.stdp_unit import StdpUnit
from sim.bench.runner import run_bench

SEED = 20282

LONGEST = 4
"""Vectors of the longest rows that are timed."""


@pytest.mark.simulator
@pytest.mark.parametrize(
    # Four lanes are in the lockstep of their device too.
    "name", ["ecp5-8-spiking", pytest.param("gw2a-4-spiking", marks=pytest.mark.demand)]
)
def test_equals_golden(name: str) -> None:
    config = configuration(name).with_family("behavioural")
    unit = StdpUnit(config=config)
    rows = {
        f"{vectors},{euclidean},{shift}": unit.row_cycles(
            vectors, euclidean=euclidean, shift=shift, empty=False
        )
        for vectors in range(1, LONGEST + 1)
        for euclidean in (False, True)
        for shift in range(64)
    }
    for vectors in range(1, LONGEST + 1):
        rows[f"empty,{vectors}"] = unit.row_cycles(vectors, euclidean=False, shift=0, empty=True)
    print(f"seed {SEED}")
    run_bench(
        unit,
        bench="sim.bench.bench_stdp_unit",
        parameters={
            "config": asdict(config),
            "empty": unit.EMPTY,
            "overhead": unit.OVERHEAD,
            "rows": rows,
            "seed": SEED,
        },
        seed=SEED,
    )


@pytest.mark.parametrize(
    ("name", "plain", "euclidean"), [("ecp5-8-spiking", 98, 142), ("gw2a-4-spiking", 97, 139)]
)
def test_cycles(name: str, plain: int, euclidean: int) -> None:
    """Of a row of eight vectors of weights."""
    unit = StdpUnit(config=configuration(name))
    assert (unit.EMPTY, unit.OVERHEAD) == (5, 26)
    found = [unit.row_cycles(8, euclidean=root, shift=4, empty=False) for root in (False, True)]
    assert found == [plain, euclidean]
