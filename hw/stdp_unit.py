"""PLASTICITY and SCALE: lines of WEIGHT read, changed and written back, L synapses a cycle.

    EVENTS --> walk --> WEIGHT, a row or column a cycle --> L lanes --> WEIGHT
                 |      STATE, traces alongside ------------^  |  ^
                 |      LFSRs ---------------------------------+  |
                 +----> STATE, a row's coefficient ---------------+
                                                  products --> factor of a row, in SCALE

SCALE goes over each row twice, first for its norm; its products are those of the same lanes.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, exact_log2

from hw.activity import while_active
from hw.config import DeviceConfig
from hw.isa import Opcode
from hw.lfsr import STATE_BITS
from hw.numbers import WORD_BITS
from hw.spiking import (
    POPULATION_ROWS,
    PlasticityFlag,
    ScaleFlag,
    SynapseParameter,
    Variable,
)
from hw.spiking_ports import STATE_LATENCY, Command, EventRead, StateRead
from hw.synapse_lane import (
    LATE,
    SUM,
    SYNAPSE_MODE,
    WEIGHT,
    WRITE,
    Subtrahend,
    SynapseLane,
)
from hw.synapse_walk import SynapseWalk
from hw.synaptic_scaling import RowFactor, empty_cycles, factor_cycles
from hw.tile_memory import TileRead, TileWrite
from hw.update_schedule import Kept, Line


class StdpUnit(wiring.Component):
    """Changes lines of weights by a rule of spikes, or scales rows of them to the same norm.

    PLASTICITY takes a cycle for each vector of L weights, without a gap, or with OWN_COEFFICIENT
    with one of 1 cycle before each row, and OVERHEAD cycles more. SCALE takes EMPTY cycles, and
    `row_cycles` for each row. An empty list takes EMPTY cycles.

    A vector is written WRITE cycles after it was read: a list must not name a line twice.

    Parameters
    ----------
    config: the device's configuration

    Members
    -------
    command: PLASTICITY or SCALE
    event_read: the list
    state_read: traces, and the coefficients of neurons
    weight_read, weight_write: by row and by column
    states, lfsr_step: of the LFSRs, as in hw.lfsr.LfsrBank: a step for every vector of PLASTICITY
    busy: L weights are read to be changed by PLASTICITY in this cycle
    """

    EMPTY = SynapseWalk.EMPTY
    OVERHEAD = SynapseWalk.FIRST_READ + WRITE - 1

    def __init__(self, *, config: DeviceConfig):
        self.config = config
        shape = {"tiles": config.weight_tiles, "lanes": config.lanes}
        super().__init__(
            {
                "command": In(Command()),
                "event_read": Out(EventRead(config)),
                "state_read": Out(StateRead(config)),
                "weight_read": Out(TileRead(**shape)),
                "weight_write": Out(TileWrite(**shape)),
                "states": In(data.ArrayLayout(STATE_BITS, config.lanes)),
                "lfsr_step": Out(1),
                "busy": Out(1),
            }
        )

    def row_cycles(self, vectors: int, *, euclidean: bool, shift: int, empty: bool) -> int:
        """Cycles of SCALE for a row of so many vectors; `empty`: its norm is 0."""
        norm = SynapseWalk.RESUMED + vectors - 1 + SUM
        if empty:
            return norm + empty_cycles(self.config)
        factor = factor_cycles(self.config, euclidean=euclidean, shift=shift)
        return norm + factor + SynapseWalk.RESUMED + vectors - 1 + WRITE

    def elaborate(self, platform: object) -> Module:
        outer, m = Module(), Module()
        running = Signal(name="running")
        outer.d.sync += running.eq((running | self.command.start) & ~self.command.done)
        outer.submodules.unit = while_active(
            m, self.command.start | running, platform, name="plasticity"
        )
        m.submodules.walk = walk = SynapseWalk(config=self.config)
        m.submodules.factor = factor = RowFactor(config=self.config)
        line = Line(m, 1)
        self._at = {
            name: Kept(line, getattr(walk, name), 0, name, reset=True)
            for name in ("read", "ends", "moves", "announces")
        }
        self._index = Kept(line, walk.index, 0, "index")
        self._decode(m)
        self._walk(m, walk)
        self._read_state(m, line, walk, factor)
        lanes = self._lanes(m)
        self._write(m, line, lanes)
        self._scale(m, walk, factor, lanes)
        return outer

    def _decode(self, m: Module) -> None:
        """What the command is, from registers; all hold still from the first read on."""
        instruction, parameters = self.command.instruction, self.command.parameters
        lower, upper = (
            parameters[which] for which in (SynapseParameter.LOWER, SynapseParameter.UPPER)
        )

        def flag(which: PlasticityFlag | ScaleFlag) -> Value:
            return (instruction.flags & which).any()

        self._scales, self._by_row = Signal(name="scales"), Signal(name="by_row")
        self._listed, self._own = Signal(name="listed"), Signal(name="own")
        self._norm, self._mode = Signal(name="norm"), Signal(SYNAPSE_MODE, name="mode")
        self._bound = Signal(signed(WORD_BITS), name="bound")
        self._crossed = Signal(name="crossed")
        self._tail = Signal(self.config.lanes, name="tail")
        scales, mode = instruction.opcode == Opcode.SCALE, self._mode
        to_upper, to_lower = flag(PlasticityFlag.TO_UPPER), flag(PlasticityFlag.TO_LOWER)
        by_row, own = flag(PlasticityFlag.BY_ROW), flag(PlasticityFlag.OWN_COEFFICIENT)
        difference = flag(PlasticityFlag.DIFFERENCE)
        weight = Mux(to_upper | to_lower, Subtrahend.EARLY, Subtrahend.LATE)
        length = Mux(self._by_row, instruction.columns, instruction.rows)
        rest = length[: exact_log2(self.config.lanes)]
        m.d.sync += [
            self._scales.eq(scales),
            self._by_row.eq(scales | by_row),
            self._listed.eq(~scales | flag(ScaleFlag.LISTED)),
            self._own.eq(~scales & by_row & own),
            mode.soft.eq(~scales & (to_upper | to_lower)),
            mode.subtrahend.eq(
                Mux(scales, Subtrahend.LATE_ADDED, Mux(difference, weight, Subtrahend.NOTHING))
            ),
            mode.to_upper.eq(~scales & to_upper),
            mode.euclidean.eq(flag(ScaleFlag.EUCLIDEAN)),
            mode.norm.eq(self._norm),
            mode.scaling.eq(self._scales & ~self._norm),
            self._bound.eq(Mux(self._norm, -1, Mux(mode.to_upper, upper, ~lower))),
            self._crossed.eq(lower > upper),
            self._tail.eq(Cat(~rest.any() | (k < rest) for k in range(self.config.lanes))),
        ]
        with m.If(self.command.start):
            m.d.sync += self._norm.eq(scales)

    def _walk(self, m: Module, walk: SynapseWalk) -> None:
        """The walk and what it reads of EVENTS and WEIGHT."""
        read, event = self.weight_read, self.event_read
        m.d.comb += [
            walk.instruction.eq(self.command.instruction),
            walk.start.eq(self.command.start),
            walk.by_row.eq(self._by_row),
            walk.announced.eq(self._own),
            walk.listed.eq(self._listed),
            walk.alone.eq(self._scales),
            event.enable.eq(walk.event_read.enable),
            event.address.eq(walk.event_read.address),
            walk.event_read.data.eq(event.data),
            read.enable.eq(walk.read),
            read.tile.eq(walk.tile),
            read.index.eq(walk.index),
            read.column.eq(~self._by_row),
            self.busy.eq(walk.read & ~self._scales),
        ]

    def _when(self, kept: Kept, early: int) -> Value:
        """A value in its vector's cycle `early`, or as much later as traces are read later."""
        return Mux(self._mode.soft, kept.at(early), kept.at(early + LATE - WEIGHT))

    def _read_state(
        self, m: Module, line: Line, walk: SynapseWalk, factor: RowFactor
    ) -> None:
        """A row of traces for every vector, and a row's coefficient before its first one."""
        instruction, at, port = self.command.instruction, self._at, self.state_read
        before = WEIGHT - STATE_LATENCY - 1
        reads = self._when(at["read"], before) & ~self._scales
        announces = self._when(at["announces"], before)
        moves = self._when(at["moves"], before)
        groups = walk.group[: bits_for((self.config.state_rows - 1) // POPULATION_ROWS)]
        group = Kept(line, groups, -SynapseWalk.GROUP_LEAD, "group")
        variable = Const(Variable.COEFFICIENT, bits_for(POPULATION_ROWS - 1))
        coefficient = Cat(variable, self._when(group, before))
        enable, row = Signal(name="reads_state"), Signal.like(port.row, name="row")
        start = Mux(announces, instruction.dest_base, instruction.right_base)
        step = Mux(announces, coefficient, Mux(moves, 1 << instruction.leak_shift, 0))
        m.d.sync += enable.eq(reads | announces)
        with m.If(reads | announces):
            m.d.sync += row.eq(Mux(moves, row, start) + step)
        m.d.comb += [port.enable.eq(enable), port.row.eq(row)]

        self._coefficient = Signal(signed(WORD_BITS), name="coefficient", reset_less=True)
        announced = self._when(at["announces"], WEIGHT)
        own = port.data[self._when(self._index, WEIGHT)]
        with m.If(self.command.start):
            parameters = self.command.parameters
            m.d.sync += self._coefficient.eq(parameters[SynapseParameter.COEFFICIENT])
        with m.Elif(announced):
            m.d.sync += self._coefficient.eq(own)
        with m.Elif(self._scales):
            m.d.sync += self._coefficient.eq(factor.factor)

    def _lanes(self, m: Module) -> list[SynapseLane]:
        parameters = self.command.parameters
        off = Signal(self.config.lanes, name="off")
        ends = self._at["ends"].at(LATE - 1)
        m.d.sync += off.eq(Mux(self._norm & ends, ~self._tail, 0))
        lanes = []
        for k in range(self.config.lanes):
            lane = SynapseLane(config=self.config)
            m.submodules[f"lane_{k}"] = lane
            m.d.comb += [
                lane.mode.eq(self._mode),
                lane.weight.eq(self.weight_read.data[k]),
                lane.trace.eq(self.state_read.data[k]),
                lane.coefficient.eq(self._coefficient),
                lane.off.eq(off[k]),
                lane.random.eq(self.states[k][STATE_BITS - WORD_BITS :]),
                lane.bound.eq(self._bound),
                lane.lower.eq(parameters[SynapseParameter.LOWER]),
                lane.upper.eq(parameters[SynapseParameter.UPPER]),
                lane.crossed.eq(self._crossed),
            ]
            lanes.append(lane)
        return lanes

    def _write(self, m: Module, line: Line, lanes: list[SynapseLane]) -> None:
        """Changed weights back to where they came from, but for lanes beyond the line's end."""
        at, port = self._at, self.weight_write
        mask = Signal(self.config.lanes, name="mask")
        changed = at["read"].at(WRITE - 1) & ~self._mode.norm
        there = Mux(at["ends"].at(WRITE - 1), self._tail, -1)
        tile = Kept(line, self.weight_read.tile, 0, "tile")
        m.d.sync += mask.eq(Mux(changed, there, 0))
        m.d.comb += [
            port.mask.eq(mask),
            port.tile.eq(tile.at(WRITE)),
            port.index.eq(self._index.at(WRITE)),
            port.column.eq(~self._by_row),
            *(port.data[k].eq(lane.word) for k, lane in enumerate(lanes)),
            self.lfsr_step.eq(at["read"].at(SUM) & ~self._scales),
        ]

    def _scale(
        self, m: Module, walk: SynapseWalk, factor: RowFactor, lanes: list[SynapseLane]
    ) -> None:
        """From the norm of a row to its factor, to its second pass, to the next row."""
        at, instruction = self._at, self.command.instruction
        written = at["read"].at(WRITE) & at["ends"].at(WRITE) & self._mode.scaling
        found, ready = factor.done & ~factor.empty, Signal(name="row_ready")
        m.d.comb += [
            factor.take.eq(at["read"].at(SUM) & self._mode.norm),
            factor.last.eq(at["ends"].at(SUM)),
            factor.euclidean.eq(self._mode.euclidean),
            factor.wanted.eq(self.command.parameters[SynapseParameter.NORM]),
            factor.shift.eq(instruction.shift),
            *(factor.products[k].eq(lane.product) for k, lane in enumerate(lanes)),
            ready.eq(written | (factor.done & factor.empty)),
            walk.proceed.eq(found | (ready & ~walk.outermost)),
            walk.again.eq(found),
        ]
        with m.If(found):
            m.d.sync += self._norm.eq(0)
        with m.Elif(ready):
            m.d.sync += self._norm.eq(1)
        # Vectors of PLASTICITY follow each other, with an announcement between them at most.
        follows = at["read"].at(WRITE - 1) | at["read"].at(WRITE - 2)
        ended = at["read"].at(WRITE) & ~follows & ~self._scales
        m.d.comb += self.command.done.eq(walk.empty | ended | (ready & walk.outermost))
