"""The serial epilogue equals the golden units and takes few cells of an iCE40."""

from dataclasses import asdict, replace

import pytest

from boards.resources import count
from boards.yosys import netlist
from hw.configurations import configuration
from hw.serial_epilogue import SerialEpilogue
from sim.bench.runner import run_bench

SMALL = configuration("up5k-4x2")
SEED = 20262


@pytest.mark.simulator
def test_equals_golden() -> None:
    # One lane works for all; of few lanes the stimuli have few repetitions.
    config = replace(SMALL, lanes=2)
    run_bench(
        SerialEpilogue(config=config),
        bench="sim.bench.bench_serial_epilogue",
        parameters={
            "config": asdict(config),
            "latency": SerialEpilogue.LATENCY,
            "bend_latency": SerialEpilogue.BEND_LATENCY,
            "leaking_latency": SerialEpilogue.LEAKING_LATENCY,
            "seed": SEED,
        },
    )


@pytest.mark.toolchain
def test_is_small() -> None:
    taken = count(netlist(SerialEpilogue(config=SMALL), "ice40"), "ice40")
    assert (taken.multipliers, taken.memories) == (0, 0)
    assert taken.cells <= 350


def test_latencies_are_stated() -> None:
    unit = SerialEpilogue
    assert (unit.LATENCY, unit.BEND_LATENCY, unit.LEAKING_LATENCY) == (4, 5, 8)
