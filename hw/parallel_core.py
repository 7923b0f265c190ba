"""The core of a large device: a memory for each region, and units that work at the same time.

    array unit    <--> WEIGHT MOMENTUM INPUT ACTIVATION OUTPUT DELTA GRADIENT
    loss unit     <--> OUTPUT TARGET DELTA
    spiking unit  <--> WEIGHT INPUT TARGET STATE EVENTS    (with a spiking half, as the next)
    response unit <--> ACTIVATION
    loader ----------> INPUT TARGET
    host <-----------> all of them, and the LFSRs
"""

from amaranth.hdl import Module, Mux, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

from hw.array_unit import ArrayUnit, array_reads, array_writes
from hw.config import DeviceConfig, region_tiles, tile_rows
from hw.core import CoreSignature
from hw.core_ports import (
    HOST_REGISTERS,
    PORT_REGISTERS,
    registered,
    share,
    wire_host,
    wire_spiking,
)
from hw.fan_out import own_register, own_reset
from hw.isa import Opcode, Region
from hw.loss_unit import LossUnit
from hw.response import ResponseUnit
from hw.spiking_unit import SpikingUnit
from hw.sum_memory import SumMemory
from hw.tile_memory import Access, TileMemory

ROW, COLUMN = Access.ROW, Access.COLUMN

ACCESSES: dict[Region, tuple[tuple[Access, ...], tuple[Access, ...]]] = {
    Region.WEIGHT: ((ROW, COLUMN), (COLUMN,)),
    Region.MOMENTUM: ((COLUMN,), (COLUMN,)),
    Region.INPUT: ((ROW, COLUMN), (ROW,)),
    Region.TARGET: ((COLUMN,), (ROW,)),
    Region.ACTIVATION: ((ROW, COLUMN), (ROW,)),
    Region.OUTPUT: ((COLUMN,), (ROW,)),
    Region.DELTA: ((ROW, COLUMN), (ROW, COLUMN)),
}
"""How the units read and write each memory; the spiking unit also writes rows of WEIGHT."""


