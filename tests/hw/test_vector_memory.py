"""STATE and EVENTS: every access against an image, and nothing but block RAM under it."""

from dataclasses import replace

import pytest

from boards.yosys import cells
from hw.configurations import configuration
from hw.numbers import WORD_BITS
from hw.spiking_ports import EVENT_LATENCY, STATE_LATENCY
from hw.tile_memory import TileMemory
from hw.vector_memory import HOST_LATENCY, EventMemory, StateMemory
from sim.bench.runner import run_bench
from sim.rtl.cells import models

SEED = 31

# Numbers of rows that are no power of two.
SMALL = {
    4: replace(configuration("gw2a-4-spiking"), state_rows=37, event_words=44),
    8: replace(configuration("ecp5-8-spiking"), state_rows=19, event_words=24),
}
MODELS = {"gowin": "", "ecp5": models("ecp5")}
"""Of the blocks that are instantiated, those of an ECP5."""


@pytest.mark.simulator
@pytest.mark.parametrize("lanes", SMALL)
def test_state_is_rows(lanes: int) -> None:
    config = SMALL[lanes]
    run_bench(
        StateMemory(config=config),
        bench="sim.bench.bench_vector_memory",
        parameters={
            "rows": config.state_rows,
            "lanes": lanes,
            "address": "row",
            "latency": STATE_LATENCY,
            "host_latency": HOST_LATENCY,
            "seed": SEED,
        },
        models=MODELS[config.family],
    )


@pytest.mark.simulator
def test_events_are_words() -> None:
    run_bench(
        EventMemory(config=SMALL[4]),
        bench="sim.bench.bench_vector_memory",
        parameters={
            "rows": SMALL[4].event_words,
            "lanes": 1,
            "address": "address",
            "latency": EVENT_LATENCY,
            "host_latency": HOST_LATENCY,
            "seed": SEED,
        },
    )


@pytest.mark.toolchain
@pytest.mark.parametrize(
    ("name", "block", "blocks"),
    [("gw2a-4-spiking", "DPX9B", 4), ("ecp5-8-spiking", "DP16KD", 8)],
)
def test_state_is_block_memory(name: str, block: str, blocks: int) -> None:
    config = configuration(name)
    counts = cells(StateMemory(config=config), config.family)
    assert counts[block] == blocks
    flip_flops = sum(n for name, n in counts.items() if name.startswith(("DFF", "TRELLIS_FF")))
    # Captured words, the host's twice, its lane, and what only a simulation uses.
    assert flip_flops < (config.lanes + 2) * WORD_BITS + 32


@pytest.mark.toolchain
@pytest.mark.parametrize(
    ("name", "block", "blocks"),
    [("gw2a-4-spiking", "DPX9B", 1), ("ecp5-8-spiking", "DP16KD", 4)],
)
def test_events_are_block_memory(name: str, block: str, blocks: int) -> None:
    config = configuration(name)
    assert cells(EventMemory(config=config), config.family)[block] == blocks


def test_latencies_are_stated() -> None:
    assert (STATE_LATENCY, EVENT_LATENCY) == (2, 2)
    assert HOST_LATENCY == TileMemory.HOST_LATENCY == 4
