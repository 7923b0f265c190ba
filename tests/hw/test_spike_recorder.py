"""The spike recorder against the golden lists."""

from dataclasses import asdict, replace

import pytest

from hw.configurations import configuration
from hw.spike_recorder import SpikeRecorder
from sim.bench.runner import run_bench

SEED = 41

CONFIGURATIONS = {
    4: replace(configuration("gw2a-4-spiking"), event_words=96),
    8: replace(configuration("ecp5-8-spiking"), event_words=104),
}


@pytest.mark.simulator
@pytest.mark.parametrize("lanes", CONFIGURATIONS)
def test_equals_golden(lanes: int) -> None:
    config = CONFIGURATIONS[lanes]
    run_bench(
        SpikeRecorder(config=config),
        bench="sim.bench.bench_spike_recorder",
        parameters={
            "config": asdict(config),
            "ready": SpikeRecorder.READY,
            "latency": SpikeRecorder.LATENCY,
            "seed": SEED,
        },
        seed=SEED,
    )


def test_cycles() -> None:
    assert (SpikeRecorder.READY, SpikeRecorder.LATENCY) == (4, 2)
