"""The whole device: core, sequencer, registers and the link, between two byte streams.

    rx --> link --samples--> loader --words----------+
    tx <--      --host bus--> registers, program,    v
                              counters, LFSRs and memories of the core
    sequencer --instruction, start--> core --> statistics
"""

from amaranth.hdl import Const, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import ceil_log2

from hw.activity import while_active
from hw.array_unit import delayed
from hw.config import DeviceConfig, region_words
from hw.fan_out import own_reset
from hw.isa import COUNTERS, MEMORY_REGIONS, Control, Region, Register
from hw.link import Link
from hw.loader import Loader
from hw.numbers import WORD_BITS
from hw.parallel_core import ParallelCore
from hw.sequencer import Sequencer
from hw.serial_core import SerialCore
from hw.serial_spiking_core import SerialSpikingCore
from hw.spiking_core import SpikingCore
from hw.statistics import Statistics

UPDATE_REGISTERS = {
    "factor": Register.MOMENTUM_FACTOR,
    "rate": Register.RATE,
    "rate_shift": Register.RATE_SHIFT,
    "decay": Register.DECAY,
    "decay_shift": Register.DECAY_SHIFT,
}
"""Members of the core that are registers."""


Core = ParallelCore | SerialCore | SpikingCore | SerialSpikingCore


