"""The units that accumulate and clip gradients against the golden ones."""

from dataclasses import asdict, replace

import pytest

from hw.array_unit import ArrayUnit
from hw.clip_factor import ClipFactor
from hw.config import DeviceConfig
from hw.configurations import configuration
from hw.core_ports import PORT_REGISTERS
from hw.gradient_clip import GradientClip
from hw.gradient_sums import GradientSums
from hw.sum_memory import SumMemory
from hw.tile_memory import TileMemory
from hw.tile_walk import COMMAND_GAP
from sim.bench.runner import run_bench

SEED = 20275

LATENCIES = {
    "read_latency": PORT_REGISTERS + TileMemory.READ_LATENCY,
    "write_latency": TileMemory.WRITE_LATENCY,
}
FULL = configuration("ecp5-8x8-full").with_family("behavioural")
BUILDS = {
    "8 lanes": FULL,
    # A number of tiles that is no power of two, and narrow accumulators.
    "2 lanes": replace(FULL, lanes=2, batch_lanes=2, weight_tiles=5, accumulator_width=34),
}


@pytest.mark.simulator
@pytest.mark.toolchain
@pytest.mark.parametrize("build", BUILDS)
def test_sums_equal_golden(build: str) -> None:
    config = BUILDS[build]
    print(f"seed {SEED}")
    run_bench(
        GradientSums(config=config),
        bench="sim.bench.bench_gradient_sums",
        parameters={
            "config": asdict(config),
            "latency": GradientSums.LATENCY,
            "read_latency": SumMemory.READ_LATENCY,
            "seed": SEED,
        },
        seed=SEED,
    )


@pytest.mark.simulator
@pytest.mark.toolchain
@pytest.mark.parametrize("build", BUILDS)
def test_products_and_squares_equal_golden(build: str) -> None:
    config = BUILDS[build]
    unit = GradientClip(config=config)
    print(f"seed {SEED}")
    run_bench(
        unit,
        bench="sim.bench.bench_gradient_clip",
        parameters={
            "config": asdict(config),
            "latency": GradientClip.LATENCY,
            "squares_latency": unit.SQUARES_LATENCY,
            "seed": SEED,
        },
        seed=SEED,
    )


@pytest.mark.simulator
@pytest.mark.toolchain
def test_norm_and_factor_equal_golden() -> None:
    print(f"seed {SEED}")
    run_bench(
        ClipFactor(),
        bench="sim.bench.bench_clip_factor",
        parameters={"cycles": ClipFactor.CYCLES, "seed": SEED},
        seed=SEED,
    )


@pytest.mark.parametrize("update_interval", [1, 3])
def test_commands_end_in_order(update_interval: int) -> None:
    """Of two commands as close as can be, the first one has updated before the second retires.

    What was written can be read by then, and squares are summed when their command retires.
    """
    config = replace(FULL, update_interval=update_interval)
    update = ArrayUnit(config=config, **LATENCIES)._update.LATENCY
    assert GradientClip.LATENCY + update <= COMMAND_GAP
    assert GradientSums.LATENCY + TileMemory.WRITE_LATENCY < COMMAND_GAP
    assert GradientClip(config=config).SQUARES_LATENCY <= GradientClip.LATENCY + update


def test_without_accumulation_there_is_nothing_of_it() -> None:
    def members(config: DeviceConfig) -> set[str]:
        return set(ArrayUnit(config=config, **LATENCIES).signature.members)

    more = members(FULL) - members(replace(FULL, accumulation=False))
    assert more == {
        *("read_gradient", "write_gradient", "threshold", "norm"),
        *("forget", "clip_start", "clip_busy", "clip_done"),
    }
