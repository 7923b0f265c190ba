"""FIRE against the golden model, and how long it takes."""

from dataclasses import asdict, replace

import pytest

from hw.config import DeviceConfig
from hw.configurations import configuration
from hw.neuron import NeuronUnit
from sim.bench.multiplied import Multiplied
from sim.bench.runner import run_bench

SEED = 51

CONFIGURATIONS = {
    4: configuration("gw2a-4-spiking").with_family("behavioural"),
    8: replace(configuration("ecp5-8-spiking"), state_rows=200).with_family("behavioural"),
    16: replace(
        configuration("ecp5-8-spiking"), lanes=16, state_rows=160, event_words=2048
    ).with_family("behavioural"),
}


def cycles(config: DeviceConfig) -> list[tuple[int, int]]:
    """Of a command on one tile, and more for each further one; without and with a search."""
    unit = NeuronUnit(config=config)
    one, two = (
        [unit.cycles(rows=rows * config.lanes, search=search) for search in (False, True)]
        for rows in (1, 2)
    )
    return [(first, second - first) for first, second in zip(one, two, strict=True)]


@pytest.mark.simulator
@pytest.mark.parametrize(
    # Eight lanes are in the lockstep of their device too.
    "lanes", [4, pytest.param(8, marks=pytest.mark.demand), 16]
)
def test_equals_golden(lanes: int) -> None:
    config = CONFIGURATIONS[lanes]
    unit = NeuronUnit(config=config)
    run_bench(
        Multiplied(unit),
        bench="sim.bench.bench_neuron",
        parameters={
            "config": asdict(config),
            "period": unit.PERIOD,
            "cycles": cycles(config),
            "seed": SEED,
        },
        seed=SEED,
    )


@pytest.mark.parametrize(("lanes", "period"), [(4, 8), (8, 8), (16, 16)])
def test_cycles(lanes: int, period: int) -> None:
    assert cycles(CONFIGURATIONS[lanes]) == [(28, period), (28 + 2 * period, 2 * period)]
