"""FIRE: a time step of a population of leaky integrate-and-fire neurons, L of them at once.

    STATE --+-> x (1 + decay) --+
            +-------------------+--> + --> [result] --> limit --+--> [write] --> STATE
    parameters, limit ----------+                               +--> >= --> spikes
                                                                +--> [kept] --> winner

`sim.golden.spiking` is the arithmetic. A lane has one multiplier, one adder and one comparator, and
a tile of L neurons takes them for 26 cycles, of which PERIOD pass until the next tile begins. No
two of its uses of one thing are congruent modulo PERIOD, so that tiles never meet:

    cycle    asks for         adds                            compares              writes
    0        resting
    6, 9     v, current
    11, 12   own, activity    v (1 + leak), current
    13       resting
    14, 15   trace            u, -own - 1
    16                                                        above the threshold   current
    17, 18   count            own (1 + decay), increment                            v
    18                        activity (1 + decay), increment
    19, 20                    resting, -1                     active                own, activity
    21                        trace (1 + decay), increment                          resting
    22, 23                                                                      coefficient, trace
    24, 26                    count, 1                                              count

A word comes 3 cycles after it is asked for, a product 3 cycles after its word, a sum 2 cycles after
its addends, and a row is written in the cycle after it is told to. All but current and own are
multiplied, if only by 1.

Where it takes the whole population to know who fires (WINNER, INHIBIT), all tiles pass twice, and
the first time nothing is written: whoever is above the threshold stands against the best so far,
lane after lane.
"""

from amaranth.hdl import Array, C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.activity import while_active
from hw.config import DeviceConfig
from hw.layout import tiles
from hw.numbers import WORD_BITS, WORD_MIN
from hw.products import PRODUCT_LATENCY, Products
from hw.spiking import POPULATION_ROWS, FireFlag, NeuronParameter, Variable
from hw.spiking_ports import STATE_LATENCY, Command, StateRead, StateWrite, spike_tile

assert (STATE_LATENCY, PRODUCT_LATENCY) == (2, 3)

READS = {
    0: Variable.REFRACTORY,
    6: Variable.POTENTIAL,
    9: Variable.CURRENT,
    11: Variable.THRESHOLD,
    12: Variable.ACTIVITY,
    13: Variable.REFRACTORY,
    15: Variable.TRACE,
    18: Variable.COUNT,
}
"""What a tile asks for, and in which of its cycles."""

WRITES = {
    16: Variable.CURRENT,
    17: Variable.POTENTIAL,
    19: Variable.THRESHOLD,
    20: Variable.ACTIVITY,
    21: Variable.REFRACTORY,
    22: Variable.COEFFICIENT,
    23: Variable.TRACE,
    26: Variable.COUNT,
}
"""What is told to be written."""

DONE = 27
"""The cycle of the last tile that is also the last of the command."""

SPIKES = 16
"""The cycle that tells who fires."""

UNITY = 1 << (WORD_BITS - 2)
"""1 as a factor whose product is shifted by 14, not 15: 1 + decay does not fit where decay is 0."""


class NeuronUnit(wiring.Component):
    """Carries out FIRE; spikes go to a SpikeRecorder.

    Parameters
    ----------
    config: the device's configuration

    Members
    -------
    command: rows >= 1; decays from -32768 to 0
    state_read, state_write: to STATE
    products: to L multipliers, which it alone uses
    spikes: tiles, PERIOD cycles apart or more; each must be taken in the first PERIOD cycles that
        it is offered in, as a SpikeRecorder does that has been started with the unit

    Attributes
    ----------
    PERIOD: cycles of a tile in a pass, max(8, L)
    """

    def __init__(self, *, config: DeviceConfig):
        self.config = config
        self.PERIOD = max(POPULATION_ROWS, config.lanes)
        super().__init__(
            {
                "command": In(Command()),
                "state_read": Out(StateRead(config)),
                "state_write": Out(StateWrite(config)),
                "products": Out(Products(config.lanes)),
                "spikes": Out(stream.Signature(spike_tile(config))),
            }
        )

    def cycles(self, *, rows: int, search: bool) -> int:
        """Cycles from `start` to `done`; `search`: with WINNER or INHIBIT."""
        count = tiles(rows, self.config.lanes)
        return 1 + self.PERIOD * (count - 1) + DONE + search * self.PERIOD * (count + 1)

    def elaborate(self, platform: object) -> Module:
        m, outer = Module(), Module()
        running = Signal()
        outer.d.sync += running.eq((running | self.command.start) & ~self.command.done)
        # The last tile of spikes may be taken after `done`.
        outer.submodules.datapath = while_active(
            m, self.command.start | running, platform, name="neurons", after=self.PERIOD
        )
        m.d.comb += self.state_read.enable.eq(running)
        walk = _Walk(m, self)
        common = _Common(m, self, walk)
        lanes = [_Lane(m, self, walk, common, lane) for lane in range(self.config.lanes)]
        _search(m, self, walk, common, lanes)
        return outer


