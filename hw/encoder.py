"""ENCODE: a time step of a population of inputs, its spikes and their traces, one after the other.

    INPUT --+--> lane --[x]--> x factor --> >> --[+ fraction, - random, - time]--> spikes
    STATE --+                                    [+ increment, + 1]--> limit --[row]--> STATE

`sim.golden.spiking` is the arithmetic. A tile of L inputs goes three times through one path: its
intensities, its traces and its counts, the latter two times 1 + decay and 1. Cycles of a tile, of
which PERIOD pass until the next one begins:

    0       intensities enter, until L
    6       their fractions or random numbers meet them; the traces enter at L + 6
    L + 8   fractions are written, spikes told; the counts enter at 2 L + 6
    2L + 14 traces are written
    3L + 14 counts are written

An element enters, is multiplied 1 cycle later, shifted 4 and 5, limited 6, added 7, told from the
others 8.
"""

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.activity import while_active
from hw.config import DeviceConfig, region_tiles
from hw.isa import Region
from hw.layout import tiles
from hw.lfsr import STATE_BITS
from hw.neuron import UNITY
from hw.numbers import WORD_BITS, WORD_MIN
from hw.products import PRODUCT_LATENCY, Products
from hw.spiking import POPULATION_ROWS, EncodeFlag, EncoderParameter, Encoding, Variable
from hw.spiking_ports import STATE_LATENCY, Command, StateRead, StateWrite, spike_tile
from hw.tile_memory import TileMemory, TileRead

assert (STATE_LATENCY, PRODUCT_LATENCY, TileMemory.READ_LATENCY) == (2, 3, 4)

SUM_BITS = WORD_BITS + 2
"""Of a word and the time since the last step: neither is beyond 17 bits and a sign."""

PREPARE = 9
"""Cycles before the first tile, in which the sample is found."""

DONE = 8
"""The cycle of the tile after the last one that is the last of the command."""