class ParallelCore(wiring.Component):
    """A core whose commands overlap as far as the program's waits allow.

    Attributes
    ----------
    read_latency: cycles from the host's address to its word
    """

    def __init__(self, *, config: DeviceConfig):
        self.config = config
        self.read_latency = HOST_REGISTERS + TileMemory.READ_LATENCY
        self.memories = {
            region: TileMemory(
                tiles=tiles,
                rows=tile_rows(config, region),
                lanes=config.lanes,
                reads=ACCESSES[region][0],
                writes=(ROW, COLUMN)
                if region == Region.WEIGHT and config.spiking
                else ACCESSES[region][1],
                family=config.family,
            )
            for region, tiles in region_tiles(config).items()
            if tiles
        }
        if config.accumulation:
            self.sums = SumMemory(
                tiles=config.weight_tiles, lanes=config.lanes, family=config.family
            )
        super().__init__(CoreSignature(config=config).flip())

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for region, memory in self.memories.items():
            m.submodules[region.name.lower()] = memory
        # Reads are as late at the memories as writes are, so that they see them as soon.
        latencies = {
            "read_latency": PORT_REGISTERS + TileMemory.READ_LATENCY,
            "write_latency": TileMemory.WRITE_LATENCY,
        }
        array = ArrayUnit(config=self.config, **latencies)
        loss = LossUnit(config=self.config, **latencies)
        m.submodules.array = own_reset(array, platform)
        m.submodules.loss = own_reset(loss, platform)
        reports = [*array.reports, loss.report]
        spiking = response = None
        if self.config.spiking:
            spiking = SpikingUnit(config=self.config)
            m.submodules.spiking = own_reset(spiking, platform)
            m.submodules.response = response = ResponseUnit(config=self.config)
            reports.append(spiking.report)
            self._wire_spiking(m, spiking, response, array)
        self._wire_array(m, array, spiking, response)
        self._wire_loss(m, loss, array, spiking)
        if self.config.accumulation:
            self._wire_accumulation(m, array)
        for own, report in zip(self.reports, reports, strict=True):
            connect(m, flipped(own), report)
        for region, port in ((Region.INPUT, self.input), (Region.TARGET, self.target)):
            # Once more registered, on the way to banks that may be anywhere.
            write = self.memories[region].write
            for name in port.signature.members:
                value = Value.cast(getattr(port, name))
                register = own_register(m, value, f"{region.name.lower()}_loader_{name}")
                m.d.comb += Value.cast(getattr(write, name)).eq(register)
        hosts = {region: memory.host for region, memory in self.memories.items()}
        if spiking is not None:
            hosts |= {Region.STATE: spiking.state_host, Region.EVENTS: spiking.event_host}
        if self.config.accumulation:
            hosts[Region.GRADIENT] = self.sums.host
        wire_host(m, self, hosts, array, self.read_latency)
        return m

    def _wire_spiking(
        self, m: Module, spiking: SpikingUnit, response: ResponseUnit, array: ArrayUnit
    ) -> None:
        """Their commands and randomness; each has its memories while it is busy."""
        responds = self.instruction.opcode == Opcode.RESPOND
        wire_spiking(m, self, spiking, others=responds, others_busy=response.busy)
        m.d.comb += [
            response.instruction.eq(self.instruction),
            response.start.eq(self.spiking_start & responds),
            spiking.states.eq(array.lfsr_states),
            array.lfsr_step.eq(spiking.lfsr_step),
        ]

    def _wire_array(
        self,
        m: Module,
        array: ArrayUnit,
        spiking: SpikingUnit | None,
        response: ResponseUnit | None,
    ) -> None:
        m.d.comb += [
            array.instruction.eq(self.instruction),
            array.start.eq(self.array_start),
            array.input_base.eq(Mux(self.front, self.config.input_tiles, 0)),
            self.array_ready.eq(array.ready),
            self.array_retire.eq(array.retire),
            self.array_busy.eq(array.busy if spiking is None else array.busy | spiking.synapses),
            *(
                getattr(array, name).eq(getattr(self, name))
                for name in ("factor", "rate", "rate_shift", "decay", "decay_shift")
            ),
        ]
        others = {}
        if spiking is not None and response is not None:
            others = {
                "read_weight": (spiking.weight_read, spiking.busy),
                "write_weight": (spiking.weight_write, spiking.busy),
                "read_input": (spiking.input_read, spiking.busy),
                "read_activation": (response.read, response.busy),
                "write_activation": (response.write, response.busy),
            }
        for kind, regions in (("read", array_reads), ("write", array_writes)):
            for region in regions(self.config):
                if region != Region.DELTA:
                    name = f"{kind}_{region.name.lower()}"
                    port = getattr(self.memories[region], kind)
                    own = registered(m, getattr(array, name), f"array_{name}")
                    if name in others:
                        other, busy = others[name]
                        share(m, port, other, own, busy)
                    else:
                        connect(m, own, port)

    def _wire_accumulation(self, m: Module, array: ArrayUnit) -> None:
        """GRADIENT, and CLIP, which counts as a LOSS does while there is none."""
        m.submodules.gradient = self.sums
        connect(m, array.read_gradient, self.sums.read)
        connect(m, array.write_gradient, self.sums.write)
        m.d.comb += [
            array.forget.eq(self.forget),
            array.clip_start.eq(self.clip_start),
            array.threshold.eq(self.threshold),
            self.clip_busy.eq(array.clip_busy),
            self.norm.eq(Mux(array.clip_done, array.norm, 0)),
        ]
        with m.If(array.clip_done):
            m.d.comb += [
                self.loss_done.eq(1),
                *(count.eq(0) for count in (self.samples, self.correct, self.loss)),
            ]

    def _wire_loss(
        self, m: Module, loss: LossUnit, array: ArrayUnit, spiking: SpikingUnit | None
    ) -> None:
        """The loss unit's memories; it shares DELTA with the array, a command at a time."""
        m.d.comb += [
            loss.instruction.eq(self.instruction),
            loss.start.eq(self.loss_start),
            loss.target_base.eq(Mux(self.front, self.config.target_tiles, 0)),
            self.loss_busy.eq(loss.busy),
            self.loss.eq(loss.loss),
            self.loss_done.eq(loss.done),
            self.samples.eq(loss.samples),
            self.correct.eq(loss.correct),
        ]
        if spiking is not None:
            m.d.comb += [
                self.loss_done.eq(loss.done | spiking.counted),
                self.samples.eq(Mux(spiking.counted, 1, loss.samples)),
                self.correct.eq(Mux(spiking.counted, spiking.correct, loss.correct)),
                self.loss.eq(Mux(spiking.counted, 0, loss.loss)),
            ]
        output = registered(m, loss.read_output, "loss_read_output")
        connect(m, output, self.memories[Region.OUTPUT].read)
        target = self.memories[Region.TARGET].read
        own = registered(m, loss.read_target, "loss_read_target")
        if spiking is None:
            connect(m, own, target)
        else:
            share(m, target, spiking.target_read, own, spiking.busy)
        delta = self.memories[Region.DELTA]
        for port, user, other, active in (
            (delta.read, loss.read_delta, array.read_delta, loss.read_delta.enable),
            (delta.write, loss.write_delta, array.write_delta, loss.write_delta.mask.any()),
        ):
            name = "read_delta" if port is delta.read else "write_delta"
            shared = port.signature.flip().create(path=(f"shared_{name}",))
            share(m, flipped(shared), user, other, active)
            connect(m, registered(m, shared, name), port)
