"""The loader against the golden one and the tensor layout, small and large."""

from dataclasses import asdict, replace

import pytest

from hw.configurations import configuration
from hw.loader import Loader
from sim.bench.runner import run_bench

SEED = 20265

BUILDS = {
    # Buffers whose sizes are no powers of two; one of a single tile.
    "odd": replace(
        configuration("ecp5-8x8"), lanes=4, batch_lanes=2, input_tiles=5, target_tiles=1
    ),
    "ecp5-8x8": replace(configuration("ecp5-8x8"), input_tiles=16, target_tiles=8),
}


@pytest.mark.simulator
@pytest.mark.toolchain
@pytest.mark.parametrize(
    # Every sample of a simulated ecp5-8x8 comes through its loader.
    "build", ["odd", pytest.param("ecp5-8x8", marks=pytest.mark.demand)]
)
def test_equals_golden(build: str) -> None:
    config = BUILDS[build]
    print(f"seed {SEED}")
    run_bench(
        Loader(config=config),
        bench="sim.bench.bench_loader",
        parameters={"config": asdict(config), "latency": Loader.LATENCY, "seed": SEED},
        seed=SEED,
    )