class EncoderUnit(wiring.Component):
    """Carries out ENCODE; spikes go to a SpikeRecorder.

    Parameters
    ----------
    config: the device's configuration

    Members
    -------
    command: rows >= 1; the decay from -32768 to 0
    step: the time step, from `start` to `done`
    input_base: first tile of the buffer of INPUT in front, likewise
    input_read: to INPUT
    state_read, state_write: to STATE
    products: to one multiplier, which it alone uses
    states: of the LFSRs
    lfsr_step: they take a step, once for a tile, in Encoding.POISSON alone
    spikes: tiles, PERIOD cycles apart; each must be taken in the first PERIOD cycles that it is
        offered in, as a SpikeRecorder does

    Attributes
    ----------
    PERIOD: cycles of a tile, 3 L + 6
    """

    def __init__(self, *, config: DeviceConfig):
        self.config = config
        self.PERIOD = 3 * config.lanes + 6
        input_tiles = region_tiles(config)[Region.INPUT]
        super().__init__(
            {
                "command": In(Command()),
                "step": In(WORD_BITS),
                "input_base": In(range(input_tiles)),
                "input_read": Out(TileRead(tiles=input_tiles, lanes=config.lanes)),
                "state_read": Out(StateRead(config)),
                "state_write": Out(StateWrite(config)),
                "products": Out(Products(1)),
                "states": In(data.ArrayLayout(STATE_BITS, config.lanes)),
                "lfsr_step": Out(1),
                "spikes": Out(stream.Signature(spike_tile(config))),
            }
        )

    def cycles(self, *, rows: int) -> int:
        """Cycles from `start` to `done`."""
        return 1 + PREPARE + self.PERIOD * tiles(rows, self.config.lanes) + DONE

    def elaborate(self, platform: object) -> Module:
        m, outer = Module(), Module()
        running = Signal()
        outer.d.sync += running.eq((running | self.command.start) & ~self.command.done)
        # The last tile of spikes may be taken after `done`.
        outer.submodules.datapath = while_active(
            m, self.command.start | running, platform, name="encoder", after=self.PERIOD
        )
        m.d.comb += [self.state_read.enable.eq(running), self.input_read.enable.eq(running)]
        mode = _Mode(self)
        walk = _Walk(m, self, mode)
        x, state = self._enter(m, walk)
        word, positive = self._multiply(m, walk, mode, x)
        value, below, negative = self._shift(m, walk, mode, word)
        self._tell(m, walk, mode, (value, below, negative), state, positive)
        return outer

    def _enter(self, m: Module, walk: "_Walk") -> tuple[Signal, Value]:
        """The element that has entered, and the word of STATE of the one in its cycle 6."""
        state = Signal(signed(WORD_BITS), name="state_word")
        m.d.comb += state.eq(
            self.state_read.data.as_value().word_select(walk.state_lane, WORD_BITS).as_signed()
        )
        x = Signal(signed(WORD_BITS), reset_less=True)
        chosen = self.input_read.data.as_value().word_select(walk.lane, WORD_BITS)
        m.d.sync += x.eq(Mux(walk.enters == _A, chosen, state))
        with m.If(walk.preparing):
            m.d.sync += x.eq(self.step >> exact_log2(self.config.batch_lanes))
        return x, state

    def _multiply(
        self, m: Module, walk: "_Walk", mode: "_Mode", x: Signal
    ) -> tuple[Value, Value]:
        """The product, and whether its element, in its cycle 8, is above 0."""
        p = self.command.parameters
        factor = Signal(signed(WORD_BITS))
        m.d.comb += factor.eq(UNITY)
        with m.If(walk.preparing):
            m.d.comb += factor.eq(self.command.instruction.left_inner)
        with m.Elif(walk.kind(1) == _A):
            m.d.comb += factor.eq(p[EncoderParameter.GAIN])
        with m.Elif((walk.kind(1) == _B) & mode.decays):
            m.d.comb += factor.eq(p[EncoderParameter.TRACE_DECAY] ^ WORD_MIN)
        m.d.comb += [self.products.a[0].eq(x), self.products.b[0].eq(factor)]
        positive = Signal(7, reset_less=True)
        m.d.sync += positive.eq(Cat(x > 0, positive))
        return self.products.product[0], positive[-1]

    def _shift(
        self, m: Module, walk: "_Walk", mode: "_Mode", product: Value
    ) -> tuple[Value, Value, Value]:
        """The element shifted, in its cycle 6: a word, limited; the bit below; whether negative.

        Only so many bits are kept of each shift as the others may still bring down; `over` tells
        whether those above mattered. A shift by 32 or more leaves nothing but the sign.
        """
        amount = self.command.instruction.shift
        first = walk.kind(4) == _A
        bits: Value = Cat(C(0, 1), product).as_signed()
        over: Value = C(0, 1)
        bits, over = _shifted(bits, over, Mux(first, amount[4], 0), 16, 32)
        bits, over = _shifted(bits, over, Mux(first, amount[3], 1), 8, 24)
        bits, over = _kept(m, "coarse", bits), _kept(m, "coarse_over", over)
        negative = _kept(m, "coarse_negative", product[-1])

        low = Mux(walk.kind(5) == _B, Cat(mode.decays, C(3, 2)), 6)
        low = Mux(walk.kind(5) == _A, amount[:3], low)
        for bit, kept in ((2, 20), (1, 18), (0, 17)):
            bits, over = _shifted(bits, over, low[bit], 1 << bit, kept)
        bits, over = _kept(m, "fine", bits), _kept(m, "fine_over", over)
        negative = _kept(m, "fine_negative", negative)

        nothing = amount[5] & (walk.kind(6) == _A)
        lower = Mux(nothing, negative, ~negative).replicate(WORD_BITS - 1)
        word = Mux(nothing | over, Cat(lower, negative), bits[1:])
        return word, Mux(nothing, negative, bits[0] & ~over), negative

    def _tell(
        self,
        m: Module,
        walk: "_Walk",
        mode: "_Mode",
        element: tuple[Value, Value, Value],
        state: Value,
        positive: Value,
    ) -> None:
        """Add what belongs to the element; collect spikes and words; write rows."""
        word, below, negative = element
        p, lanes = self.command.parameters, self.config.lanes
        spikes, rises = Signal(lanes, reset_less=True), Signal(lanes, reset_less=True)

        x = Signal(signed(WORD_BITS), name="x_limited", reset_less=True)
        y = Signal(signed(SUM_BITS), reset_less=True)
        more = Signal(reset_less=True)
        since = Signal(signed(SUM_BITS), reset_less=True)
        m.d.sync += since.eq(self.step - p[EncoderParameter.LAST_STEP])
        m.d.sync += [x.eq(word), more.eq(0)]
        random = (self.states.as_value() >> WORD_BITS + 1).word_select(
            walk.state_lane, STATE_BITS
        )[: WORD_BITS - 1]
        struck = Mux(mode.latency, rises[0], spikes[0])
        with m.If(walk.kind(6) == _A):
            m.d.sync += [y.eq(state), more.eq(mode.latency & below)]
            with m.If(mode.poisson):
                m.d.sync += y.eq(Cat(~random, C(-1, SUM_BITS - len(random))))
            with m.Elif(mode.latency):
                m.d.sync += y.eq(since)
            with m.If(negative & ~mode.latency):
                m.d.sync += x.eq(0)
        with m.Elif(walk.kind(6) == _B):
            m.d.sync += y.eq(Mux(struck, p[EncoderParameter.TRACE_INCREMENT], 0))
            with m.If(Mux(mode.latency, ~struck, struck & mode.sets)):
                m.d.sync += x.eq(0)
        with m.Else():
            m.d.sync += y.eq(spikes[0])

        total = Signal(signed(SUM_BITS), reset_less=True)
        m.d.sync += total.eq((Cat(C(1, 1), x).as_signed() + Cat(more, y).as_signed()) >> 1)
        spike, rise = self._spike(mode, total, positive)
        over = (total[-3] ^ total[-1]) | (total[-2] ^ total[-1])
        limited = Mux(over, Cat((~total[-1]).replicate(WORD_BITS - 1), total[-1]), total)
        fraction = Cat(total[: WORD_BITS - 1], C(0, 1))
        row = Signal(lanes * WORD_BITS, reset_less=True)
        with m.If(walk.kind(8) != _NONE):
            told = Mux(walk.kind(8) == _A, fraction, limited)[:WORD_BITS]
            m.d.sync += row.eq(Cat(row[WORD_BITS:], told))
        m.d.comb += self.state_write.data.as_value().eq(row)

        with m.If(walk.kind(8) == _A):
            m.d.sync += [
                spikes.eq(Cat(spikes[1:], spike)),
                rises.eq(Cat(rises[1:], rise)),
            ]
        with m.Elif(walk.told):
            m.d.sync += spikes.eq(spikes & walk.within)
        with m.Elif((walk.kind(6) == _B) | (walk.kind(6) == _C)):
            m.d.sync += [spikes.eq(_turned(spikes)), rises.eq(_turned(rises))]
        with m.If(self.spikes.ready):
            m.d.sync += self.spikes.valid.eq(0)
        with m.If(walk.told):
            m.d.sync += [
                self.spikes.valid.eq(1),
                self.spikes.payload.tile.eq(walk.tile),
                self.spikes.payload.mask.eq(spikes & walk.within),
                self.spikes.payload.last.eq(walk.last),
            ]
        m.d.comb += self.lfsr_step.eq(walk.told & mode.poisson)

    def _spike(self, mode: "_Mode", total: Value, positive: Value) -> tuple[Value, Value]:
        """Whether the input fires, and whether its trace rises, from the sum of its cycle 8."""
        first = self.step == 0
        above = ~total[-1]
        due = Mux(first, above, total == 0) & positive
        spike = Mux(
            mode.latency,
            due,
            Mux(mode.poisson, above, Mux(mode.rate, total[WORD_BITS - 1] & above, positive)),
        )
        return spike, positive & above & (total != 0) & ~first


