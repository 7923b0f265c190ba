"""The whole device: memories, units, registers and the link, between two byte streams.

    rx --> link --samples--> loader --> INPUT, TARGET
    tx <--      --host bus--> registers, program, counters, LFSRs, every tile memory

    sequencer --instruction, start--> array unit <--> WEIGHT MOMENTUM INPUT ACTIVATION OUTPUT DELTA
                                 +--> loss unit  <--> OUTPUT TARGET DELTA
    array unit, loss unit, loader --> statistics
"""

from amaranth.hdl import Module, Mux, Signal, Value, ValueLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.array_unit import ArrayUnit, array_reads, array_writes, delayed
from hw.config import DeviceConfig, region_tiles, region_words, tile_rows
from hw.isa import COUNTERS, WEIGHT_STATISTICS, Control, Region, Register
from hw.lfsr import LfsrBank
from hw.link import Link
from hw.loader import Loader
from hw.loss_unit import LossUnit
from hw.numbers import WORD_BITS
from hw.sequencer import Sequencer
from hw.statistics import Statistics
from hw.tile_memory import Access, TileMemory, read_latency

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

UPDATE_REGISTERS = {
    "factor": Register.MOMENTUM_FACTOR,
    "rate": Register.RATE,
    "rate_shift": Register.RATE_SHIFT,
    "decay": Register.DECAY,
    "decay_shift": Register.DECAY_SHIFT,
}
"""Members of the array unit that are registers."""


