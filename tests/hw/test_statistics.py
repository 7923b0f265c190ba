"""Counters equal those of a model in plain Python, whatever is reported and read meanwhile."""

import pytest

from hw.isa import WEIGHT_STATISTICS
from hw.statistics import AMOUNT_BITS, Statistics
from hw.tile_walk import COMMAND_GAP
from sim.bench.runner import run_bench

SEED = 20269


@pytest.mark.simulator
@pytest.mark.toolchain
def test_equals_model() -> None:
    reporters = len(WEIGHT_STATISTICS) + 1
    print(f"seed {SEED}")
    run_bench(
        Statistics(reporters=reporters),
        bench="sim.bench.bench_statistics",
        parameters={
            "reporters": reporters,
            "read_latency": Statistics.READ_LATENCY,
            "gap": COMMAND_GAP,
            "amount_bits": AMOUNT_BITS,
            "seed": SEED,
        },
        seed=SEED,
    )