_NONE, _A, _B, _C = range(4)
"""What an element is: none, intensity, trace, count."""


class _Mode:
    """What the command's encoding is, and how its traces move.

    Attributes
    ----------
    decays: a trace is multiplied by less than 1
    """

    def __init__(self, unit: EncoderUnit):
        instruction = unit.command.instruction
        encoding = instruction.activation
        self.rate = encoding == Encoding.RATE
        self.poisson = encoding == Encoding.POISSON
        self.latency = encoding == Encoding.LATENCY
        self.sets = instruction.flags[exact_log2(EncodeFlag.SET_TRACE)]
        decay = unit.command.parameters[EncoderParameter.TRACE_DECAY]
        self.decays = decay.any() & ~self.latency


def _shifted(bits: Value, over: Value, shifts: Value, by: int, kept: int) -> tuple[Value, Value]:
    """`bits` shifted right, or not, in `kept` bits; and `over`, or whether these are too few."""
    lost = bits[kept - 1 :]
    mattered = lost.any() & ~lost.all() & ~shifts
    return Mux(shifts, bits >> by, bits)[:kept].as_signed(), over | mattered


def _kept(m: Module, name: str, value: Value) -> Signal:
    """The value, a cycle later."""
    kept = Signal(value.shape(), name=name, reset_less=True)
    m.d.sync += kept.eq(value)
    return kept


