"""SerialLossUnit: equals the golden unit in every bit and takes no longer than it promises."""

from dataclasses import asdict

import pytest

from boards.resources import count
from boards.yosys import netlist
from hw.config import DeviceConfig
from hw.configurations import configuration
from hw.serial_loss import SerialLossUnit, most_samples
from hw.serial_loss_element import loss_bits
from sim.bench.runner import run_bench

UP5K = configuration("up5k-4x2")
SMALL = DeviceConfig(
    name="small",
    lanes=4,
    batch_lanes=4,
    weight_tiles=4,
    input_tiles=4,
    target_tiles=4,
    activation_tiles=4,
    output_tiles=7,
    delta_tiles=11,
    max_outputs=17,
    momentum=False,
    sigmoid=False,
    cross_entropy=False,
    rate_width=8,
    serial=True,
)

UNITS = {
    "up5k-4x2": lambda: SerialLossUnit(config=UP5K, read_latency=3),
    "small": lambda: SerialLossUnit(config=SMALL, read_latency=1),
}


def times(unit: SerialLossUnit) -> dict[str, int]:
    """Cycles of an element, a sample and a command, as SerialLossUnit's docstring has them."""
    bits = loss_bits(unit.config)
    return {
        "least": bits + 2,
        "shifted": 2 * unit.read_latency + 30,
        "sample": unit.read_latency + bits + 19,
        "command": bits + 3,
    }


@pytest.mark.simulator
@pytest.mark.parametrize("name", UNITS)
def test_equals_golden_in_the_promised_time(name: str) -> None:
    unit = UNITS[name]()
    parameters = {
        "config": asdict(unit.config),
        "read_latency": unit.read_latency,
        "write_latency": 1,
        "costs": {},
        "times": times(unit),
        "commands": 20,
    }
    run_bench(unit, bench="sim.bench.bench_serial_loss", parameters=parameters)


@pytest.mark.toolchain
def test_fits_the_smallest_part() -> None:
    found = count(netlist(SerialLossUnit(config=UP5K, read_latency=3), "ice40"), "ice40")
    assert found.cells <= 370
    assert found.multipliers == found.memories == 0


def test_counts_what_fits_the_memories() -> None:
    assert loss_bits(UP5K) == 40
    assert most_samples(UP5K) == 32


def test_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ValueError, match="read_latency of a serial loss unit must be at least 1"):
        SerialLossUnit(config=SMALL, read_latency=0)
    with pytest.raises(ValueError, match="cross_entropy of configuration 'ecp5-8x8' must be off"):
        SerialLossUnit(config=configuration("ecp5-8x8"), read_latency=4)
