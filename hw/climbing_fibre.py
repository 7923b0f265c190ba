"""CLIMB: which outputs are wrong about the class, and by what sign their synapses are to change.

    TARGET --> class --> own? ---------------+-----------------+
                                             v                 v
    STATE --> row of currents --> y --> +y or -y --> < MARGIN? --> coefficient --> the same row
                   ^                    |                                |            |
                   |                    +--> > best? --> correct         |            +--> STATE
                   +-----------------------------------------------------+            +--> spikes

Outputs are few, so one is taken after the other: a row shifts its currents out at one end, and the
coefficients come in at the other.
"""

from amaranth.hdl import Cat, Elaboratable, Module, Mux, Signal, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.activity import while_active
from hw.config import DeviceConfig, region_tiles
from hw.isa import Region
from hw.layout import tiles
from hw.numbers import WORD_BITS
from hw.spiking import POPULATION_ROWS, ClimbingParameter, Variable
from hw.spiking_ports import STATE_LATENCY, Command, StateRead, StateWrite, spike_tile
from hw.tile_memory import TileMemory, TileRead

COEFFICIENT_STAGE = 2
"""Cycles from an output's current at the end of the row to its coefficient."""


class ClimbingFibreUnit(wiring.Component):
    """Executes CLIMB, to the bit as sim.golden.spiking.

    From `start` to `done`, where spikes are taken at once:

        LATENCY + (L + TILE_CYCLES) ceil(rows / L) cycles

    Parameters
    ----------
    config: the device's configuration

    Members
    -------
    command: CLIMB with rows >= 1
    target_base: first tile of the buffer in front
    target_read: TARGET, by column
    state_read, state_write: STATE
    spikes: of all tiles
    correct: with `done`, whether the first output with the largest current is that of the class
    """

    LATENCY = TileMemory.READ_LATENCY + 2
    TILE_CYCLES = STATE_LATENCY + 1 + COEFFICIENT_STAGE + 2

    def __init__(self, *, config: DeviceConfig):
        self.config = config
        lanes, target = config.lanes, region_tiles(config)[Region.TARGET]
        self._lane_bits = exact_log2(lanes)
        super().__init__(
            {
                "command": In(Command()),
                "target_base": In(range(target)),
                "target_read": Out(TileRead(tiles=target, lanes=lanes)),
                "state_read": Out(StateRead(config)),
                "state_write": Out(StateWrite(config)),
                "spikes": Out(stream.Signature(spike_tile(config))),
                "correct": Out(1),
            }
        )

    def cycles(self, *, rows: int) -> int:
        """Cycles from `start` to `done`, where spikes are taken at once."""
        lanes = self.config.lanes
        return self.LATENCY + tiles(rows, lanes) * (lanes + self.TILE_CYCLES)

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        self._names()
        self._walk(m)
        own, within = self._output(m)
        self._compare(m, own, within)
        self._shift(m, *self._coefficient(m, own, within))
        active = self.command.start | self._busy
        return while_active(m, active, platform, name="climbing", after=1)

    def _names(self) -> None:
        lanes = self.config.lanes
        self._busy = Signal(name="busy")
        # The row of currents arrives; it moves by an output.
        self._load, self._move = Signal(name="load"), Signal(name="move")
        # Cycles that a step of the walk has taken; while the row moves, the output at its end.
        self._count = Signal(range(max(lanes + COEFFICIENT_STAGE, TileMemory.READ_LATENCY + 1)))
        # As many tiles as populations have room in STATE.
        most = tiles(self.config.state_rows, POPULATION_ROWS)
        self._tile, self._last = Signal(range(most), name="tile"), Signal(name="last")
        self._label = Signal(signed(WORD_BITS), name="label", reset_less=True)
        self._row = Signal(lanes * WORD_BITS, name="row", reset_less=True)
        self._mask = Signal(lanes, name="mask", reset_less=True)

    def _walk(self, m: Module) -> None:
        """Label; then for each tile: read, move, write, spikes."""
        i, start, count = self.command.instruction, self.command.start, self._count
        target, read, write = self.target_read, self.state_read, self.state_write
        tile, place = Signal.like(target.tile), Signal.like(read.row)
        m.d.comb += [
            *(target.tile.eq(tile), target.index.eq(0), target.column.eq(1)),
            *(read.row.eq(place), write.row.eq(place), write.data.as_value().eq(self._row)),
            self.spikes.p.tile.eq(self._tile),
            self.spikes.p.mask.eq(self._mask),
            self.spikes.p.last.eq(self._last),
        ]
        end = (i.rows - 1)[self._lane_bits :][: len(self._tile)]
        m.d.sync += [count.eq(count + 1), self._last.eq(self._tile == end)]
        # From the row of currents to that of coefficients, and to the next one of currents.
        to_coefficients = Variable.COEFFICIENT - Variable.CURRENT
        with m.If(read.enable | write.enable):
            onward = Mux(read.enable, to_coefficients, POPULATION_ROWS - to_coefficients)
            m.d.sync += place.eq(place + onward)
        with m.FSM() as fsm:
            with m.State("REST"):
                m.d.sync += [
                    *(tile.eq(i.left_base + self.target_base), place.eq(i.dest_base)),
                    *(self._tile.eq(0), count.eq(0)),
                ]
                with m.If(start):
                    m.next = "LABEL"
            with m.State("LABEL"):
                m.d.comb += target.enable.eq(count == 0)
                with m.If(count == TileMemory.READ_LATENCY):
                    m.d.sync += [self._label.eq(target.data[0]), count.eq(0)]
                    m.next = "READ"
            with m.State("READ"):
                m.d.comb += read.enable.eq(count == 0)
                with m.If(count == STATE_LATENCY):
                    m.d.comb += self._load.eq(1)
                    m.d.sync += count.eq(0)
                    m.next = "MOVE"
            with m.State("MOVE"):
                m.d.comb += self._move.eq(1)
                with m.If(count == self.config.lanes + COEFFICIENT_STAGE - 1):
                    m.next = "WRITE"
            with m.State("WRITE"):
                m.d.comb += write.enable.eq(1)
                m.next = "SPIKES"
            with m.State("SPIKES"):
                m.d.comb += self.spikes.valid.eq(1)
                with m.If(self.spikes.ready):
                    m.d.sync += [count.eq(0), self._tile.eq(self._tile + 1)]
                    m.next = "READ"
                    with m.If(self._last):
                        m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.command.done.eq(1)
                m.next = "REST"
        m.d.comb += self._busy.eq(~fsm.ongoing("REST"))

    def _output(self, m: Module) -> tuple[Value, Value]:
        """Whether the output at the end of the row is that of the class, and is one at all."""
        lane, lane_bits = self._count[: self._lane_bits], self._lane_bits
        own_tile, own, within = Signal(name="own_tile"), Signal(name="own"), Signal(name="within")
        last_lane = (self.command.instruction.rows - 1)[:lane_bits]
        m.d.sync += own_tile.eq((self._label >> lane_bits) == self._tile)
        m.d.comb += [
            own.eq(own_tile & (lane == self._label[:lane_bits])),
            within.eq(
                self._move & ~self._count[lane_bits:].any() & (~self._last | (lane <= last_lane))
            ),
        ]
        return own, within

    def _compare(self, m: Module, own: Value, within: Value) -> None:
        """Whether the first of the largest currents so far is that of the class."""
        current = self._row[:WORD_BITS].as_signed()
        best, none = Signal(signed(WORD_BITS), name="best", reset_less=True), Signal(name="none")
        with m.If(self.command.start):
            m.d.sync += [none.eq(1), self.correct.eq(0)]
        with m.Elif(within & (none | (current > best))):
            m.d.sync += [none.eq(0), best.eq(current), self.correct.eq(own)]

    def _coefficient(self, m: Module, own: Value, within: Value) -> tuple[Value, Value]:
        """An output's coefficient, and whether it is not 0, COEFFICIENT_STAGE cycles later."""
        current, parameters = self._row[:WORD_BITS], self.command.parameters
        sided = Signal(signed(WORD_BITS + 1), name="sided", reset_less=True)
        flags, later = Signal(2, name="flags"), Signal(2, name="later")
        climbs, chosen = Signal(name="climbs"), Signal(WORD_BITS + 1, name="chosen")
        m.d.sync += [
            sided.eq((current ^ (~own).replicate(WORD_BITS)).as_signed() + ~own),
            flags.eq(Cat(own, within)),
            climbs.eq(sided < parameters[ClimbingParameter.MARGIN]),
            later.eq(flags),
        ]
        words = {
            which: Cat(parameters[which], parameters[which].any()) for which in ClimbingParameter
        }
        potentiation, depression = ClimbingParameter.POTENTIATION, ClimbingParameter.DEPRESSION
        sign = Mux(later[0], words[potentiation], words[depression])
        with m.If(later[1]):
            m.d.comb += chosen.eq(Mux(climbs, sign, words[ClimbingParameter.TONIC]))
        return chosen[:WORD_BITS], chosen[WORD_BITS]

    def _shift(self, m: Module, coefficient: Value, fires: Value) -> None:
        with m.If(self._load):
            m.d.sync += self._row.eq(self.state_read.data.as_value())
        with m.Elif(self._move):
            m.d.sync += [
                self._row.eq(Cat(self._row[WORD_BITS:], coefficient)),
                self._mask.eq(Cat(self._mask[1:], fires)),
            ]
