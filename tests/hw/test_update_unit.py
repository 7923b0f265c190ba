"""The update unit against the golden units, in each of its builds."""

from dataclasses import asdict, replace

import pytest

from hw.config import DeviceConfig
from hw.configurations import configuration
from hw.lfsr import LfsrBank
from hw.update_unit import UpdateUnit
from sim.bench.runner import run_bench

SEED = 20260

BUILDS = {
    # A multiplier for each product, as in ecp5-8x8.
    "apart": (replace(configuration("ecp5-8x8"), lanes=4, batch_lanes=4), 3),
    # One multiplier a lane for all three, as in ecp5-16x8, with mantissas of an odd width.
    "shared": (replace(configuration("ecp5-16x8"), lanes=8, rate_width=11), 4),
    "without momentum": (
        replace(
            configuration("ecp5-8x8"),
            lanes=2,
            batch_lanes=2,
            momentum=False,
            dropout=False,
            rate_width=9,
        ),
        1,
    ),
}
"""A configuration, and the latency of its memories."""


@pytest.mark.simulator
@pytest.mark.toolchain
@pytest.mark.parametrize("build", BUILDS)
def test_equals_golden(build: str) -> None:
    config, read_latency = BUILDS[build]
    config = config.with_family("behavioural")
    unit = UpdateUnit(config=config, read_latency=read_latency)
    print(f"seed {SEED}")
    run_bench(
        unit,
        bench="sim.bench.bench_update_unit",
        parameters={
            "config": asdict(config),
            "read_latency": read_latency,
            "latency": unit.LATENCY,
            "momentum_latency": unit.MOMENTUM_LATENCY,
            "lfsr_latency": LfsrBank.FAR_READ_LATENCY,
            "seed": SEED,
        },
        seed=SEED,
    )


@pytest.mark.parametrize(
    ("name", "read_latency", "latency", "momentum_latency"),
    [("ecp5-8x8", 3, 14, 8), ("ecp5-16x8", 3, 17, 11)],
)
def test_latencies(name: str, read_latency: int, latency: int, momentum_latency: int) -> None:
    unit = UpdateUnit(config=configuration(name), read_latency=read_latency)
    assert (unit.LATENCY, unit.MOMENTUM_LATENCY) == (latency, momentum_latency)


def test_without_momentum_there_are_no_members_for_it() -> None:
    config = configuration("ecp5-8x8")
    without = replace(config, momentum=False)

    def members(config: DeviceConfig) -> set[str]:
        return set(UpdateUnit(config=config, read_latency=3).signature.members)

    assert members(config) - members(without) == {"momentum_read", "momentum_write"}


def test_refuses_bad_parameters() -> None:
    with pytest.raises(ValueError, match="read_latency must be at least 1, not 0"):
        UpdateUnit(config=configuration("ecp5-8x8"), read_latency=0)
    with pytest.raises(ValueError, match="lanes must be a power of two from 2, not 3"):
        LfsrBank(lanes=3)
