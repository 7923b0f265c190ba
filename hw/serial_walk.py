"""Walks the tiles of an array command, in a device that does one thing after the other.

    instruction --> +-----------------------------+ --> left, right: tile, index of a read
        advance --> | outer: B-axis tiles         | --> place of the tile that is worked on
           step --> |   inner: L-axis tiles       |
                    |     k: depth                | --> last read, last tile
                    +-----------------------------+

The instruction holds still, so that nothing of it is copied.
"""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.config import DeviceConfig
from hw.instruction import INSTRUCTION, used_bits
from hw.isa import Opcode


class SerialWalk(wiring.Component):
    """The loops of FORWARD, BACKWARD and GRADIENT; one read of each operand a cycle.

    Members
    -------
    instruction: the command, from `start` until after its last tile
    start: go to the first tile
    advance: go to the next tile; after the last one it means nothing
    enter: go to the first read of the tile, in the cycle after `start` or `advance` or later
    step: go to the next read
    left_tile, right_tile, index: of the read
    last: it is the last one of the tile
    dest, gate: tiles of the result and of the output that gates it
    block: which B of the L columns of a tile of weights GRADIENT works on
    rows, columns: that are left from the tile on
    final: it is the last tile
    """

    def __init__(self, *, config: DeviceConfig):
        self.config = config
        bits = used_bits(config)
        tile, sample_tile = bits["left_base"], bits["right_base"]
        super().__init__(
            {
                "instruction": In(INSTRUCTION),
                "start": In(1),
                "advance": In(1),
                "enter": In(1),
                "step": In(1),
                "left_tile": Out(tile),
                "right_tile": Out(sample_tile),
                "index": Out(exact_log2(config.lanes)),
                "last": Out(1),
                "dest": Out(tile),
                "gate": Out(sample_tile),
                "block": Out(range(config.lanes // config.batch_lanes)),
                "rows": Out(bits["rows"]),
                "columns": Out(bits["columns"]),
                "final": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        gradient = self.instruction.opcode == Opcode.GRADIENT
        left, right = self._tiles(m, gradient)
        self._depth(m, gradient, left, right)
        return m

    def _tiles(self, m: Module, gradient: Value) -> tuple[Signal, Signal]:
        """The two outer loops; returns the first tiles of both operands."""
        i, config = self.instruction, self.config
        left, right = Signal.like(self.left_tile), Signal.like(self.right_tile)
        # Of the first tile in this column of tiles, and how far the gate is from the result.
        dest, distance = Signal.like(self.dest), Signal.like(self.gate)
        last_block = ~gradient | (self.block == config.lanes // config.batch_lanes - 1)
        more_rows, more_columns = Signal(), Signal()
        m.d.comb += [
            more_rows.eq(self.rows > config.lanes),
            more_columns.eq(self.columns > config.batch_lanes),
            self.final.eq(~more_rows & ~more_columns),
            self.gate.eq(self.dest + distance),
        ]
        with m.If(self.start):
            m.d.sync += [
                left.eq(i.left_base),
                right.eq(i.right_base),
                self.dest.eq(i.dest_base),
                dest.eq(i.dest_base),
                distance.eq(i.gate - i.dest_base),
                self.rows.eq(i.rows),
                self.columns.eq(i.columns),
                self.block.eq(0),
            ]
        with m.Elif(self.advance & more_rows):
            m.d.sync += [
                left.eq(left + i.left_inner),
                self.dest.eq(self.dest + i.dest_inner),
                self.rows.eq(self.rows - config.lanes),
            ]
        with m.Elif(self.advance):
            following = dest + Mux(last_block, i.dest_outer, 0)
            m.d.sync += [
                left.eq(i.left_base),
                right.eq(right + Mux(last_block, i.right_outer, 0)),
                self.dest.eq(following),
                dest.eq(following),
                self.rows.eq(i.rows),
                self.columns.eq(self.columns - config.batch_lanes),
                self.block.eq(Mux(last_block, 0, self.block + 1)),
            ]
        return left, right

    def _depth(self, m: Module, gradient: Value, left: Signal, right: Signal) -> None:
        """The innermost loop: a depth tile is B samples in GRADIENT, L features otherwise."""
        i = self.instruction
        remaining = Signal(used_bits(self.config)["depth"])
        samples = self.index[: exact_log2(self.config.batch_lanes)].all()
        wrap = Mux(gradient, samples, self.index.all())
        m.d.comb += self.last.eq(remaining == 1)
        with m.If(self.enter):
            m.d.sync += [
                remaining.eq(i.depth),
                self.index.eq(0),
                self.left_tile.eq(left),
                self.right_tile.eq(right),
            ]
        with m.Elif(self.step):
            m.d.sync += [remaining.eq(remaining - 1), self.index.eq(self.index + 1)]
            with m.If(wrap):
                m.d.sync += [
                    self.index.eq(0),
                    self.left_tile.eq(self.left_tile + i.left_depth),
                    self.right_tile.eq(self.right_tile + i.right_depth),
                ]