class _Walk:
    """Which tile is in which of its cycles, and the rows of STATE that it asks for and writes."""

    def __init__(self, m: Module, unit: NeuronUnit):
        self.period = unit.PERIOD
        # A bit for each cycle of a period: they choose everywhere, and nothing is to be decoded.
        self._phase = Signal(self.period, init=1 << (self.period - 1))
        instruction = unit.command.instruction
        ages = DONE // self.period + 1
        # Of the tile that began so many periods ago: it is there, the first, the last.
        self._searching, self._writing, self._first, self._last = flags = [
            Signal(ages, name=name) for name in ("searching", "writing", "first", "last")
        ]
        lane_bits = exact_log2(unit.config.lanes)
        population_tiles = max(1, unit.config.state_rows // POPULATION_ROWS)
        record = Signal(range(unit.config.state_rows), reset_less=True)
        left = Signal(range(population_tiles + 1), reset_less=True)
        ragged = instruction.rows[:lane_bits].any()
        last = (left == 0) | (~ragged & (left == 1))

        turn = self.now(self.period - 1)
        beginning, searching, writing = Signal(), Signal(), Signal()
        first = Signal(reset_less=True)
        with m.If(beginning):
            m.d.sync += first.eq(1)
            m.d.sync += [record.eq(instruction.dest_base), left.eq(instruction.rows >> lane_bits)]
        with m.Elif(turn):
            m.d.sync += first.eq(0)
            m.d.sync += [record.eq(record + POPULATION_ROWS), left.eq(left - 1)]
        m.d.comb += [
            self._searching[0].eq(searching),
            self._writing[0].eq(writing),
            self._first[0].eq(first),
            self._last[0].eq(last),
        ]
        with m.If(turn):
            m.d.sync += [flag[1:].eq(flag) for flag in flags]
        m.d.sync += self._phase.eq(self._phase.rotate_left(1))
        search = (instruction.flags & (FireFlag.WINNER | FireFlag.INHIBIT)).any()
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += beginning.eq(1)
                # The last tile of the command before stopped in mid-period. Its spikes stay.
                m.d.sync += [flag[1:].eq(0) for flag in flags]
                m.d.sync += self._phase.eq(self._phase.init)
                with m.If(unit.command.start):
                    m.d.sync += self._phase.eq(1)
                    with m.If(search):
                        m.next = "SEARCH"
                    with m.Else():
                        m.next = "WRITE"
            with m.State("SEARCH"):
                m.d.comb += searching.eq(1)
                with m.If(turn & last):
                    m.next = "PAUSE"
            with m.State("PAUSE"):
                # Until then the last tile asks for rows less than the one that would be next.
                m.d.comb += beginning.eq(turn)
                with m.If(turn):
                    m.next = "WRITE"
            with m.State("WRITE"):
                m.d.comb += writing.eq(1)
                with m.If(turn & last):
                    m.next = "DRAIN"
            with m.State("DRAIN"):
                with m.If(unit.command.done):
                    m.next = "IDLE"
        m.d.comb += unit.command.done.eq(self.now(DONE) & self.writing(DONE) & self.last(DONE))
        self._ports(m, unit, record)

    def now(self, cycle: int) -> Value:
        """Some tile is in its cycle `cycle`, if it is there."""
        return self._phase[cycle % self.period]

    def searching(self, cycle: int) -> Value:
        """The tile in cycle `cycle` is there, in a pass that does not write."""
        return self._searching[cycle // self.period]

    def writing(self, cycle: int) -> Value:
        """The tile in cycle `cycle` is there, in the pass that writes."""
        return self._writing[cycle // self.period]

    def first(self, cycle: int) -> Value:
        """The tile in cycle `cycle` is the first one of a pass, if it is there."""
        return self._first[cycle // self.period]

    def last(self, cycle: int) -> Value:
        """The tile in cycle `cycle` is the last one, if it is there."""
        return self._last[cycle // self.period]

    def _ports(self, m: Module, unit: NeuronUnit, record: Signal) -> None:
        """The rows; that of a tile that began a period ago is POPULATION_ROWS less."""
        for port, uses in ((unit.state_read, READS), (unit.state_write, WRITES)):
            row = Signal.like(record, name=f"row_{len(uses)}", reset_less=True)
            offset = Signal(signed(len(record)), name="offset")
            for cycle, variable in uses.items():
                with m.If(self.now(cycle)):
                    m.d.comb += offset.eq(variable - cycle // self.period * POPULATION_ROWS)
            m.d.sync += row.eq(record + offset)
            m.d.comb += port.row.eq(row)
        hold = unit.command.instruction.flags & FireFlag.HOLD
        enable = Signal(name="write_enable")
        m.d.sync += enable.eq(0)
        for cycle, variable in WRITES.items():
            kept = hold.any() if variable == Variable.CURRENT else C(0)
            with m.If(self.now(cycle) & self.writing(cycle) & ~kept):
                m.d.sync += enable.eq(1)
        m.d.comb += unit.state_write.enable.eq(enable)


class _Common:
    """What all lanes get: constants, each in its cycle, and what the population has in common.

    Attributes
    ----------
    factor: 1 + decay, in the cycle of its word
    whole: the factor was UNITY, in the cycle of its product
    addend: what is added to it where a neuron fires, or in any case
    less: less what is compared with; who is not below 0 then has reached it
    replacement, otherwise: what is written where a lane says so, and where it does not
    """

    def __init__(self, m: Module, unit: NeuronUnit, walk: _Walk):
        p = unit.command.parameters
        self.flags = unit.command.instruction.flags
        decay = self._chosen(
            m,
            walk,
            "decay",
            {
                8: p[NeuronParameter.LEAK],
                13: p[NeuronParameter.THRESHOLD_DECAY],
                14: p[NeuronParameter.ACTIVITY_DECAY],
                17: p[NeuronParameter.TRACE_DECAY],
            },
        )
        none = Signal()
        # Also in the cycles of words that nothing is chosen for.
        m.d.comb += none.eq(~decay.any() | (walk.now(13) & ~self.flag(FireFlag.ADAPT)))
        self.factor = Signal(signed(WORD_BITS), reset_less=True)
        m.d.sync += self.factor.eq(Mux(none, UNITY, decay ^ WORD_MIN))
        for stage in range(PRODUCT_LATENCY + 1):
            whole = Signal(name=f"whole_{stage}", reset_less=True)
            m.d.sync += whole.eq(none)
            none = whole
        self.whole = none

        self.addend = self._chosen(
            m,
            walk,
            "addend",
            {
                17: p[NeuronParameter.THRESHOLD_INCREMENT],
                18: p[NeuronParameter.ACTIVITY_INCREMENT],
                19: C(-1, signed(2)),
                21: p[NeuronParameter.TRACE_INCREMENT],
                24: C(1, 2),
            },
        )
        # By how much a neuron is above its threshold, less 1, is to be at least the population's,
        # less 1. Activity is to be above its own.
        own = walk.now(SPIKES - 1)
        threshold = Mux(own, p[NeuronParameter.THRESHOLD], p[NeuronParameter.ACTIVITY_THRESHOLD])
        self.less = Signal(signed(WORD_BITS + 1), reset_less=True)
        m.d.sync += self.less.eq(~threshold.as_signed() + Cat(C(0, 1), own))
        self.replacement = self._chosen(
            m,
            walk,
            "replacement",
            {
                17: p[NeuronParameter.RESET],
                21: p[NeuronParameter.REFRACTORY],
                22: p[NeuronParameter.COEFFICIENT_ACTIVE],
            },
        )
        self.otherwise = self._chosen(m, walk, "otherwise", {22: p[NeuronParameter.COEFFICIENT]})
        self.inhibited, self.chosen = Signal(), Signal()

    def flag(self, flag: FireFlag) -> Value:
        """Whether the command has this flag."""
        return self.flags[exact_log2(flag)]

    @staticmethod
    def _chosen(m: Module, walk: _Walk, name: str, uses: dict[int, Value]) -> Signal:
        """One of the values, each in its cycle."""
        chosen = Signal(signed(WORD_BITS), name=name)
        for cycle, value in uses.items():
            with m.If(walk.now(cycle)):
                m.d.comb += chosen.eq(value)
        return chosen


class _Lane:
    """One neuron of a tile.

    Attributes
    ----------
    spike: it fires, from cycle SPIKES + 1 on
    kept: by how much it is above its own threshold, less 1, from then on; where the tile is
        written, the new potential
    elected: the winner is here; driven by the search
    """

    def __init__(self, m: Module, unit: NeuronUnit, walk: _Walk, common: _Common, lane: int):
        self._walk, self._common = walk, common
        now = walk.now

        def bit(name: str) -> Signal:
            return Signal(name=f"{name}_{lane}", reset_less=True)

        word = unit.state_read.data[lane]
        self.resting, self.rests = bit("resting"), bit("rests")
        self.spike, self.active, self.elected = bit("spike"), bit("active"), bit("elected")
        with m.If(now(3)):
            m.d.sync += self.resting.eq(~word[-1] & word.any())
        with m.If(now(9)):
            m.d.sync += self.rests.eq(self.resting)

        result = Signal(signed(WORD_BITS + 1), name=f"result_{lane}", reset_less=True)
        # Above its threshold a neuron may be by more than a word tells.
        over = (result[-1] ^ result[-2]) & ~now(SPIKES)
        limit = Cat((~result[-1]).replicate(WORD_BITS - 1), result[-1])
        limited = Signal(signed(WORD_BITS + 1), name=f"limited_{lane}")
        m.d.comb += limited.eq(Cat(Mux(over, limit, result[:-1]), result[-1]).as_signed())
        x, y = self._addends(m, unit, lane, limited[:-1])
        m.d.sync += result.eq(x + y)

        reached = Signal(name=f"reached_{lane}")
        m.d.comb += reached.eq(~(limited + common.less)[-1])
        ragged = unit.command.instruction.rows[: exact_log2(unit.config.lanes)]
        within = ~walk.last(SPIKES) | (ragged == 0) | (ragged > lane)
        there = walk.searching(SPIKES) | walk.writing(SPIKES)
        with m.If(now(SPIKES)):
            fires = Mux(common.chosen, self.elected, reached & ~self.rests & within)
            m.d.sync += self.spike.eq(fires & there)
        with m.If(now(20)):
            m.d.sync += self.active.eq(reached)
        self.kept = Signal(signed(WORD_BITS + 1), name=f"kept_{lane}", reset_less=True)
        with m.If(now(14) & walk.writing(14) | now(SPIKES) & walk.searching(SPIKES)):
            m.d.sync += self.kept.eq(limited)
        self._write(m, unit.state_write.data[lane], lane, limited)

    def _addends(
        self, m: Module, unit: NeuronUnit, lane: int, limited: Value
    ) -> tuple[Signal, Signal]:
        """What a tile adds. A product is x (1 + decay), in 16 bits since no decay is above 0.

        Of a neuron that rests the potential is left alone; whether it is above the threshold does
        not matter then.
        """
        now, common, word = self._walk.now, self._common, unit.state_read.data[lane]
        product = unit.products.product[lane]
        still = self.resting & now(9)
        m.d.comb += [
            unit.products.a[lane].eq(word),
            unit.products.b[lane].eq(Mux(still, UNITY, common.factor)),
        ]
        whole = common.whole | (self.rests & now(12))
        decayed = Mux(whole, product[WORD_BITS - 2 :], product[WORD_BITS - 1 :])[:WORD_BITS]
        x, y = (
            Signal(signed(WORD_BITS), name=f"{name}_{lane}", reset_less=True) for name in ("x", "y")
        )
        m.d.sync += x.eq(Mux(now(14), limited, decayed))
        with m.If(now(21) & self.spike & common.flag(FireFlag.SET_TRACE)):
            m.d.sync += x.eq(0)

        more = unit.command.parameters[NeuronParameter.TRACE_INCREMENT_ACTIVE]
        addend = Mux(now(21) & self.active, more, common.addend)
        struck = Mux(self.spike | now(19), addend, 0)
        taken = now(14) | (now(12) & ~self.rests)
        direct = (word ^ now(14).replicate(WORD_BITS)) & taken.replicate(WORD_BITS)
        m.d.sync += y.eq(Mux(now(12) | now(14), direct, struck))
        return x, y

    def _write(self, m: Module, data: Value, lane: int, limited: Signal) -> None:
        now, common = self._walk.now, self._common
        written = Signal(signed(WORD_BITS), name=f"written_{lane}", reset_less=True)
        m.d.comb += data.eq(written)
        replaced = (
            now(17) & (self.spike | common.inhibited)
            | now(21) & self.spike
            | now(22) & self.active
        )
        nothing = now(16) | now(22) | (now(21) & limited[-1])
        own = Mux(now(17), self.kept[:-1], limited[:-1])
        own &= (~(nothing | replaced)).replicate(WORD_BITS)
        m.d.sync += written.eq(own | Mux(replaced, common.replacement, common.otherwise))


def _search(
    m: Module, unit: NeuronUnit, walk: _Walk, common: _Common, lanes: list[_Lane]
) -> None:
    """The stream of spikes, and the one of all candidates that is furthest above its threshold."""
    population_tiles = max(1, unit.config.state_rows // POPULATION_ROWS)
    number = Signal(range(population_tiles), reset_less=True)
    following = Signal.like(number, name="following")
    candidates, last = Signal(), Signal(reset_less=True)
    fires = walk.now(SPIKES)
    m.d.comb += following.eq(Mux(walk.first(SPIKES), 0, number + 1))
    with m.If(unit.spikes.ready):
        m.d.sync += unit.spikes.valid.eq(0)
    with m.If(fires):
        m.d.sync += [candidates.eq(walk.searching(SPIKES)), last.eq(walk.last(SPIKES))]
        with m.If(walk.writing(SPIKES)):
            m.d.sync += unit.spikes.valid.eq(1)
        with m.If(walk.writing(SPIKES) | walk.searching(SPIKES)):
            m.d.sync += number.eq(following)
    m.d.comb += [
        unit.spikes.payload.tile.eq(number),
        unit.spikes.payload.mask.eq(Cat(lane.spike for lane in lanes)),
        unit.spikes.payload.last.eq(last),
    ]

    # A candidate is taken in one cycle and compared with the best so far in the next.
    lane_bits = exact_log2(len(lanes))
    place = Signal(lane_bits + len(number), reset_less=True)
    value, there = Signal.like(lanes[0].kept, name="value"), Signal()
    best, best_place = Signal.like(value, name="best"), Signal.like(place, name="best_place")
    found = Signal()
    at = Signal(range(len(lanes)))
    m.d.sync += there.eq(0)
    for k, lane in enumerate(lanes):
        with m.If(walk.now(SPIKES + 1 + k)):
            m.d.comb += at.eq(k)
            m.d.sync += there.eq(candidates & lane.spike)
    m.d.sync += [value.eq(Array(lane.kept for lane in lanes)[at]), place.eq(Cat(at, number))]
    with m.If(there & (~found | (best - value)[-1])):
        m.d.sync += [best.eq(value), best_place.eq(place), found.eq(1)]
    with m.If(unit.command.start):
        m.d.sync += found.eq(0)

    here = following == best_place[lane_bits:]
    m.d.comb += [
        common.inhibited.eq(found & common.flag(FireFlag.INHIBIT)),
        common.chosen.eq(walk.writing(SPIKES) & common.flag(FireFlag.WINNER)),
        *(
            lane.elected.eq(found & here & (best_place[:lane_bits] == k))
            for k, lane in enumerate(lanes)
        ),
    ]