def core_of(config: DeviceConfig) -> Core:
    """The core that a configuration asks for."""
    if config.serial:
        core = SerialCore if config.supervised else SerialSpikingCore
        return core(config=config)
    return ParallelCore(config=config) if config.supervised else SpikingCore(config=config)


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
        self._core = core_of(config)
        others = (Statistics.READ_LATENCY, Sequencer.READ_LATENCY)
        self.read_latency = 1 + max(self._core.read_latency, *others)
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
        m.submodules.link = link = Link(
            config=config,
            identity=self.identity,
            regions=region_words(config),
            read_latency=self.read_latency,
        )
        loader = Loader(config=config)
        sequencer = Sequencer(config=config)
        m.submodules.core = core = self._core
        statistics = Statistics(config=config, reporters=len(core.reports))
        # The link may be sent bytes in the first cycle, the others wait for it.
        units = {"loader": loader, "sequencer": sequencer, "statistics": statistics}
        for name, unit in units.items():
            m.submodules[name] = unit if config.serial else own_reset(unit, platform)
        connect(m, flipped(self.rx), link.rx)
        connect(m, link.tx, flipped(self.tx))
        m.d.comb += self.state.eq(sequencer.state)

        registers = self._registers(m, link.bus, platform)
        control = self._control(m, link.bus)
        self._wire_sequencer(m, sequencer, core, loader, statistics, registers, control)
        self._wire_loader(m, link, loader, core, sequencer, registers)
        self._wire_statistics(m, statistics, sequencer, core, control)
        self._wire_bus(m, link.bus, sequencer, core, statistics)
        m.d.comb += [
            link.state.eq(sequencer.state),
            link.credits.eq(loader.credits),
            link.overflow.eq(loader.overflow),
        ]
        m.d.sync += link.running.eq(sequencer.running)
        return m

    def _registers(
        self, m: Module, bus: wiring.PureInterface, platform: object
    ) -> dict[Register, Signal]:
        """The registers, written by the host; their users need only the bits that they look at."""
        registers: dict[Register, Signal] = {
            register: Signal(WORD_BITS, name=register.name.lower(), reset_less=True)
            for register in Register
            if register != Register.CONTROL
        }
        writes = Module()
        for register, signal in registers.items():
            with writes.If(_written(bus, register)):
                writes.d.sync += signal.eq(bus.write_data)
        m.submodules.writes = while_active(writes, bus.write_enable, platform, name="registers")
        return registers

    def _read_back(self, m: Module, bus: wiring.PureInterface) -> ValueLike:
        """What the host has written to the register at its address, a cycle later.

        From a copy in a memory, which spares a multiplexer of all registers.
        """
        depth = 1 << ceil_log2(len(Register))
        m.submodules.registers = copy = Memory(shape=WORD_BITS, depth=depth, init=[])
        read, write = copy.read_port(), copy.write_port()
        in_registers = (bus.region == Region.REGISTERS) & (bus.address != Register.CONTROL)
        m.d.comb += [
            read.addr.eq(bus.address),
            write.addr.eq(bus.address),
            write.data.eq(bus.write_data),
            write.en.eq(bus.write_enable & in_registers),
        ]
        return read.data

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
        core: Core,
        loader: Loader,
        statistics: Statistics,
        registers: dict[Register, Signal],
        control: dict[Control, Signal],
    ) -> None:
        m.d.comb += [
            sequencer.run.eq(control[Control.RUN]),
            sequencer.step.eq(control[Control.STEP]),
            sequencer.stop.eq(control[Control.STOP]),
            sequencer.first.eq(registers[Register.START]),
            sequencer.count.eq(registers[Register.COUNT]),
            # No command starts while the counters are cleared.
            sequencer.array_ready.eq(core.array_ready & ~statistics.clearing),
            sequencer.array_retire.eq(core.array_retire),
            sequencer.loss_busy.eq(core.loss_busy),
            sequencer.adding.eq(statistics.adding),
            sequencer.counting.eq(statistics.counting),
            sequencer.full.eq(loader.full),
            sequencer.samples.eq(loader.front_samples),
            core.instruction.eq(sequencer.instruction),
            core.array_start.eq(sequencer.array_start),
            core.loss_start.eq(sequencer.loss_start),
            core.front.eq(loader.front),
        ]
        if self.config.spiking:
            m.d.comb += [
                core.spiking_start.eq(sequencer.spiking_start),
                core.time_step.eq(sequencer.time_step),
                sequencer.spiking_busy.eq(core.spiking_busy),
            ]
        if self.config.accumulation:
            m.d.comb += [
                core.forget.eq(sequencer.forget),
                core.clip_start.eq(sequencer.clip_start),
                core.threshold.eq(registers[Register.CLIP_THRESHOLD]),
                sequencer.clip_busy.eq(core.clip_busy),
            ]
        for name, register in UPDATE_REGISTERS.items():
            m.d.comb += getattr(core, name).eq(registers[register])

    def _wire_loader(
        self,
        m: Module,
        link: Link,
        loader: Loader,
        core: Core,
        sequencer: Sequencer,
        registers: dict[Register, Signal],
    ) -> None:
        connect(m, link.samples, loader.samples)
        connect(m, loader.input, core.input)
        connect(m, loader.target, core.target)
        m.d.comb += [
            loader.features.eq(registers[Register.FEATURES]),
            loader.targets.eq(registers[Register.TARGETS]),
            loader.sample_format.eq(registers[Register.SAMPLE_FORMAT]),
            loader.input_stride.eq(registers[Register.INPUT_STRIDE]),
            loader.target_stride.eq(registers[Register.TARGET_STRIDE]),
        ]
        # A cycle later does no harm: no instruction looks at the buffers so soon.
        m.d.sync += [
            loader.release.eq(sequencer.release),
            loader.clear.eq(sequencer.clear),
        ]

    def _wire_statistics(
        self,
        m: Module,
        statistics: Statistics,
        sequencer: Sequencer,
        core: Core,
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
            statistics.busy.eq(core.array_busy),
            statistics.clear.eq(control[Control.CLEAR] & ~sequencer.running),
            statistics.done.eq(core.loss_done),
            statistics.samples.eq(core.samples),
            statistics.correct.eq(core.correct),
            statistics.loss.eq(core.loss),
        ]
        if self.config.accumulation:
            m.d.comb += statistics.norm.eq(core.norm)
        for name, value in words.items():
            m.d.comb += statistics.state[COUNTERS[name].address].eq(value)
        for own, report in zip(core.reports, statistics.reports, strict=True):
            connect(m, own, report)

    def _wire_bus(
        self,
        m: Module,
        bus: wiring.PureInterface,
        sequencer: Sequencer,
        core: Core,
        statistics: Statistics,
    ) -> None:
        """Writes to and reads from every region; all words are brought to the same latency."""
        m.d.comb += [
            sequencer.program_address.eq(bus.address),
            sequencer.program_write.eq(bus.write_enable & (bus.region == Region.PROGRAM)),
            sequencer.program_data.eq(bus.write_data),
            core.region.eq(bus.region),
            core.address.eq(bus.address),
            core.write_enable.eq(bus.write_enable),
            core.write_data.eq(bus.write_data),
            statistics.address.eq(bus.address),
            statistics.read.eq(bus.read_enable & (bus.region == Region.COUNTERS)),
        ]
        # Words come after as many cycles as their place takes, and all leave together.
        arriving: list[tuple[int, tuple[Region, ...], ValueLike]] = [
            (1, (Region.REGISTERS,), self._read_back(m, bus)),
            (Statistics.READ_LATENCY, (Region.COUNTERS,), statistics.word),
            (Sequencer.READ_LATENCY, (Region.PROGRAM,), sequencer.program_read),
            (core.read_latency, (Region.LFSR, *MEMORY_REGIONS), core.read_data),
        ]
        word: ValueLike = Const(0)
        region: Value = bus.region
        age = 0
        for latency, regions, own in sorted(arriving, key=lambda each: each[0]):
            word = delayed(m, word, latency - age) if age else word
            region, age = Value.cast(delayed(m, region, latency - age)), latency
            word = Mux(region.matches(*regions), own, word)
        m.d.sync += bus.read_data.eq(word)


def _written(bus: wiring.PureInterface, register: Register) -> Value:
    """Whether the host writes the register in this cycle."""
    return bus.write_enable & (bus.region == Region.REGISTERS) & (bus.address == register)
