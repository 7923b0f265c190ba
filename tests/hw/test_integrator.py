"""INTEGRATE against the golden spiking half, at both widths."""

from dataclasses import asdict

import pytest

from hw.configurations import configuration
from hw.integrator import Integrator
from sim.bench.runner import run_bench

SEED = 20281


@pytest.mark.simulator
@pytest.mark.parametrize(
    # Four lanes are in the lockstep of their device too.
    "name", ["ecp5-8-spiking", pytest.param("gw2a-4-spiking", marks=pytest.mark.demand)]
)
def test_equals_golden(name: str) -> None:
    config = configuration(name).with_family("behavioural")
    unit = Integrator(config=config)
    print(f"seed {SEED}")
    run_bench(
        unit,
        bench="sim.bench.bench_integrator",
        parameters={
            "config": asdict(config),
            "empty": unit.EMPTY,
            "overhead": unit.OVERHEAD,
            "seed": SEED,
        },
        seed=SEED,
    )
