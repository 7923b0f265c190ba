"""The spiking half: its memories, and the unit of each of its commands, which run one at a time.

    instruction --> parameters --> RESET ENCODE | EXPAND | INTEGRATE | FIRE | CLIMB |
                        ^          PLASTICITY | SCALE
                        |                |     ^               | spikes
    host <--> STATE ----+----------------+-----+               v
              EVENTS <------------------------------------ recorder
    WEIGHT, INPUT, TARGET, LFSRs, multipliers <-> of the unit that runs
"""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.activity import while_active
from hw.climbing_fibre import ClimbingFibreUnit
from hw.config import DeviceConfig, region_tiles
from hw.encoder import EncoderUnit
from hw.granule import GranuleUnit
from hw.instruction import INSTRUCTION
from hw.integrator import Integrator
from hw.isa import Opcode, Region
from hw.layout import tiles
from hw.lfsr import STATE_BITS
from hw.neuron import NeuronUnit
from hw.numbers import WORD_BITS
from hw.products import Multipliers
from hw.reset_unit import ResetUnit
from hw.selection import by_number
from hw.spike_recorder import SpikeRecorder
from hw.spiking import PARAMETER_WORDS, FireFlag
from hw.spiking_ports import STATE_LATENCY
from hw.statistics import ReportSignature
from hw.stdp_unit import StdpUnit
from hw.tile_memory import TileHost, TileRead, TileWrite
from hw.vector_memory import HOST_LATENCY, EventMemory, StateMemory

RECORDED = (Opcode.ENCODE, Opcode.EXPAND, Opcode.FIRE, Opcode.CLIMB)
"""Commands that write a list of spikes."""


