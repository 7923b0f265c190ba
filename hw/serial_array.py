"""Carries out FORWARD, BACKWARD and GRADIENT in a device that does one thing after the other.

    walk --> reads of both operands --> MAC --> sums, one by one --> epilogue --> write
                                                                        |
                                       WEIGHT word --> update unit <----+ gradient
                                                            +----------------------> weight_write

The operands of a tile are multiplied, then each of its sums is worked on, then the next tile's
operands come.
"""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.config import DeviceConfig, region_tiles
from hw.instruction import INSTRUCTION
from hw.isa import WEIGHT_STATISTICS, Opcode, Region
from hw.serial_epilogue import SerialEpilogue
from hw.serial_mac import SerialMac
from hw.serial_update import SerialUpdateUnit
from hw.serial_walk import SerialWalk
from hw.skewed_memory import SkewedMemory, VectorRead
from hw.statistics import ReportSignature, Statistics, amount_bits
from hw.tile_memory import WordWrite, words

GAP_BITS = (Statistics.REPORT_GAP - 1).bit_length()
"""The reports of a command are as many cycles apart as there are numbers of so many bits."""

UPDATE_PORTS = (
    *("rate", "rate_shift", "decay", "decay_shift"),
    *("lfsr_address", "lfsr_write", "lfsr_write_data", "lfsr_read_data"),
)
"""Members that are those of the update unit."""


