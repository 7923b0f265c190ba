"""The spiking half with its memories, against the golden model."""

from dataclasses import asdict, replace

import pytest
from amaranth.hdl import Module, Mux
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.config import DeviceConfig, region_tiles, tile_rows
from hw.configurations import configuration
from hw.isa import Region
from hw.lfsr import STATE_BITS, LfsrBank
from hw.spiking_unit import SpikingUnit
from hw.tile_memory import Access, TileHost, TileMemory, TileRead
from sim.bench.runner import run_bench

SEED = 4242
NEURONS = 70

ROW, COLUMN = Access.ROW, Access.COLUMN
READS = {Region.WEIGHT: (ROW, COLUMN), Region.INPUT: (ROW, COLUMN), Region.TARGET: (COLUMN,)}
"""How the spiking half reads the memories around it."""

PASSED = ("instruction", "start", "busy", "step", "synapses", "counted", "samples", "correct")


class SpikingCore(wiring.Component):
    """A spiking unit with WEIGHT, INPUT, TARGET and the LFSRs.

    Members
    -------
    instruction ... correct, state_host, event_host, report: the unit's
    front: which buffer is in front
    states: of the LFSRs
    weight_host, input_host, target_host: of the memories
    peek: reads WEIGHT, while not `busy`
    """

    def __init__(self, *, config: DeviceConfig):
        self.config = config
        self.unit = SpikingUnit(config=config)
        self.memories = {
            region: TileMemory(
                tiles=region_tiles(config)[region],
                rows=tile_rows(config, region),
                lanes=config.lanes,
                reads=kinds,
                writes=(ROW, COLUMN) if region == Region.WEIGHT else (ROW,),
            )
            for region, kinds in READS.items()
        }
        hosts = {
            f"{region.name.lower()}_host": In(
                TileHost(tiles=memory.tiles, rows=memory.rows, lanes=memory.lanes)
            )
            for region, memory in self.memories.items()
        }
        inner = self.unit.signature.members
        super().__init__(
            {
                **{name: inner[name] for name in (*PASSED, "state_host", "event_host", "report")},
                "front": In(1),
                "states": Out(data.ArrayLayout(STATE_BITS, config.lanes)),
                "peek": In(TileRead(tiles=config.weight_tiles, lanes=config.lanes)),
                **hosts,
            }
        )

    def elaborate(self, platform: object) -> Module:
        m, unit = Module(), self.unit
        m.submodules.unit = unit
        m.submodules.lfsr = lfsr = LfsrBank(lanes=self.config.lanes)
        for name in ("instruction", "start", "step"):
            m.d.comb += getattr(unit, name).eq(getattr(self, name))
        for name in ("busy", "synapses", "counted", "samples", "correct"):
            m.d.comb += getattr(self, name).eq(getattr(unit, name))
        for name in ("state_host", "event_host", "report"):
            connect(m, flipped(getattr(self, name)), getattr(unit, name))
        m.d.comb += [
            unit.input_base.eq(Mux(self.front, self.config.input_tiles, 0)),
            unit.target_base.eq(Mux(self.front, self.config.target_tiles, 0)),
            unit.states.eq(lfsr.states),
            self.states.eq(lfsr.states),
            lfsr.step.eq(unit.lfsr_step),
        ]
        for region, memory in self.memories.items():
            name = region.name.lower()
            m.submodules[name] = memory
            connect(m, flipped(getattr(self, f"{name}_host")), memory.host)
            if region != Region.WEIGHT:
                connect(m, getattr(unit, f"{name}_read"), memory.read)
        read, own = self.memories[Region.WEIGHT].read, unit.weight_read
        connect(m, unit.weight_write, self.memories[Region.WEIGHT].write)
        for name in ("enable", "tile", "index", "column"):
            chosen = Mux(self.peek.enable, getattr(self.peek, name), getattr(own, name))
            m.d.comb += getattr(read, name).eq(chosen)
        m.d.comb += [own.data.eq(read.data), self.peek.data.eq(read.data)]
        return m


EIGHT = replace(
    configuration("ecp5-8-spiking"),
    family="behavioural",
    weight_tiles=99,
    input_tiles=20,
    target_tiles=3,
    state_rows=256,
    event_words=400,
    expansion_inputs=64,
)

BUILDS = {
    "8 lanes": EIGHT,
    # Two rows of parameters less in a tile, and INPUT tiles as high as wide.
    "4 lanes": replace(
        EIGHT,
        lanes=4,
        batch_lanes=4,
        weight_tiles=330,
        state_rows=450,
        expansion_inputs=32,
    ),
    "without granule cells": replace(
        EIGHT, lanes=4, batch_lanes=2, weight_tiles=325, state_rows=450, expansion_inputs=0
    ),
}


@pytest.mark.simulator
@pytest.mark.toolchain
@pytest.mark.parametrize(
    # The one without granule cells has four lanes too, and less to build.
    "build", [pytest.param(b, marks=[pytest.mark.demand] * (b == "4 lanes")) for b in BUILDS]
)
def test_equals_golden(build: str) -> None:
    config = BUILDS[build]
    print(f"seed {SEED}")
    run_bench(
        SpikingCore(config=config),
        bench="sim.bench.bench_spiking_unit",
        parameters={
            "config": asdict(config),
            "scenes": 8,
            "commands": 20,
            "neurons": NEURONS,
            "seed": SEED,
        },
        seed=SEED,
    )


def test_refuses_a_configuration_without_neurons() -> None:
    with pytest.raises(ValueError, match="state_rows of configuration 'ecp5-8x8' must be at least"):
        SpikingUnit(config=configuration("ecp5-8x8"))
