"""Walks the passes of a LOSS command: which column to read in which cycle, and what it is for.

    instruction --> +--------------------------------------+ --> reads of OUTPUT, TARGET, DELTA
          start --> | batch tiles of B samples             | --> step: pass, first, last, ragged
                    |   passes PEAK, SUM, rest, DELTA, turn| --> the instruction's constants
    busy, done <--- |     classes: a column every cycle    |
                    +--------------------------------------+
"""

from enum import IntEnum

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.config import DeviceConfig, region_tiles
from hw.instruction import INSTRUCTION
from hw.isa import Loss, Region
from hw.tile_memory import TileRead

SHIFT_BITS = 5
"""Bits of the shift: no loss needs more than 31."""

LOSS_READS = (Region.OUTPUT, Region.TARGET, Region.DELTA)


class LossPass(IntEnum):
    """What the columns of a batch tile are read for."""

    PEAK = 0
    """The largest logit of each sample; cross-entropy only."""
    SUM = 1
    """The sum of a sample's exponentials, or of its squared differences."""
    DELTA = 2
    """The deltas."""


LOSS_STEP = data.StructLayout(
    dict.fromkeys(("peak", "sum", "delta", "first", "last", "ragged"), 1)
)
"""Strobes of a column that is read: its pass; it is the first, the last class; of the last tile."""


