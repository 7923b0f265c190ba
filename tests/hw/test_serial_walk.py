"""The serial walk against its loops in plain Python, with B = L and with several blocks of B."""

from dataclasses import asdict, replace

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring

from hw.config import DeviceConfig
from hw.configurations import configuration
from hw.serial_walk import SerialWalk
from sim.bench.runner import run_bench

SMALL = configuration("up5k-4x2")
SQUARE = replace(SMALL, batch_lanes=4, accumulator_width=34, weight_tiles=5, delta_tiles=100)
SEED = 20268


class RenamedWalk(wiring.Component):
    """The walk with `final` as `last_tile`: Verilator takes the former for its own."""

    def __init__(self, *, config: DeviceConfig):
        self.walk = SerialWalk(config=config)
        self.names = {name: name for name in self.walk.signature.members}
        self.names["final"] = "last_tile"
        members = self.walk.signature.members
        super().__init__({self.names[name]: member for name, member in members.items()})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.walk = self.walk
        for name, member in self.walk.signature.members.items():
            ports = [getattr(self.walk, name), getattr(self, self.names[name])]
            if member.flow == wiring.Out:
                ports.reverse()
            m.d.comb += ports[0].eq(ports[1])
        return m


@pytest.mark.simulator
@pytest.mark.parametrize(
    "config",
    [
        pytest.param(SMALL, id="4x2"),
        pytest.param(SQUARE, id="4x4"),
        # Tiles of weights, of samples and strides are of different widths.
        pytest.param(configuration("up5k-4x2-spram"), id="spram"),
        pytest.param(replace(SMALL, lanes=8), id="8x2"),
    ],
)
def test_equals_the_loops(config: DeviceConfig) -> None:
    run_bench(
        RenamedWalk(config=config),
        bench="sim.bench.bench_serial_walk",
        parameters={"config": asdict(config), "seed": SEED},
    )