def _turned(lanes: Signal) -> Value:
    """The next lane in place 0."""
    return Cat(lanes[1:], lanes[0])


class _Walk:
    """Which element is where, and the rows and tiles that are asked for and written.

    Attributes
    ----------
    lane, state_lane: of the intensity, and of the word of STATE, that are needed
    enters: what enters
    preparing: the sample is being found
    told: the spikes of a tile are complete
    tile, within, last: the tile of the period, its lanes that there are inputs for, the last one
    """

    def __init__(self, m: Module, unit: EncoderUnit, mode: _Mode):
        lanes, self._period = unit.config.lanes, unit.PERIOD
        instruction = unit.command.instruction
        lane_bits = exact_log2(lanes)
        population_tiles = max(1, unit.config.state_rows // POPULATION_ROWS)
        cycle = self._cycle = Signal(range(max(self._period, PREPARE)))
        record = Signal(range(unit.config.state_rows), reset_less=True)
        left = Signal(range(population_tiles + 1), reset_less=True)
        self.tile = Signal(range(population_tiles), reset_less=True)
        ragged = instruction.rows[:lane_bits]
        self.last = (left == 0) | (~ragged.any() & (left == 1))
        self.within = Cat(~self.last | (ragged == 0) | (ragged > k) for k in range(lanes))
        # After a tile there was one in the period before.
        self.preparing, self._running, self._after, self.told = (
            Signal(name=name) for name in ("preparing", "running", "after", "told")
        )
        turn = cycle == self._period - 1
        m.d.sync += cycle.eq(cycle + 1)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [
                    cycle.eq(0),
                    record.eq(instruction.dest_base),
                    left.eq(instruction.rows >> lane_bits),
                    self.tile.eq(0),
                    self._after.eq(0),
                ]
                with m.If(unit.command.start):
                    m.next = "PREPARE"
            with m.State("PREPARE"):
                m.d.comb += self.preparing.eq(1)
                with m.If(cycle == PREPARE - 1):
                    m.d.sync += cycle.eq(0)
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += self._running.eq(1)
                with m.If(turn):
                    m.d.sync += [
                        cycle.eq(0),
                        record.eq(record + POPULATION_ROWS),
                        left.eq(left - 1),
                        self.tile.eq(self.tile + 1),
                        self._after.eq(1),
                    ]
                    with m.If(self.last):
                        m.next = "DRAIN"
            with m.State("DRAIN"):
                with m.If(cycle == DONE):
                    m.d.comb += unit.command.done.eq(1)
                    m.next = "IDLE"
        m.d.comb += self.told.eq(self._running & (cycle == lanes + 8))
        self._elements(m, lanes, turn)
        self._rows(m, unit, mode, record)
        self._sample(m, unit)

    def kind(self, cycle: int) -> Value:
        """What the element is that is in its cycle `cycle`."""
        return self._kinds[cycle]

    def _elements(self, m: Module, lanes: int, turn: Value) -> None:
        cycle = self._cycle
        self.enters = Signal(2)
        self.lane = cycle[: exact_log2(lanes)]
        self.state_lane = Signal(exact_log2(lanes), reset_less=True)
        m.d.sync += self.state_lane.eq(Mux(cycle == 5, 0, self.state_lane + 1))
        with m.If(self.preparing):
            m.d.sync += self.enters.eq(Mux(cycle == PREPARE - 1, _A, _NONE))
        with m.Elif(self._running):
            for last, kind in ((lanes - 1, _NONE), (lanes + 5, _B), (2 * lanes + 5, _C)):
                with m.If(cycle == last):
                    m.d.sync += self.enters.eq(kind)
            with m.If(turn):
                m.d.sync += self.enters.eq(Mux(self.last, _NONE, _A))
        self._kinds: list[Value] = [self.enters]
        for later in range(1, 9):
            kind = Signal(2, name=f"kind_{later}")
            m.d.sync += kind.eq(self._kinds[-1])
            self._kinds.append(kind)

    def _rows(self, m: Module, unit: EncoderUnit, mode: _Mode, record: Signal) -> None:
        """Rows stand at STATE from the cycle after these on, as long as their words are needed."""
        lanes = unit.config.lanes
        reads = {0: Variable.POTENTIAL, lanes + 3: Variable.TRACE, 2 * lanes + 3: Variable.COUNT}
        read = Signal.like(record, name="read_row", reset_less=True)
        for cycle, variable in reads.items():
            with m.If(self._cycle == cycle):
                m.d.sync += read.eq(record + variable)
        write, enable = Signal.like(record, name="write_row", reset_less=True), Signal()
        m.d.sync += enable.eq(0)
        writes = {
            lanes + 7: (Variable.POTENTIAL, mode.rate),
            2 * lanes + 13: (Variable.TRACE, C(1, 1)),
            3 * lanes + 13: (Variable.COUNT, C(1, 1)),
        }
        for cycle, (variable, wanted) in writes.items():
            age, now = divmod(cycle, self._period)
            there = self._after if age else self._running
            with m.If(self._cycle == now):
                m.d.sync += write.eq(record + (variable - age * POPULATION_ROWS))
                m.d.sync += enable.eq(there & wanted)
        m.d.comb += [
            unit.state_read.row.eq(read),
            unit.state_write.row.eq(write),
            unit.state_write.enable.eq(enable),
        ]

    def _sample(self, m: Module, unit: EncoderUnit) -> None:
        """The tiles of the sample: of the step's, or of the first one."""
        port, instruction = unit.input_read, unit.command.instruction
        each = instruction.flags[exact_log2(EncodeFlag.EACH_STEP)]
        tile = Signal.like(port.tile, name="input_tile", reset_less=True)
        with m.If(self.preparing & (self._cycle == 0)):
            m.d.sync += tile.eq(unit.input_base + instruction.left_base)
        with m.If(self.preparing & (self._cycle == 1 + PRODUCT_LATENCY) & each):
            m.d.sync += tile.eq(tile + unit.products.product[0])
        with m.If(self._running & (self._cycle == unit.config.lanes)):
            m.d.sync += tile.eq(tile + 1)
        index = unit.step[: exact_log2(unit.config.batch_lanes)]
        m.d.comb += [port.tile.eq(tile), port.index.eq(Mux(each, index, 0))]
