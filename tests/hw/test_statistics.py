"""Counters equal those of a model in plain Python, whatever is reported and read meanwhile."""

from dataclasses import replace

import pytest

from hw.config import DeviceConfig
from hw.configurations import CONFIGURATIONS
from hw.instruction import used_bits
from hw.isa import WEIGHT_STATISTICS
from hw.statistics import Statistics, amount_bits
from hw.tile_walk import COMMAND_GAP
from sim.bench.runner import run_bench

SEED = 20269
REPORTERS = len(WEIGHT_STATISTICS) + 1

SERIAL = replace(CONFIGURATIONS["up5k-4x2"], serial=True)
PIPELINED = CONFIGURATIONS["ecp5-8x8-full"]


@pytest.mark.simulator
@pytest.mark.toolchain
@pytest.mark.parametrize("config", [SERIAL, PIPELINED], ids=["serial", "pipelined"])
def test_equals_model(config: DeviceConfig) -> None:
    print(f"seed {SEED}")
    unit = Statistics(config=config, reporters=REPORTERS)
    run_bench(
        unit,
        bench="sim.bench.bench_statistics",
        parameters={
            "reporters": REPORTERS,
            "read_latency": Statistics.READ_LATENCY,
            "settle": Statistics.SETTLE,
            "clear_cycles": Statistics.CLEAR_CYCLES,
            "gap": Statistics.REPORT_GAP if unit.alone else COMMAND_GAP,
            "alone": unit.alone,
            "amount_bits": amount_bits(config),
            "sample_bits": used_bits(config)["columns"],
            "norm": config.accumulation,
            "seed": SEED,
        },
        seed=SEED,
    )


def test_refuses_no_reporters() -> None:
    with pytest.raises(ValueError, match="reporters must be at least 1, not 0"):
        Statistics(config=PIPELINED, reporters=0)
