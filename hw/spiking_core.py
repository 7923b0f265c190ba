"""The core of a device that has the spiking half alone.

    spiking unit <--> WEIGHT INPUT TARGET STATE EVENTS, LFSRs
    loader ---------> INPUT TARGET
    host <----------> all of them
"""

from types import SimpleNamespace

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

from hw.config import DeviceConfig, region_tiles, tile_rows
from hw.core import CoreSignature
from hw.core_ports import HOST_REGISTERS, wire_host, wire_spiking
from hw.fan_out import own_reset
from hw.isa import Region
from hw.lfsr import LfsrBank
from hw.spiking_unit import SpikingUnit
from hw.tile_memory import Access, TileMemory

ROW, COLUMN = Access.ROW, Access.COLUMN

ACCESSES: dict[Region, tuple[tuple[Access, ...], tuple[Access, ...]]] = {
    Region.WEIGHT: ((ROW, COLUMN), (ROW, COLUMN)),
    Region.INPUT: ((ROW, COLUMN), (ROW,)),
    Region.TARGET: ((COLUMN,), (ROW,)),
}
"""How the spiking unit reads, and it or the loader writes, each memory of tiles; INPUT by columns
for granule cells alone."""


class SpikingCore(wiring.Component):
    """A core with one unit, whose commands never overlap.

    Attributes
    ----------
    read_latency: cycles from the host's address to its word
    """

    def __init__(self, *, config: DeviceConfig):
        self.config = config
        self.read_latency = HOST_REGISTERS + TileMemory.HOST_LATENCY
        self.memories = {
            region: TileMemory(
                tiles=region_tiles(config)[region],
                rows=tile_rows(config, region),
                lanes=config.lanes,
                reads=reads if config.expansion_inputs or region != Region.INPUT else (ROW,),
                writes=writes,
                family=config.family,
            )
            for region, (reads, writes) in ACCESSES.items()
        }
        super().__init__(CoreSignature(config=config).flip())

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for region, memory in self.memories.items():
            m.submodules[region.name.lower()] = memory
        spiking = SpikingUnit(config=self.config)
        m.submodules.spiking = own_reset(spiking, platform)
        m.submodules.lfsr = lfsr = LfsrBank(lanes=self.config.lanes, far=True)
        wire_spiking(m, self, spiking)
        weight, inputs, target = (self.memories[region] for region in ACCESSES)
        connect(m, spiking.weight_read, weight.read)
        connect(m, spiking.weight_write, weight.write)
        connect(m, spiking.input_read, inputs.read)
        connect(m, spiking.target_read, target.read)
        for memory, port in ((inputs, self.input), (target, self.target)):
            m.d.comb += [
                getattr(memory.write, name).eq(getattr(port, name))
                for name in port.signature.members
            ]
        m.d.comb += [
            self.array_ready.eq(1),
            self.array_busy.eq(spiking.synapses),
            self.loss_done.eq(spiking.counted),
            self.samples.eq(1),
            self.correct.eq(spiking.correct),
            spiking.states.eq(lfsr.states),
            lfsr.step.eq(spiking.lfsr_step),
        ]
        (report,) = self.reports
        connect(m, flipped(report), spiking.report)
        hosts = {region: memory.host for region, memory in self.memories.items()}
        hosts |= {Region.STATE: spiking.state_host, Region.EVENTS: spiking.event_host}
        members = {f"lfsr_{name}": getattr(lfsr, name) for name in LfsrBank.HOST_MEMBERS}
        wire_host(m, self, hosts, SimpleNamespace(**members), self.read_latency)
        return m