class SpikingUnit(wiring.Component):
    """Executes SPIKING_OPCODES but RESPOND, as sim.golden.spiking does, and holds STATE and EVENTS.

    It is busy for ceil(PARAMETER_WORDS / L) + OVERHEAD cycles with the parameters, and then until
    the command's unit and the recorder, which starts with the parameters, are both done.

    Parameters
    ----------
    config: the device's configuration, with a spiking half

    Members
    -------
    instruction, start: a command of SPIKING_OPCODES, taken when not `busy`; the instruction holds
        still from `start` until `busy` is 0 again. One that the configuration leaves out changes
        nothing
    busy: a command is under way, from the cycle after `start`; all words can be read in the first
        cycle that is not busy any more
    step: the time step, which holds still likewise
    input_base, target_base: first tile of the buffer in front, likewise
    weight_read, weight_write: WEIGHT, by row and by column
    input_read: INPUT, by row and by column
    target_read: TARGET, by column
    states, lfsr_step: of the LFSRs, as in LfsrBank
    state_host, event_host: the host's access to STATE (row * lanes + lane) and to EVENTS, while not
        `busy`; words come HOST_LATENCY cycles after their address
    synapses: L weights are read to be added up or changed in this cycle
    counted: a strobe of CLIMB, with what it adds to the counters: `samples` and `correct`, 0 or 1
    report: saturations of INTEGRATE, a strobe while `busy`

    Raises ValueError for a configuration without a spiking half.
    """

    HOST_LATENCY = HOST_LATENCY
    OVERHEAD = STATE_LATENCY + 1

    def __init__(self, *, config: DeviceConfig):
        if not config.spiking:
            raise ValueError(
                f"state_rows of configuration {config.name!r} must be at least 1 for a spiking "
                f"unit, not {config.state_rows}"
            )
        self.config = config
        self.state = StateMemory(config=config)
        self.events = EventMemory(config=config)
        # By numbers that let those with the same ports differ in few bits.
        self._units: dict[int, tuple[str, wiring.Component, tuple[Opcode, ...]]] = {
            0: ("encoder", EncoderUnit(config=config), (Opcode.ENCODE,)),
            1: ("neuron", NeuronUnit(config=config), (Opcode.FIRE,)),
            2: ("integrator", Integrator(config=config), (Opcode.INTEGRATE,)),
            3: ("climbing_fibre", ClimbingFibreUnit(config=config), (Opcode.CLIMB,)),
            5: ("plasticity", StdpUnit(config=config), (Opcode.PLASTICITY, Opcode.SCALE)),
            6: ("reset", ResetUnit(config=config), (Opcode.RESET,)),
        }
        if config.expansion_inputs:
            self._units[4] = ("granule", GranuleUnit(config=config), (Opcode.EXPAND,))
        region, lanes = region_tiles(config), config.lanes
        reads = {
            f"{which.name.lower()}_read": Out(TileRead(tiles=region[which], lanes=lanes))
            for which in (Region.WEIGHT, Region.INPUT, Region.TARGET)
        }
        super().__init__(
            {
                "instruction": In(INSTRUCTION),
                "start": In(1),
                "busy": Out(1),
                "step": In(WORD_BITS),
                "input_base": In(range(region[Region.INPUT])),
                "target_base": In(range(region[Region.TARGET])),
                **reads,
                "weight_write": Out(TileWrite(tiles=region[Region.WEIGHT], lanes=lanes)),
                "states": In(data.ArrayLayout(STATE_BITS, lanes)),
                "lfsr_step": Out(1),
                "state_host": In(TileHost(tiles=config.state_rows, rows=1, lanes=lanes)),
                "event_host": In(TileHost(tiles=config.event_words, rows=1, lanes=1)),
                "synapses": Out(1),
                "counted": Out(1),
                "samples": Out(1),
                "correct": Out(1),
                "report": Out(ReportSignature()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m, control = Module(), Module()
        m.submodules.state, m.submodules.events = self.state, self.events
        m.submodules.recorder = self._recorder = SpikeRecorder(config=self.config)
        for name, unit, _ in self._units.values():
            m.submodules[name] = unit
        connect(m, flipped(self.state_host), self.state.host)
        connect(m, flipped(self.event_host), self.events.host)
        self._number = Signal(range(max(self._units) + 1), name="number")
        self._parameters = Signal(PARAMETER_WORDS * WORD_BITS, name="parameters", reset_less=True)
        self._loading, self._starting = Signal(name="loading"), Signal(name="starting")
        self._row = Signal.like(self.state.read.row, name="parameter_row")
        self._control(control)
        m.submodules.control = while_active(
            control, self.start | self.busy, platform, name="control"
        )
        self._give(m)
        self._wire_memories(m)
        self._wire_recorder(m)
        self._wire_multipliers(m, platform)
        self._count(m)
        return m

    def _of_units(self, name: str) -> dict[int, Value]:
        """A member, such as "state_read.row", of every unit that has it, by their numbers."""
        values = {}
        port, *rest = name.split(".")
        for number, (_, unit, _) in self._units.items():
            if port in unit.signature.members:
                value = getattr(unit, port)
                for part in rest:
                    value = getattr(value, part)
                values[number] = Value.cast(value)
        return values

    def _any(self, name: str) -> Value:
        """Whether that of one is set; units that do not run have it at 0."""
        return reduce(or_, self._of_units(name).values())

    def _chosen(self, name: str) -> Value:
        """That of the unit that runs, which has it."""
        return by_number(self._number, self._of_units(name))

    def _control(self, m: Module) -> None:
        """Find the command's unit, load its parameters, start it, and wait for all to be done."""
        rows, events = tiles(PARAMETER_WORDS, self.config.lanes), self._recorder
        count = Signal(range(rows + STATE_LATENCY), name="count")
        known, records = Signal(name="known"), Signal(name="records")
        done, recorded = Signal(name="done"), Signal(name="recorded")
        with m.FSM():
            with m.State("REST"):
                m.d.sync += [count.eq(0), known.eq(0), records.eq(0), done.eq(0), recorded.eq(0)]
                m.d.sync += self._loading.eq(self.start)
                m.d.sync += self._row.eq(self.instruction.right_depth)
                with m.Switch(self.instruction.opcode):
                    for number, (_, _, opcodes) in self._units.items():
                        with m.Case(*opcodes):
                            m.d.sync += [self._number.eq(number), known.eq(1)]
                with m.Switch(self.instruction.opcode):
                    with m.Case(*RECORDED):
                        m.d.sync += records.eq(1)
                with m.If(self.start):
                    m.d.sync += self.busy.eq(1)
                    m.next = "LOAD"
            with m.State("LOAD"):
                m.d.comb += events.start.eq(records & known & (count == 0))
                m.d.sync += [count.eq(count + 1), self._row.eq(self._row + 1)]
                with m.If(count == rows - 1):
                    m.d.sync += self._loading.eq(0)
                with m.If(count >= STATE_LATENCY):
                    m.d.sync += self._parameters.eq(self._shifted())
                with m.If(count == rows + STATE_LATENCY - 1):
                    m.next = "START"
            with m.State("START"):
                m.d.comb += self._starting.eq(known)
                m.next = "RUN"
                with m.If(~known):
                    m.d.sync += self.busy.eq(0)
                    m.next = "REST"
            with m.State("RUN"):
                ended, listed = done | self._any("command.done"), recorded | events.done
                m.d.sync += [done.eq(ended), recorded.eq(listed)]
                with m.If(ended & (listed | ~records)):
                    m.d.sync += self.busy.eq(0)
                    m.next = "REST"

    def _shifted(self) -> Value:
        """The parameters when one more row of them has come: the first row ends up lowest."""
        words = Value.cast(self.state.read.data)[: len(self._parameters)]
        return Cat(self._parameters, words)[len(words) :]

    def _give(self, m: Module) -> None:
        """What the units work with, whichever of them does."""
        for number, (_, unit, _) in self._units.items():
            m.d.comb += [
                unit.command.start.eq(self._starting & (self._number == number)),
                unit.command.instruction.eq(self.instruction),
                unit.command.parameters.eq(self._parameters),
            ]
            for name in ("step", "input_base", "target_base", "states"):
                if name in unit.signature.members:
                    m.d.comb += getattr(unit, name).eq(getattr(self, name))

    def _wire_memories(self, m: Module) -> None:
        """Each port to the unit that runs; those of STATE and EVENTS are not only for units."""
        loading, recorder = self._loading, self._recorder.event_read
        self._wire(
            m,
            "state_read",
            self.state.read,
            enable=loading | self._any("state_read.enable"),
            row=Mux(loading, self._row, self._chosen("state_read.row")),
        )
        self._wire(
            m,
            "event_read",
            self.events.read,
            enable=recorder.enable | self._any("event_read.enable"),
            address=Mux(recorder.enable, recorder.address, self._chosen("event_read.address")),
        )
        m.d.comb += recorder.data.eq(self.events.read.data)
        connect(m, self._recorder.event_write, self.events.write)
        self._wire(m, "state_write", self.state.write)
        for name in ("weight_read", "weight_write", "input_read", "target_read"):
            self._wire(m, name, getattr(self, name))

    def _wire(self, m: Module, name: str, port: wiring.PureInterface, **given: Value) -> None:
        """Connect a memory's port to those of this name, but for the members that are given."""
        writes = "read" not in name
        for member in port.signature.members:
            own = Value.cast(getattr(port, member))
            if member == "data" and not writes:
                m.d.comb += [data.eq(own) for data in self._of_units(f"{name}.data").values()]
            elif member in given:
                m.d.comb += own.eq(given[member])
            elif member in ("enable", "mask"):
                m.d.comb += own.eq(self._any(f"{name}.{member}"))
            else:
                m.d.comb += own.eq(self._chosen(f"{name}.{member}"))

    def _wire_recorder(self, m: Module) -> None:
        i, recorder = self.instruction, self._recorder
        m.d.comb += [
            recorder.gate.eq(i.gate),
            recorder.append.eq((i.opcode == Opcode.FIRE) & (i.flags & FireFlag.APPEND).any()),
            recorder.spikes.valid.eq(self._any("spikes.valid")),
            Value.cast(recorder.spikes.payload).eq(self._chosen("spikes.payload")),
            *(ready.eq(recorder.spikes.ready) for ready in self._of_units("spikes.ready").values()),
        ]

    def _wire_multipliers(self, m: Module, platform: object) -> None:
        """The lanes' multipliers, to the unit that runs; a unit may leave the upper lanes alone."""
        multipliers = Multipliers(config=self.config)
        m.submodules.multipliers = while_active(
            multipliers, self.busy, platform, name="multipliers"
        )
        users = {
            number: unit.products
            for number, (_, unit, _) in self._units.items()
            if "products" in unit.signature.members
        }
        for lane in range(self.config.lanes):
            of_lane = {k: user for k, user in users.items() if lane < len(user.a)}
            for name in ("a", "b"):
                words = {k: getattr(user, name)[lane] for k, user in of_lane.items()}
                factor = getattr(multipliers.products, name)[lane]
                m.d.comb += factor.eq(by_number(self._number, words))
            m.d.comb += [
                user.product[lane].eq(multipliers.products.product[lane])
                for user in of_lane.values()
            ]

    def _count(self, m: Module) -> None:
        """Steps of the LFSRs, and what goes to the counters."""
        units = {name: unit for name, unit, _ in self._units.values()}
        climbing_fibre, integrator = units["climbing_fibre"], units["integrator"]
        connect(m, flipped(self.report), integrator.report)
        m.d.comb += [
            self.lfsr_step.eq(self._any("lfsr_step")),
            self.synapses.eq(self._any("busy")),
            self.counted.eq(climbing_fibre.command.done),
            self.samples.eq(1),
            self.correct.eq(climbing_fibre.correct),
        ]
