"""The core of a large device: a memory for each region, and units that work at the same time.

    array unit <--> WEIGHT MOMENTUM INPUT ACTIVATION OUTPUT DELTA
    loss unit  <--> OUTPUT TARGET DELTA
    loader -------> INPUT TARGET
    host <--------> all of them, and the LFSRs
"""

from amaranth.hdl import Module, Mux, Signal, Value, ValueLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In, connect, flipped

from hw.array_unit import ArrayUnit, array_reads, array_writes, delayed
from hw.config import DeviceConfig, region_tiles, tile_rows
from hw.core import CoreSignature
from hw.isa import Region
from hw.lfsr import LfsrBank
from hw.loss_unit import LossUnit
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
"""How the units read and write each memory."""


class ParallelCore(wiring.Component):
    """A core whose commands overlap as far as the program's waits allow.

    Attributes
    ----------
    read_latency: cycles from the host's address to its word
    """

    def __init__(self, *, config: DeviceConfig):
        self.config = config
        self.read_latency = 1 + TileMemory.READ_LATENCY
        self.memories = {
            region: TileMemory(
                tiles=tiles,
                rows=tile_rows(config, region),
                lanes=config.lanes,
                reads=ACCESSES[region][0],
                writes=ACCESSES[region][1],
            )
            for region, tiles in region_tiles(config).items()
            if tiles
        }
        super().__init__(CoreSignature(config=config).flip())

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for region, memory in self.memories.items():
            m.submodules[region.name.lower()] = memory
        m.submodules.array = array = ArrayUnit(config=self.config)
        m.submodules.loss = loss = LossUnit(
            config=self.config, read_latency=TileMemory.READ_LATENCY
        )
        self._wire_array(m, array)
        self._wire_loss(m, loss, array)
        for own, report in zip(self.reports, (*array.reports, loss.report), strict=True):
            connect(m, flipped(own), report)
        for region, port in ((Region.INPUT, self.input), (Region.TARGET, self.target)):
            write = self.memories[region].write
            m.d.comb += [
                getattr(write, name).eq(getattr(port, name)) for name in port.signature.members
            ]
        self._wire_host(m, array)
        return m

    def _wire_array(self, m: Module, array: ArrayUnit) -> None:
        m.d.comb += [
            array.instruction.eq(self.instruction),
            array.start.eq(self.array_start),
            array.input_base.eq(Mux(self.front, self.config.input_tiles, 0)),
            self.array_ready.eq(array.ready),
            self.array_retire.eq(array.retire),
            self.array_busy.eq(array.busy),
            *(
                getattr(array, name).eq(getattr(self, name))
                for name in ("factor", "rate", "rate_shift", "decay", "decay_shift")
            ),
        ]
        for region in array_reads(self.config):
            if region != Region.DELTA:
                port = getattr(array, f"read_{region.name.lower()}")
                connect(m, port, self.memories[region].read)
        for region in array_writes(self.config):
            if region != Region.DELTA:
                port = getattr(array, f"write_{region.name.lower()}")
                connect(m, port, self.memories[region].write)

    def _wire_loss(self, m: Module, loss: LossUnit, array: ArrayUnit) -> None:
        """The loss unit's memories; it shares DELTA with the array, a command at a time."""
        m.d.comb += [
            loss.instruction.eq(self.instruction),
            loss.start.eq(self.loss_start),
            loss.target_base.eq(Mux(self.front, self.config.target_tiles, 0)),
            self.loss_busy.eq(loss.busy),
            self.loss_done.eq(loss.done),
            self.samples.eq(loss.samples),
            self.correct.eq(loss.correct),
            self.loss.eq(loss.loss),
        ]
        connect(m, loss.read_output, self.memories[Region.OUTPUT].read)
        connect(m, loss.read_target, self.memories[Region.TARGET].read)
        delta = self.memories[Region.DELTA]
        read, write = loss.read_delta, loss.write_delta
        for port, user, other, active in (
            (delta.read, read, array.read_delta, read.enable),
            (delta.write, write, array.write_delta, write.mask.any()),
        ):
            for name, member in port.signature.members.items():
                if member.flow == In:
                    chosen = Mux(
                        active, Value.cast(getattr(user, name)), Value.cast(getattr(other, name))
                    )
                    m.d.comb += Value.cast(getattr(port, name)).eq(chosen)
                else:
                    words = getattr(port, name)
                    m.d.comb += [getattr(user, name).eq(words), getattr(other, name).eq(words)]

    def _wire_host(self, m: Module, array: ArrayUnit) -> None:
        """The LFSRs' words wait for as long as the memories' take."""
        m.d.comb += [
            array.lfsr_address.eq(self.address),
            array.lfsr_write.eq(self.write_enable & (self.region == Region.LFSR)),
            array.lfsr_write_data.eq(self.write_data),
        ]
        word: ValueLike = delayed(
            m, array.lfsr_read_data, self.read_latency - LfsrBank.READ_LATENCY
        )
        region = delayed(m, self.region, self.read_latency)
        # From registers, as every memory looks at them: the address goes to all banks.
        address, write_data = Signal.like(self.address), Signal.like(self.write_data)
        m.d.sync += [address.eq(self.address), write_data.eq(self.write_data)]
        for each, memory in self.memories.items():
            enable = Signal(name=f"write_{each.name.lower()}")
            m.d.sync += enable.eq(self.write_enable & (self.region == each))
            m.d.comb += [
                memory.host.address.eq(address),
                memory.host.write_enable.eq(enable),
                memory.host.write_data.eq(write_data),
            ]
            word = Mux(region == each, memory.host.read_data, word)
        m.d.comb += self.read_data.eq(word)