class LossWalk(wiring.Component):
    """The loops of LOSS.

    The first column is read in the cycle after `start`; `cycles` says when `done` comes.

    Parameters
    ----------
    config: the device's configuration
    rest: cycles without a column between SUM and DELTA, under mean squared error and under
        cross-entropy
    turn: cycles without a column after DELTA
    drain: cycles from the last column to `done`

    Members
    -------
    instruction, start: a command, taken when not `busy`; needs 1 <= rows <= max_outputs and
        columns >= 1
    busy: a command is under way
    done: strobe in the first cycle that is not busy any more
    target_base: first tile of TARGET's front buffer
    read_output, read_target, read_delta: Out(TileRead), the addresses of a step's columns
    step: what is read from OUTPUT, or instead from DELTA
    cross_entropy, class_target, shift, fraction, residual, samples, statistic: the command's
        constants
    """

    def __init__(self, *, config: DeviceConfig, rest: dict[Loss, int], turn: int, drain: int):
        for name, value in (("turn", turn), ("drain - 1", drain - 1)):
            if value < 1:
                raise ValueError(f"{name} of a loss walk must be at least 1, not {value}")
        if min(rest.values()) < 1:
            raise ValueError(f"rest of a loss walk must be at least 1, not {rest}")
        self.config = config
        self.rest = rest
        self.turn = turn
        self.drain = drain
        tiles = region_tiles(config)
        super().__init__(
            {
                "instruction": In(INSTRUCTION),
                "start": In(1),
                "busy": Out(1),
                "done": Out(1),
                "target_base": In(range(tiles[Region.TARGET])),
                **{
                    f"read_{region.name.lower()}": Out(
                        TileRead(tiles=tiles[region], lanes=config.lanes)
                    )
                    for region in LOSS_READS
                },
                "step": Out(LOSS_STEP),
                "cross_entropy": Out(1),
                "class_target": Out(1),
                "shift": Out(SHIFT_BITS),
                "fraction": Out(INSTRUCTION["fraction"].shape),
                "residual": Out(INSTRUCTION["gate"].shape),
                "samples": Out(INSTRUCTION["columns"].shape),
                "statistic": Out(INSTRUCTION["statistic"].shape),
            }
        )

    def cycles(self, *, rows: int, columns: int, loss: Loss) -> int:
        """Cycles from `start` to `done` of a command."""
        passes = 3 if loss == Loss.CROSS_ENTROPY else 2
        columns_read = passes * rows + self.rest[loss]
        batch_tiles = -(-columns // self.config.batch_lanes)
        return batch_tiles * (columns_read + self.turn) - self.turn + self.drain

    def elaborate(self, platform: object) -> Module:
        m = Module()
        now, class_number = Signal(LossPass), Signal(range(self.config.max_outputs))
        issue, last, tile_done = Signal(), Signal(), Signal()
        last_class = Signal.like(class_number)
        # Between commands all is ready for the next one: `start` comes late and lets it go only.
        load = Signal()
        m.d.comb += [load.eq(~self.busy), last.eq(class_number == last_class)]
        with m.If(load):
            m.d.sync += last_class.eq(self.instruction.rows - 1)
        with m.Elif(issue):
            m.d.sync += class_number.eq(Mux(last, 0, class_number + 1))
        self._keep(m, load, now)
        final = self._tiles(m, load, tile_done, class_number)
        self._sequence(m, now, issue, last, final, tile_done)

        exponentials, step = Signal(), self.step
        m.d.comb += [
            exponentials.eq(self.cross_entropy & (now == LossPass.DELTA)),
            self.read_output.enable.eq(issue & ~exponentials),
            self.read_target.enable.eq(issue & (~self.class_target | (class_number == 0))),
            self.read_delta.enable.eq(issue & exponentials),
            step.peak.eq(issue & (now == LossPass.PEAK)),
            step.sum.eq(issue & (now == LossPass.SUM)),
            step.delta.eq(issue & (now == LossPass.DELTA)),
            step.first.eq(issue & (class_number == 0)),
            step.last.eq(issue & last),
            step.ragged.eq(issue & final),
        ]
        return m

    def _keep(self, m: Module, load: Signal, now: Signal) -> None:
        """The constants of the command, which its instruction shows only when it starts."""
        i = self.instruction
        cross_entropy = i.activation == Loss.CROSS_ENTROPY
        with m.If(load):
            m.d.sync += [
                now.eq(Mux(cross_entropy, LossPass.PEAK, LossPass.SUM)),
                self.cross_entropy.eq(cross_entropy),
                self.class_target.eq(i.class_target | cross_entropy),
                self.shift.eq(i.shift),
                self.fraction.eq(i.fraction),
                self.residual.eq(i.gate),
                self.samples.eq(i.columns),
                self.statistic.eq(i.statistic),
            ]

    def _tiles(self, m: Module, load: Signal, tile_done: Signal, class_number: Signal) -> Signal:
        """Where the batch tile lies in each memory; returns whether it is the last one."""
        i = self.instruction
        batch_bits = self.config.batch_lanes.bit_length() - 1
        tiles_left = Signal(16 - batch_bits)
        with m.If(load):
            m.d.sync += tiles_left.eq((i.columns - 1)[batch_bits:16])
        with m.Elif(tile_done):
            m.d.sync += tiles_left.eq(tiles_left - 1)
        lane_bits = self.config.lanes.bit_length() - 1
        for port, first, stride in (
            (self.read_output, i.right_base, i.right_outer),
            (self.read_target, i.left_base + self.target_base, i.left_depth),
            (self.read_delta, i.dest_base, i.dest_outer),
        ):
            base = Signal(port.tile.shape(), name=f"{port.tile.name}_base")
            step = Signal(port.tile.shape(), name=f"{port.tile.name}_stride")
            m.d.comb += [
                port.tile.eq(base + class_number[lane_bits:]),
                port.index.eq(class_number),
                port.column.eq(1),
            ]
            with m.If(load):
                m.d.sync += [base.eq(first), step.eq(stride)]
            with m.Elif(tile_done):
                m.d.sync += base.eq(base + step)
        final = Signal()
        m.d.comb += final.eq(tiles_left == 0)
        return final

    def _sequence(
        self,
        m: Module,
        now: Signal,
        issue: Signal,
        last: Signal,
        final: Signal,
        tile_done: Signal,
    ) -> None:
        """The order of passes and pauses."""
        count = Signal(range(max(self.turn, self.drain, *self.rest.values())))
        first_pass = Mux(self.cross_entropy, LossPass.PEAK, LossPass.SUM)
        rest = Mux(
            self.cross_entropy, self.rest[Loss.CROSS_ENTROPY], self.rest[Loss.MEAN_SQUARED_ERROR]
        )
        m.d.sync += self.done.eq(0)
        with m.If(count != 0):
            m.d.sync += count.eq(count - 1)
        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.start):
                    m.d.sync += self.busy.eq(1)
                    m.next = "COLUMNS"
            with m.State("COLUMNS"):
                m.d.comb += issue.eq(1)
                with m.If(last):
                    with m.If(now == LossPass.PEAK):
                        m.d.sync += now.eq(LossPass.SUM)
                    with m.Elif(now == LossPass.SUM):
                        m.d.sync += [now.eq(LossPass.DELTA), count.eq(rest - 1)]
                        m.next = "REST"
                    with m.Else():
                        m.d.sync += [
                            now.eq(first_pass),
                            count.eq(Mux(final, self.drain - 2, self.turn - 1)),
                        ]
                        m.next = "TURN"
            with m.State("REST"):
                with m.If(count == 0):
                    m.next = "COLUMNS"
            with m.State("TURN"):
                with m.If(count == 0):
                    m.d.comb += tile_done.eq(1)
                    m.next = "COLUMNS"
                    with m.If(final):
                        m.d.sync += [self.done.eq(1), self.busy.eq(0)]
                        m.next = "IDLE"