class Device(wiring.Component):
    """A learning machine behind a byte link.

    Parameters
    ----------
    config: sizes and features
    identity: 16 bytes that name this build, see `hw.build_identity`

    Members
    -------
    rx, tx: bytes from and to the host
    state: the sequencer's State, for a board's lamps
    """

    def __init__(self, *, config: DeviceConfig, identity: bytes):
        self.config = config
        self.identity = identity
        self.read_latency = read_latency(capture=config.capture_reads)
        self.memories = {
            region: TileMemory(
                tiles=tiles,
                rows=tile_rows(config, region),
                lanes=config.lanes,
                reads=ACCESSES[region][0],
                writes=ACCESSES[region][1],
                capture=config.capture_reads,
            )
            for region, tiles in region_tiles(config).items()
            if tiles
        }
        super().__init__(
            {
                "rx": In(stream.Signature(8)),
                "tx": Out(stream.Signature(8)),
                "state": Out(4),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        for region, memory in self.memories.items():
            m.submodules[region.name.lower()] = memory
        m.submodules.link = link = Link(
            config=config,
            identity=self.identity,
            regions=region_words(config),
            read_latency=self.read_latency + 1,
        )
        m.submodules.loader = loader = Loader(config=config)
        m.submodules.sequencer = sequencer = Sequencer(config=config)
        m.submodules.array = array = ArrayUnit(config=config)
        m.submodules.loss = loss = LossUnit(config=config, read_latency=self.read_latency)
        m.submodules.statistics = statistics = Statistics(reporters=len(WEIGHT_STATISTICS) + 1)
        connect(m, flipped(self.rx), link.rx)
        connect(m, link.tx, flipped(self.tx))
        m.d.comb += self.state.eq(sequencer.state)

        registers = self._registers(m, link.bus)
        control = self._control(m, link.bus)
        self._wire_sequencer(m, sequencer, array, loss, loader, registers, control)
        self._wire_loader(m, link, loader, sequencer, registers)
        self._wire_array(m, array, loader, sequencer, registers)
        self._wire_loss(m, loss, array, loader, sequencer)
        self._wire_statistics(m, statistics, sequencer, array, loss, control)
        self._wire_bus(m, link.bus, sequencer, array, statistics, registers)
        m.d.comb += [
            link.state.eq(sequencer.state),
            link.running.eq(sequencer.running),
            link.credits.eq(loader.credits),
            link.overflow.eq(loader.overflow),
        ]
        return m

    def _registers(self, m: Module, bus: wiring.PureInterface) -> dict[Register, Signal]:
        """The registers, written by the host."""
        registers: dict[Register, Signal] = {
            register: Signal(WORD_BITS, name=register.name.lower())
            for register in Register
            if register != Register.CONTROL
        }
        for register, signal in registers.items():
            with m.If(_written(bus, register)):
                m.d.sync += signal.eq(bus.write_data)
        return registers

    def _control(self, m: Module, bus: wiring.PureInterface) -> dict[Control, Signal]:
        """A strobe for each value that is written to CONTROL."""
        strobes = {control: Signal(name=control.name.lower()) for control in Control}
        for control, strobe in strobes.items():
            m.d.sync += strobe.eq(_written(bus, Register.CONTROL) & (bus.write_data == control))
        return strobes

    def _wire_sequencer(
        self,
        m: Module,
        sequencer: Sequencer,
        array: ArrayUnit,
        loss: LossUnit,
        loader: Loader,
        registers: dict[Register, Signal],
        control: dict[Control, Signal],
    ) -> None:
        m.d.comb += [
            sequencer.run.eq(control[Control.RUN]),
            sequencer.step.eq(control[Control.STEP]),
            sequencer.stop.eq(control[Control.STOP]),
            sequencer.first.eq(registers[Register.START]),
            sequencer.count.eq(registers[Register.COUNT]),
            sequencer.array_ready.eq(array.ready),
            sequencer.array_retire.eq(array.retire),
            sequencer.loss_busy.eq(loss.busy),
            sequencer.full.eq(loader.full),
            sequencer.samples.eq(loader.front_samples),
        ]

    def _wire_loader(
        self,
        m: Module,
        link: Link,
        loader: Loader,
        sequencer: Sequencer,
        registers: dict[Register, Signal],
    ) -> None:
        connect(m, link.samples, loader.samples)
        m.d.comb += [
            loader.features.eq(registers[Register.FEATURES]),
            loader.targets.eq(registers[Register.TARGETS]),
            loader.sample_format.eq(registers[Register.SAMPLE_FORMAT]),
            loader.input_stride.eq(registers[Register.INPUT_STRIDE]),
            loader.target_stride.eq(registers[Register.TARGET_STRIDE]),
            loader.release.eq(sequencer.release),
            loader.clear.eq(sequencer.clear),
        ]
        for region, port in ((Region.INPUT, loader.input), (Region.TARGET, loader.target)):
            write = self.memories[region].write
            m.d.comb += [
                write.mask.eq(port.mask),
                write.tile.eq(port.tile),
                write.index.eq(port.index),
                write.data.eq(port.data),
            ]

    def _wire_array(
        self,
        m: Module,
        array: ArrayUnit,
        loader: Loader,
        sequencer: Sequencer,
        registers: dict[Register, Signal],
    ) -> None:
        m.d.comb += [
            array.instruction.eq(sequencer.instruction),
            array.start.eq(sequencer.array_start),
            array.input_base.eq(Mux(loader.front, self.config.input_tiles, 0)),
        ]
        for region in array_reads(self.config):
            if region != Region.DELTA:
                port = getattr(array, f"read_{region.name.lower()}")
                connect(m, port, self.memories[region].read)
        for region in array_writes(self.config):
            if region != Region.DELTA:
                port = getattr(array, f"write_{region.name.lower()}")
                connect(m, port, self.memories[region].write)
        for name, register in UPDATE_REGISTERS.items():
            m.d.comb += getattr(array, name).eq(registers[register])

    def _wire_loss(
        self, m: Module, loss: LossUnit, array: ArrayUnit, loader: Loader, sequencer: Sequencer
    ) -> None:
        """The loss unit's memories; it shares DELTA with the array, a command at a time."""
        m.d.comb += [
            loss.instruction.eq(sequencer.instruction),
            loss.start.eq(sequencer.loss_start),
            loss.target_base.eq(Mux(loader.front, self.config.target_tiles, 0)),
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

    def _wire_statistics(
        self,
        m: Module,
        statistics: Statistics,
        sequencer: Sequencer,
        array: ArrayUnit,
        loss: LossUnit,
        control: dict[Control, Signal],
    ) -> None:
        words = {
            "state": sequencer.state,
            "error": sequencer.error,
            "position": sequencer.position,
            "remaining": sequencer.remaining,
        }
        m.d.comb += [
            statistics.running.eq(sequencer.running),
            statistics.waiting.eq(sequencer.waiting),
            statistics.busy.eq(array.busy),
            statistics.clear.eq(control[Control.CLEAR] & ~sequencer.running),
            statistics.done.eq(loss.done),
            statistics.samples.eq(loss.samples),
            statistics.correct.eq(loss.correct),
            statistics.loss.eq(loss.loss),
        ]
        for name, value in words.items():
            m.d.comb += statistics.state[COUNTERS[name].address].eq(value)
        for k, report in enumerate((*array.reports, loss.report)):
            connect(m, report, statistics.reports[k])

    def _wire_bus(
        self,
        m: Module,
        bus: wiring.PureInterface,
        sequencer: Sequencer,
        array: ArrayUnit,
        statistics: Statistics,
        registers: dict[Register, Signal],
    ) -> None:
        """Writes to and reads from every region; all words are brought to the same latency."""
        write = {region: Signal(name=f"write_{region.name.lower()}") for region in Region}
        for region, strobe in write.items():
            m.d.comb += strobe.eq(bus.write_enable & (bus.region == region))
        m.d.comb += [
            sequencer.program_address.eq(bus.address),
            sequencer.program_write.eq(write[Region.PROGRAM]),
            sequencer.program_data.eq(bus.write_data),
            array.lfsr_address.eq(bus.address),
            array.lfsr_write.eq(write[Region.LFSR]),
            array.lfsr_write_data.eq(bus.write_data),
            statistics.address.eq(bus.address),
            statistics.read.eq(bus.read_enable & (bus.region == Region.COUNTERS)),
        ]
        register = Signal(WORD_BITS)
        with m.Switch(bus.address):
            for name, signal in registers.items():
                with m.Case(name):
                    m.d.sync += register.eq(signal)
            with m.Default():
                m.d.sync += register.eq(0)
        for region, memory in self.memories.items():
            m.d.comb += [
                memory.host.address.eq(bus.address),
                memory.host.write_enable.eq(write[region]),
                memory.host.write_data.eq(bus.write_data),
            ]
        # The words of each region, by how many cycles after their address they are there.
        arriving: list[tuple[int, dict[Region, ValueLike]]] = [
            (1, {Region.REGISTERS: register}),
            (LfsrBank.READ_LATENCY, {Region.LFSR: array.lfsr_read_data}),
            (Statistics.READ_LATENCY, {Region.COUNTERS: statistics.word}),
            (Sequencer.READ_LATENCY, {Region.PROGRAM: sequencer.program_read}),
            (self.read_latency, {r: mem.host.read_data for r, mem in self.memories.items()}),
        ]
        word: ValueLike = 0
        region, age = bus.region, 0
        for latency, words in arriving:
            word = delayed(m, word, latency - age) if age else word
            region, age = delayed(m, region, latency - age), latency
            for each, own in words.items():
                word = Mux(region == each, own, word)
        m.d.sync += bus.read_data.eq(word)


def _written(bus: wiring.PureInterface, register: Register) -> Value:
    """Whether the host writes the register in this cycle."""
    return bus.write_enable & (bus.region == Region.REGISTERS) & (bus.address == register)
