"""The tile walk against its loops in plain Python, with B = L and with several blocks of B."""

from dataclasses import asdict, replace

import pytest

from hw.configurations import configuration
from hw.core_ports import PORT_REGISTERS
from hw.gradient_clip import GradientClip
from hw.mac_array import MacArray
from hw.tile_memory import TileMemory
from hw.tile_walk import COMMAND_GAP, CONTEXTS_IN_FLIGHT, TileWalk
from hw.update_unit import UpdateUnit
from sim.bench.runner import run_bench

SEED = 20267


@pytest.mark.simulator
@pytest.mark.parametrize(("name", "dropout"), [("ecp5-8x8-full", True), ("ecp5-16x8", False)])
def test_equals_the_loops(name: str, dropout: bool) -> None:
    config = replace(configuration(name), dropout=dropout)
    read_latency = PORT_REGISTERS + TileMemory.READ_LATENCY
    latency = read_latency + 1 + MacArray.LATENCY
    unit = TileWalk(config=config, drain_latency=latency)
    for interval in unit.intervals:
        # A tile's columns have left before the next ones come, and its context is kept until then.
        drain = config.batch_lanes * interval
        assert unit.spacing(interval) >= drain
        assert CONTEXTS_IN_FLIGHT * unit.spacing(interval) > latency + drain - interval
        # Nor when the next command begins; and the ends of two, the first with its last column and
        # the other with its first one, are as far apart as their statistics need it. The former
        # may have to pass the update unit, and no two commands retire at once.
        between = unit.gap(interval) - (drain - interval)
        assert unit.gap(interval) >= unit.spacing(interval) and between >= COMMAND_GAP
        update = UpdateUnit(config=config, read_latency=read_latency).LATENCY
        assert between > update + GradientClip.LATENCY * config.accumulation
    print(f"seed {SEED}")
    run_bench(
        unit,
        bench="sim.bench.bench_tile_walk",
        parameters={
            "config": asdict(config),
            "spacings": [unit.spacing(interval) for interval in unit.intervals],
            "intervals": unit.intervals,
            "gaps": [unit.gap(interval) for interval in unit.intervals],
            "seed": SEED,
        },
        seed=SEED,
    )
