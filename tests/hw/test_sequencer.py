"""The sequencer against its model in plain Python, with short and long programs."""

from dataclasses import asdict, replace

import pytest

from hw.configurations import configuration
from hw.sequencer import Sequencer
from sim.bench.runner import run_bench

SEED = 20266

BUILDS = {
    # A length that is no power of two, and narrow fields; and what repeats and clips.
    "odd": (
        replace(
            configuration("up5k-4x2"),
            serial=False,
            cross_entropy=True,
            program_length=21,
            accumulation=True,
        ),
        ".*",
    ),
    # What depends on the length of the program memory and on the widths of fields.
    "ecp5-8x8": (
        configuration("ecp5-8x8").with_family("behavioural"),
        "program_memory|rounds|batch_sizes|ends_of|random",
    ),
}
"""A configuration, and which tests run on it."""


@pytest.mark.simulator
@pytest.mark.parametrize("build", BUILDS)
def test_equals_model(build: str) -> None:
    config, tests = BUILDS[build]
    print(f"seed {SEED}")
    unit = Sequencer(config=config)
    run_bench(
        unit,
        bench="sim.bench.bench_sequencer",
        parameters={
            "config": asdict(config),
            "fetch_latency": Sequencer.FETCH_LATENCY,
            "read_latency": Sequencer.READ_LATENCY,
            "seed": SEED,
        },
        tests=tests,
        seed=SEED,
    )
