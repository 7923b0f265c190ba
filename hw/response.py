"""The response unit: what a layer of spiking neurons makes of the currents of a batch.

    instruction --> walk --rows--> ACTIVATION --currents--> ring of neurons
                     |                                       | counts, then slopes
                     +--rows, round for round--+             v
                                               +--> words: << shift, << fraction --> ACTIVATION
"""

from itertools import pairwise

from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.activation import pipeline, registered
from hw.activity import while_active
from hw.array_unit import delayed
from hw.config import DeviceConfig
from hw.instruction import INSTRUCTION
from hw.layout import tiles
from hw.numbers import WORD_BITS
from hw.response_ring import COUNT_BITS, ResponseRing
from hw.response_walk import ResponseWalk, row_layout
from hw.tile_memory import TileMemory, TileRead, TileWrite

SHIFT_BITS = 4
"""Bits of the shift: no count needs more than 15."""

ARRIVAL = 1 + TileMemory.READ_LATENCY
"""Cycles from a row's place to its currents."""

DEPARTURE = 4
"""Cycles from a count to its word at the memory."""


class ResponseUnit(wiring.Component):
    """Executes RESPOND, to the bit as sim.golden.datapath.

    A row is L neurons of a sample; STAGES of them go round together, in as many rounds as there
    are steps. In one more their counts are written, and while the next ones enter, their slopes.
    With R = columns * ceil(rows / L) rows, from `start` to the first cycle that is not busy pass

        STAGES * (ceil(R / STAGES) * (depth + 1) + 1) + ARRIVAL + DEPARTURE + WRITE_LATENCY

    cycles. A result may take the place of the currents, row upon row.

    Parameters
    ----------
    config: the device's configuration

    Members
    -------
    instruction, start: a command, taken when not `busy`; the instruction holds still from `start`
        until `busy` is 0 again. Needs rows, columns >= 1, depth from 1 to 255, gate from 1 to
        32767 and shift up to 15
    busy: a command is under way, from the cycle after `start`; all words can be read in the first
        cycle that is not busy any more
    read, write: ACTIVATION, by rows

    Raises ValueError for a configuration without both halves.
    """

    def __init__(self, *, config: DeviceConfig) -> None:
        if not (config.supervised and config.spiking):
            raise ValueError(
                f"configuration {config.name!r} must have a supervised and a spiking half for a "
                "response unit; leave the unit out"
            )
        self.config = config
        activation = {"tiles": config.activation_tiles, "lanes": config.lanes}
        super().__init__(
            {
                "instruction": In(INSTRUCTION),
                "start": In(1),
                "busy": Out(1),
                "read": Out(TileRead(**activation)),
                "write": Out(TileWrite(**activation)),
            }
        )

    def cycles(self, *, rows: int, columns: int, depth: int) -> int:
        """Cycles from `start` to the first cycle that is not busy."""
        stages = ResponseRing.STAGES
        groups = tiles(columns * tiles(rows, self.config.lanes), stages)
        rest = ARRIVAL + DEPARTURE + TileMemory.WRITE_LATENCY
        return stages * (groups * (depth + 1) + 1) + rest

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.submodules.walk = walk = ResponseWalk(config=self.config)
        m.submodules.ring = ring = ResponseRing(lanes=self.config.lanes)
        begins = self.start & ~self.busy
        written = delayed(m, walk.ended, ARRIVAL + DEPARTURE)
        m.d.sync += self.busy.eq(begins | self.busy & ~written)
        m.d.comb += [
            walk.instruction.eq(self.instruction),
            walk.start.eq(begins),
            self.read.column.eq(0),
            ring.fresh.eq(delayed(m, walk.fresh, ARRIVAL)),
            ring.currents.eq(self.read.data),
        ]
        m.d.sync += [
            self.read.enable.eq(walk.row.there),
            self.read.tile.eq(walk.row.source),
            self.read.index.eq(walk.row.index),
            # There long before the first row is on the ring.
            ring.leak_shift.eq(self.instruction.leak_shift),
            ring.threshold.eq(self.instruction.gate),
        ]
        self._address(m, walk)
        self._words(m, walk, ring)
        return while_active(m, self.start | self.busy, platform, name="response")

    def _address(self, m: Module, walk: ResponseWalk) -> None:
        """Where the words of the row go that leaves the ring, which its place is ahead of."""
        layout, stages = row_layout(self.config), range(ResponseRing.STAGES)
        rows = [Signal(layout, name=f"row_{stage}") for stage in stages]
        leaving = rows[-1]
        m.d.sync += rows[0].eq(Mux(walk.fresh, walk.row, leaving))
        m.d.sync += [after.eq(before) for before, after in pairwise(rows)]
        i, lanes, port = self.instruction, self.config.lanes, self.write
        rest = (i.rows - 1)[: lanes.bit_length() - 1]
        ragged = Signal(lanes)
        m.d.sync += [bit.eq(rest >= lane) for lane, bit in enumerate(ragged)]
        there = leaving.there & (walk.fresh | walk.tally)
        mask = Mux(there, Mux(leaving.ragged, ragged, (1 << lanes) - 1), 0)
        tile = (Mux(walk.fresh, i.left_base, i.dest_base) + leaving.offset)[: len(port.tile)]
        m.d.comb += [
            port.mask.eq(delayed(m, mask, ARRIVAL + DEPARTURE)),
            port.tile.eq(delayed(m, tile, ARRIVAL + DEPARTURE)),
            port.index.eq(delayed(m, leaving.index, ARRIVAL + DEPARTURE)),
            port.column.eq(0),
        ]

    def _words(self, m: Module, walk: ResponseWalk, ring: ResponseRing) -> None:
        """min(count << shift, 32767) or min(slope << fraction, 32767), in DEPARTURE cycles."""
        i = self.instruction
        slopes = delayed(m, walk.fresh, ARRIVAL)
        shift = Mux(slopes, i.fraction, i.shift[:SHIFT_BITS])
        shifts = pipeline(m, shift, 2, "shift")
        largest = (1 << (WORD_BITS - 1)) - 1
        for lane in range(self.config.lanes):
            value = Mux(slopes, ring.slopes[lane], ring.counts[lane])
            value = registered(m, value, f"value_{lane}")
            value = registered(m, value << shifts[1][:2], f"shifted_{lane}")
            value = value << Cat(Const(0, 2), shifts[2][2:])
            value = registered(m, value[: COUNT_BITS + 15], f"wide_{lane}")
            word = Mux(value[WORD_BITS - 1 :].any(), largest, value[: WORD_BITS - 1])
            m.d.comb += self.write.data[lane].eq(registered(m, word, f"word_{lane}"))
