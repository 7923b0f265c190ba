"""The serial update unit against the golden units, and what it takes of an iCE40."""

from dataclasses import asdict, replace
from typing import Any

import pytest

from boards.resources import count
from boards.yosys import netlist
from hw.configurations import configuration
from hw.serial_update import SerialUpdateUnit
from sim.bench.runner import run_bench

SEED = 20261

SERIAL = configuration("up5k-4x2")

BUILDS = {
    "up5k-4x2": (SERIAL, 3),
    "eight lanes, slow memory": (replace(SERIAL, lanes=8, weight_tiles=5), 4),
    "two lanes, fast memory": (replace(SERIAL, lanes=2, weight_tiles=1, epilogue_interval=1), 1),
}
"""A configuration, and the latency of its memories."""


@pytest.mark.simulator
@pytest.mark.toolchain
@pytest.mark.parametrize("build", BUILDS)
def test_equals_golden(build: str) -> None:
    config, read_latency = BUILDS[build]
    unit = SerialUpdateUnit(config=config, read_latency=read_latency)
    print(f"seed {SEED}")
    run_bench(
        unit,
        bench="sim.bench.bench_serial_update",
        parameters={
            "config": asdict(config),
            "read_latency": read_latency,
            "latency": unit.LATENCY,
            "interval": unit.INTERVAL,
            "seed": SEED,
        },
        seed=SEED,
    )


@pytest.mark.toolchain
def test_is_small() -> None:
    taken = count(netlist(SerialUpdateUnit(config=SERIAL, read_latency=3), "ice40"), "ice40")
    assert (taken.multipliers, taken.memories) == (0, 1)
    assert taken.cells <= 312


def test_cycles() -> None:
    assert (SerialUpdateUnit.LATENCY, SerialUpdateUnit.INTERVAL) == (10, 11)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"serial": False, "cross_entropy": True}, "serial of configuration .* must be True"),
    ],
)
def test_refuses_other_devices(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SerialUpdateUnit(config=replace(SERIAL, **change), read_latency=3)


@pytest.mark.parametrize("read_latency", [0, SerialUpdateUnit.MAX_READ_LATENCY + 1])
def test_refuses_a_memory_that_is_too_fast_or_too_slow(read_latency: int) -> None:
    with pytest.raises(ValueError, match=f"must be from 1 to 4, not {read_latency}"):
        SerialUpdateUnit(config=SERIAL, read_latency=read_latency)
