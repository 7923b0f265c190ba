"""EXPAND against the golden model."""

from dataclasses import asdict, replace

import pytest

from hw.configurations import configuration
from hw.granule import GranuleUnit
from sim.bench.runner import run_bench

SEED = 1117

SPIKING = replace(
    configuration("ecp5-8-spiking"),
    family="behavioural",
    weight_tiles=64,
    input_tiles=40,
    state_rows=200,
    event_words=512,
)

BUILDS = {
    "8 lanes": replace(SPIKING, expansion_inputs=128),
    "4 lanes": replace(SPIKING, lanes=4, batch_lanes=4, expansion_inputs=64, state_rows=255),
    # A sample is a single tile.
    "few inputs": replace(SPIKING, lanes=4, batch_lanes=2, expansion_inputs=4),
}


@pytest.mark.simulator
@pytest.mark.toolchain
@pytest.mark.parametrize(
    # The one of few inputs has four lanes too.
    "build", [pytest.param(b, marks=[pytest.mark.demand] * (b == "4 lanes")) for b in BUILDS]
)
def test_equals_golden(build: str) -> None:
    config = BUILDS[build]
    print(f"seed {SEED}")
    run_bench(
        GranuleUnit(config=config),
        bench="sim.bench.bench_granule",
        parameters={"config": asdict(config), "latency": GranuleUnit.LATENCY, "seed": SEED},
        seed=SEED,
    )


def test_cycles_of_a_sample() -> None:
    """2000 cells of 4 of 64 inputs, as the cerebellar network has them."""
    unit = GranuleUnit(config=configuration("ecp5-8-spiking"))
    assert unit.cycles(rows=2000, columns=64, depth=4) == 64 + 250 * 5 + 12


def test_refuses_a_configuration_without_granule_cells() -> None:
    with pytest.raises(ValueError, match="expansion_inputs of configuration 'gw2a-4-spiking' must"):
        GranuleUnit(config=configuration("gw2a-4-spiking"))
