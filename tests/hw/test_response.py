"""The response unit against golden, for square and for narrow tiles of samples."""

from dataclasses import asdict, replace

import pytest

from hw.config import DeviceConfig
from hw.configurations import configuration
from hw.response import ResponseUnit
from sim.bench.runner import run_bench

SEED = 20261

LARGE = configuration("ecp5-8x8-spiking").with_family("behavioural")

BUILDS = {
    "8x8": LARGE,
    "4x2": replace(LARGE, lanes=4, batch_lanes=2),
}


@pytest.mark.simulator
@pytest.mark.toolchain
@pytest.mark.parametrize("build", ["8x8", pytest.param("4x2", marks=pytest.mark.demand)])
def test_equals_golden(build: str) -> None:
    print(f"seed {SEED}")
    run_bench(
        ResponseUnit(config=BUILDS[build]),
        bench="sim.bench.bench_response",
        parameters={"config": asdict(BUILDS[build]), "seed": SEED},
        seed=SEED,
    )


@pytest.mark.parametrize(
    ("rows", "columns", "depth", "cycles"),
    [(1, 1, 1, 31), (100, 16, 20, 4427), (100, 32, 20, 8837)],
)
def test_cycles(rows: int, columns: int, depth: int, cycles: int) -> None:
    """About a time step of a row a cycle: 208 rows of 20 steps take 4160 at least."""
    assert ResponseUnit(config=LARGE).cycles(rows=rows, columns=columns, depth=depth) == cycles


@pytest.mark.parametrize("name", ["ecp5-8x8", "ecp5-8-spiking"])
def test_needs_both_halves(name: str) -> None:
    config: DeviceConfig = configuration(name)
    with pytest.raises(ValueError, match=f"'{name}' must have a supervised and a spiking half"):
        ResponseUnit(config=config)
