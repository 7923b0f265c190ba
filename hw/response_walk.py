"""The order of RESPOND: which row enters the ring of neurons in which cycle, and in which round.

    instruction --> rounds of STAGES cycles: fresh, steps ..., tally --> fresh, tally
          start --> rows: batch tiles, tiles of L neurons, samples ----> row
"""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.config import DeviceConfig
from hw.instruction import INSTRUCTION, used_bits
from hw.response_ring import COUNT_BITS, ResponseRing
from hw.tile_memory import TileRead


def row_layout(config: DeviceConfig) -> data.StructLayout:
    """A row of L neurons of a sample: tile of its currents, tile of results after the first one.

    `there` says whether there is one, `ragged` whether it is the sample's last.
    """
    tile = TileRead(tiles=config.activation_tiles, lanes=config.lanes).members["tile"].shape
    return data.StructLayout(
        {"there": 1, "source": tile, "offset": tile, "index": range(config.lanes), "ragged": 1}
    )


class ResponseWalk(wiring.Component):
    """The loops of RESPOND.

    The first row comes in the cycle after `start`. A group of up to STAGES rows takes depth + 1
    rounds of STAGES cycles; after the last group comes one more round.

    Parameters
    ----------
    config: the device's configuration

    Members
    -------
    instruction: holds still while `walking`
    start: a strobe, not while `walking`
    walking: from the cycle after `start`
    ended: a strobe in the last cycle
    fresh: a round whose rows enter; those of the group before leave
    tally: a round for which there is no time step any more
    row: the row that enters, in a fresh round
    """

    def __init__(self, *, config: DeviceConfig) -> None:
        self.config = config
        super().__init__(
            {
                "instruction": In(INSTRUCTION),
                "start": In(1),
                "walking": Out(1),
                "ended": Out(1),
                "fresh": Out(1),
                "tally": Out(1),
                "row": Out(row_layout(config)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rows_left = Signal()
        with m.If(self.start):
            m.d.sync += self.walking.eq(1)
        with m.Elif(self.ended):
            m.d.sync += self.walking.eq(0)
        self._walk_rounds(m, rows_left)
        last_of_tile, last_of_block = self._walk_rows(m, rows_left)
        self._place(m, last_of_tile, last_of_block)
        return m

    def _walk_rounds(self, m: Module, rows_left: Signal) -> None:
        """Fresh, depth - 1 further steps, tally, and again, until a round that has no rows."""
        last_stage = ResponseRing.STAGES - 1
        stage, steps_left = Signal(range(last_stage + 1)), Signal(COUNT_BITS)
        turn, empty = Signal(), Signal()
        depth = self.instruction.depth[:COUNT_BITS]
        m.d.comb += [
            turn.eq(stage == last_stage),
            self.ended.eq(self.walking & self.fresh & empty & turn),
        ]
        with m.If(~self.walking):
            m.d.sync += [stage.eq(0), self.fresh.eq(1), self.tally.eq(0), empty.eq(0)]
        with m.Elif(turn):
            m.d.sync += [
                stage.eq(0),
                self.fresh.eq(self.tally),
                self.tally.eq(Mux(self.fresh, depth == 1, ~self.tally & (steps_left == 1))),
                steps_left.eq(Mux(self.fresh, depth, steps_left) - 1),
                empty.eq(~rows_left),
            ]
        with m.Else():
            m.d.sync += stage.eq(stage + 1)

    def _walk_rows(self, m: Module, rows_left: Signal) -> tuple[Value, Value]:
        """Samples within tiles of neurons within batch tiles.

        Returns whether the row is a tile's last, and whether it is a batch tile's last too.
        """
        i, row, bits = self.instruction, self.row, used_bits(self.config)
        lane_bits = self.config.lanes.bit_length() - 1
        batch_bits = self.config.batch_lanes.bit_length() - 1
        last_neuron, last_sample = (i.rows - 1)[: bits["rows"]], (i.columns - 1)[: bits["columns"]]
        tile, last_tile = (Signal(bits["rows"] - lane_bits, name=n) for n in ("tile", "last_tile"))
        blocks_left, last_index = Signal(bits["columns"] - batch_bits), Signal(batch_bits)
        sample, last_of_tile, last_of_block = Signal(batch_bits), Signal(), Signal()
        final = blocks_left == 0
        m.d.comb += [
            row.there.eq(self.walking & self.fresh & rows_left),
            row.index.eq(sample),
            row.ragged.eq(tile == last_tile),
            last_of_tile.eq(sample == Mux(final, last_index, self.config.batch_lanes - 1)),
            last_of_block.eq(last_of_tile & row.ragged),
        ]
        with m.If(~self.walking):
            m.d.sync += [
                rows_left.eq(1),
                sample.eq(0),
                tile.eq(0),
                last_index.eq(last_sample),
                last_tile.eq(last_neuron[lane_bits:]),
                blocks_left.eq(last_sample[batch_bits:]),
            ]
        with m.Elif(row.there):
            m.d.sync += sample.eq(Mux(last_of_tile, 0, sample + 1))
            with m.If(last_of_tile):
                m.d.sync += tile.eq(Mux(row.ragged, 0, tile + 1))
            with m.If(last_of_block):
                m.d.sync += [blocks_left.eq(blocks_left - 1), rows_left.eq(~final)]
        return last_of_tile, last_of_block

    def _place(self, m: Module, last_of_tile: Value, last_of_block: Value) -> None:
        """Tiles of the row, each counted on from the first one of its batch tile."""
        i = self.instruction
        for tile, first, stride in (
            (self.row.source, i.right_base, i.right_outer),
            (self.row.offset, 0, i.dest_outer),
        ):
            now, block = Signal.like(tile), Signal.like(tile)
            following = (block + stride)[: len(tile)]
            m.d.comb += tile.eq(now)
            with m.If(~self.walking):
                m.d.sync += [now.eq(first), block.eq(first)]
            with m.Elif(self.row.there & last_of_block):
                m.d.sync += [now.eq(following), block.eq(following)]
            with m.Elif(self.row.there & last_of_tile):
                m.d.sync += now.eq(now + 1)