class SerialArray(wiring.Component):
    """One command at a time, one tile at a time, one sum at a time.

    Members
    -------
    instruction, start: a command, taken when `ready`; it holds still until `retire`
    ready: nothing is under way
    retire: a strobe when all results of the command can be read
    busy: operands are read in this cycle
    left, right: Out(VectorRead), of the operands while `busy`. In other cycles `left` asks for
        the weight to be updated and `right` for the output that gates, each as the first word
    left_words, right_words: In, what was asked for, SkewedMemory.READ_LATENCY cycles later
    write, weight_write: Out(WordWrite), of results; into WEIGHT, where `left` asks for the weight
        in that cycle too
    write_ready: In, whether `write` is taken in this cycle
    report: saturations; of GRADIENT one after the other in the order of WEIGHT_STATISTICS
    and those of the update unit in UPDATE_PORTS
    """

    def __init__(self, *, config: DeviceConfig):
        self.config = config
        self._walk = SerialWalk(config=config)
        self._update = SerialUpdateUnit(config=config, read_latency=SkewedMemory.READ_LATENCY)
        lanes, batch_lanes = config.lanes, config.batch_lanes
        tiles, sample_tiles = (1 << len(tile) for tile in (self._walk.dest, self._walk.gate))
        super().__init__(
            {
                "instruction": In(INSTRUCTION),
                "start": In(1),
                "ready": Out(1),
                "retire": Out(1),
                "busy": Out(1),
                "left": Out(VectorRead(tiles=tiles, lanes=lanes)),
                "right": Out(VectorRead(tiles=sample_tiles, lanes=lanes)),
                "left_words": In(words(lanes)),
                "right_words": In(words(batch_lanes)),
                "write": Out(WordWrite(tiles=sample_tiles, rows=batch_lanes, lanes=lanes)),
                "write_ready": In(1),
                "weight_write": Out(
                    WordWrite(tiles=region_tiles(config)[Region.WEIGHT], rows=lanes, lanes=lanes)
                ),
                "report": Out(ReportSignature()),
                **{name: self._update.signature.members[name] for name in UPDATE_PORTS},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, i = self.config, self.instruction
        m.submodules.walk = walk = self._walk
        m.submodules.mac = mac = SerialMac(config=config)
        m.submodules.epilogue = epilogue = SerialEpilogue(config=config)
        m.submodules.update = self._update
        gradient = i.opcode == Opcode.GRADIENT
        row, column = Signal(range(config.lanes)), Signal(range(config.batch_lanes))
        self._reporting = Signal(GAP_BITS + 2, name="reporting")
        self._ended = Signal(name="ended")
        finished = Signal()
        m.d.comb += [
            walk.instruction.eq(i),
            walk.step.eq(self.busy),
            mac.row.eq(row),
            mac.column.eq(column),
            mac.left.eq(self.left_words),
            mac.right.eq(self.right_words),
            epilogue.total.eq(mac.total),
            epilogue.opcode.eq(i.opcode),
            epilogue.activation.eq(i.activation),
            epilogue.shift.eq(i.shift),
            epilogue.leak_shift.eq(i.leak_shift),
            epilogue.positive.eq(self.right_words[0] > 0),
        ]
        m.d.sync += mac.valid.eq(self.busy)
        last_row = row == config.lanes - 1
        last_column = (column == config.batch_lanes - 1) | (walk.columns == column + 1)
        with m.If(finished):
            m.d.sync += row.eq(row + 1)
            with m.If(last_row):
                m.d.sync += column.eq(Mux(last_column, 0, column + 1))
        self._sequence(m, gradient, finished, last_row & last_column)

        there = row < walk.rows
        weight_column = Cat(column, walk.block)
        self._address(m, gradient, row, column, weight_column)
        m.d.comb += [
            self.write.tile.eq(walk.dest),
            self.write.row.eq(column),
            self.write.column.eq(row),
            self.write.data.eq(epilogue.value),
        ]
        with m.If(~there):
            m.d.comb += self.write.enable.eq(0)
        self._update_weight(m, there, row, weight_column)
        self._count(m, finished & there)
        return m

    def _sequence(self, m: Module, gradient: Value, finished: Signal, last: Value) -> None:
        """The order of things."""
        walk, epilogue, update = self._walk, m.submodules.epilogue, self._update
        flush = Signal(range(SerialMac.LATENCY))
        m.d.comb += m.submodules.mac.clear.eq(walk.enter)
        with m.FSM():
            with m.State("REST"):
                m.d.comb += [self.ready.eq(1), walk.start.eq(self.start)]
                with m.If(self.start):
                    m.next = "TILE"
            with m.State("TILE"):
                m.d.comb += walk.enter.eq(1)
                m.next = "READ"
            with m.State("READ"):
                m.d.comb += self.busy.eq(1)
                with m.If(walk.last):
                    m.next = "FLUSH"
            with m.State("FLUSH"):
                m.d.sync += flush.eq(flush + 1)
                with m.If(flush == SerialMac.LATENCY - 1):
                    m.d.sync += flush.eq(0)
                    m.next = "SUM"
            with m.State("SUM"):
                m.d.comb += epilogue.start.eq(1)
                m.next = "NARROW"
            with m.State("NARROW"):
                with m.If(epilogue.done):
                    m.next = "WRITE"
                    with m.If(gradient):
                        m.d.comb += update.valid.eq(1)
                        m.next = "UPDATE"
            with m.State("WRITE"):
                m.d.comb += [self.write.enable.eq(1), finished.eq(self.write_ready)]
                self._go_on(m, finished, last)
            with m.State("UPDATE"):
                m.d.comb += finished.eq(update.done)
                self._go_on(m, finished, last)
            with m.State("REPORT"):
                m.d.comb += self._ended.eq(1)
                m.d.sync += self._reporting.eq(self._reporting + 1)
                last_report = len(WEIGHT_STATISTICS) - 1
                with m.If(~gradient | (self._reporting == last_report << GAP_BITS)):
                    m.d.sync += self._reporting.eq(0)
                    m.d.comb += self.retire.eq(1)
                    m.next = "REST"

    def _go_on(self, m: Module, finished: Value, last: Value) -> None:
        """With the next sum, the next tile or the next command."""
        with m.If(finished):
            m.next = "SUM"
            with m.If(last):
                m.d.comb += self._walk.advance.eq(1)
                m.next = "TILE"
                with m.If(self._walk.final):
                    m.next = "REPORT"

    def _address(
        self, m: Module, gradient: Value, row: Signal, column: Signal, weight_column: Value
    ) -> None:
        """Operands while they are read, single words otherwise."""
        walk, left, right = self._walk, self.left, self.right
        first = walk.block << exact_log2(self.config.batch_lanes)
        with m.If(self.busy):
            m.d.comb += [
                left.tile.eq(walk.left_tile),
                left.index.eq(walk.index),
                left.column.eq(self.instruction.opcode == Opcode.FORWARD),
                right.tile.eq(walk.right_tile),
                right.index.eq(walk.index),
                right.column.eq(~gradient),
                right.offset.eq(Mux(gradient, first, 0)),
            ]
        with m.Else():
            m.d.comb += [
                left.tile.eq(walk.dest),
                left.index.eq(row),
                left.offset.eq(weight_column),
                right.tile.eq(walk.gate),
                right.index.eq(column),
                right.offset.eq(row),
            ]

    def _update_weight(self, m: Module, there: Value, row: Signal, column: Value) -> None:
        update = self._update
        m.d.comb += [
            update.gradient.eq(m.submodules.epilogue.value),
            update.there.eq(there),
            update.tile.eq(self._walk.dest),
            update.row.eq(row),
            update.column.eq(column),
            update.weight.eq(self.left_words[0]),
        ]
        wiring.connect(m, update.weight_write, wiring.flipped(self.weight_write))
        for name in UPDATE_PORTS:
            ports = [getattr(update, name), getattr(self, name)]
            if self.signature.members[name].flow == Out:
                ports.reverse()
            m.d.comb += ports[0].eq(ports[1])

    def _count(self, m: Module, counted: Value) -> None:
        """Saturations of the command; those of the update unit only in GRADIENT."""
        update = self._update
        sources = (
            (m.submodules.epilogue.saturated, counted),
            (update.momentum_saturated, update.done),
            (update.weight_saturated, update.done),
        )
        totals = []
        for k, (saturated, valid) in enumerate(sources):
            total = Signal(amount_bits(self.config), name=f"total_{k}")
            with m.If(self.retire):
                m.d.sync += total.eq(0)
            with m.Elif(valid & saturated):
                m.d.sync += total.eq(total + 1)
            totals.append(total)
        which = self._reporting[GAP_BITS:]
        m.d.comb += [
            self.report.valid.eq(self._ended & (self._reporting[:GAP_BITS] == 0)),
            self.report.statistic.eq(self.instruction.statistic + which),
            self.report.amount.eq(Array(totals)[which]),
        ]
