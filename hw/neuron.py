"""FIRE: a time step of a population of leaky integrate-and-fire neurons, L of them at once.

    STATE --+-> x (1 + decay) --+
            +-------------------+--> + --> [result] --> limit --+--> [write] --> STATE
    parameters, limit ----------+                               +--> >= --> spikes
                                                                +--> [kept] --> winner

`sim.golden.spiking` is the arithmetic. A lane has one multiplier, one adder and one comparator, and
a tile of L neurons takes them for 26 cycles, of which PERIOD pass until the next tile begins. No
two of its uses of one thing are congruent modulo PERIOD, so that tiles never meet:

    cycle    asks for         adds                            compares            writes
    0, 1     resting, v
    4, 6     current, own
    7                         v (1 + leak), current
    9                         u, -own - 1
    11       resting                                          above its threshold current
    12                        own (1 + decay), increment
    13, 14   activity         resting, -1                                         own
    15, 16   count                                                                v, resting
    18, 19   trace            count, 1; activity (1 + decay), increment
    20, 21                                                    active              count, activity
    24                        trace (1 + decay), increment
    25, 26                                                                        coefficient, trace

A word comes 3 cycles after it is asked for, a product 3 cycles after its word, a sum 2 cycles after
its addends, and a row is written in the cycle after it is told to.

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
    1: Variable.POTENTIAL,
    4: Variable.CURRENT,
    6: Variable.THRESHOLD,
    11: Variable.REFRACTORY,
    13: Variable.ACTIVITY,
    15: Variable.COUNT,
    18: Variable.TRACE,
}
"""What a tile asks for, and in which of its cycles."""

WRITES = {
    11: Variable.CURRENT,
    14: Variable.THRESHOLD,
    15: Variable.POTENTIAL,
    16: Variable.REFRACTORY,
    20: Variable.COUNT,
    21: Variable.ACTIVITY,
    25: Variable.COEFFICIENT,
    26: Variable.TRACE,
}
"""What is told to be written."""

DONE = 27
"""The cycle of the last tile that is also the last of the command."""

SPIKES = 11
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
        outer.submodules.datapath = while_active(
            m, self.command.start | running, platform, name="neurons"
        )
        m.d.comb += self.state_read.enable.eq(running)
        walk = _Walk(m, self)
        common = _Common(m, self, walk)
        lanes = [_Lane(m, self, walk, common, lane) for lane in range(self.config.lanes)]
        _search(m, self, walk, common, lanes)
        return outer


class _Walk:
    """Which tile is in which of its cycles, and the rows of STATE that it asks for and writes.

    Attributes
    ----------
    again: in the pass that writes, and there was one before
    """

    def __init__(self, m: Module, unit: NeuronUnit):
        self.period = unit.PERIOD
        self._phase = Signal(range(self.period))
        self._now: dict[int, Signal] = {}
        self._m = m
        instruction = unit.command.instruction
        ages = DONE // self.period + 1
        # Of the tile that began so many periods ago: it is there, and the last one.
        self._searching, self._writing, self._last = (
            Signal(ages, name=name) for name in ("searching", "writing", "last")
        )
        lane_bits = exact_log2(unit.config.lanes)
        population_tiles = max(1, unit.config.state_rows // POPULATION_ROWS)
        record = Signal(range(unit.config.state_rows), reset_less=True)
        left = Signal(range(population_tiles + 1), reset_less=True)
        ragged = instruction.rows[:lane_bits].any()
        last = (left == 0) | (~ragged & (left == 1))
        self.anew = Signal()
        """The next tile to fire is the first one of a pass."""

        turn = self.now(self.period - 1)
        beginning, searching, writing = Signal(), Signal(), Signal()
        with m.If(beginning):
            m.d.sync += [record.eq(instruction.dest_base), left.eq(instruction.rows >> lane_bits)]
        with m.Elif(turn):
            m.d.sync += [record.eq(record + POPULATION_ROWS), left.eq(left - 1)]
        with m.If(self.now(SPIKES) & (self.searching(SPIKES) | self.writing(SPIKES))):
            m.d.sync += self.anew.eq(0)
        m.d.comb += [
            self._searching[0].eq(searching),
            self._writing[0].eq(writing),
            self._last[0].eq(last),
        ]
        with m.If(turn):
            m.d.sync += [
                flags[1:].eq(flags) for flags in (self._searching, self._writing, self._last)
            ]
        m.d.sync += self._phase.eq(Mux(turn, 0, self._phase + 1))
        search = (instruction.flags & (FireFlag.WINNER | FireFlag.INHIBIT)).any()
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += beginning.eq(1)
                m.d.sync += [self._phase.eq(0), self.anew.eq(1)]
                # The last tile of the command before stopped in mid-period.
                m.d.sync += [flags[1:].eq(0) for flags in (self._searching, self._writing)]
                with m.If(unit.command.start):
                    with m.If(search):
                        m.next = "SEARCH"
                    with m.Else():
                        m.next = "WRITE"
            with m.State("SEARCH"):
                m.d.comb += searching.eq(1)
                with m.If(turn & last):
                    m.next = "PAUSE"
            with m.State("PAUSE"):
                m.d.comb += beginning.eq(1)
                with m.If(turn):
                    m.d.sync += self.anew.eq(1)
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

    def now(self, cycle: int) -> Signal:
        """Some tile is in its cycle `cycle`, if it is there."""
        phase = cycle % self.period
        if phase not in self._now:
            self._now[phase] = Signal(name=f"phase_{phase}")
            self._m.d.comb += self._now[phase].eq(self._phase == phase)
        return self._now[phase]

    def searching(self, cycle: int) -> Value:
        """The tile in cycle `cycle` is there, in a pass that does not write."""
        return self._searching[cycle // self.period]

    def writing(self, cycle: int) -> Value:
        """The tile in cycle `cycle` is there, in the pass that writes."""
        return self._writing[cycle // self.period]

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
    bound: what is compared with
    replacement: what is written where a lane says so
    """

    def __init__(self, m: Module, unit: NeuronUnit, walk: _Walk):
        p = unit.command.parameters
        self.flags = unit.command.instruction.flags
        decay = self._chosen(
            m,
            walk,
            "decay",
            {
                3: p[NeuronParameter.LEAK],
                8: p[NeuronParameter.THRESHOLD_DECAY],
                15: p[NeuronParameter.ACTIVITY_DECAY],
                20: p[NeuronParameter.TRACE_DECAY],
            },
        )
        none = Signal()
        m.d.comb += none.eq(~decay.any() | (walk.now(8) & ~self.flag(FireFlag.ADAPT)))
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
                12: p[NeuronParameter.THRESHOLD_INCREMENT],
                14: C(-1, signed(2)),
                18: C(1, signed(2)),
                19: p[NeuronParameter.ACTIVITY_INCREMENT],
                24: p[NeuronParameter.TRACE_INCREMENT],
            },
        )
        # The sum is above - 1, to be at least the threshold less 1; activity is to be above its.
        own = walk.now(SPIKES - 1)
        threshold = Mux(own, p[NeuronParameter.THRESHOLD], p[NeuronParameter.ACTIVITY_THRESHOLD])
        self.bound = Signal(signed(WORD_BITS + 1), reset_less=True)
        m.d.sync += self.bound.eq(threshold.as_signed() + Mux(own, C(-1, 2), C(1, 2)).as_signed())
        self.replacement = self._chosen(
            m,
            walk,
            "replacement",
            {
                15: p[NeuronParameter.RESET],
                16: p[NeuronParameter.REFRACTORY],
                25: p[NeuronParameter.COEFFICIENT_ACTIVE],
            },
        )
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
    late: it fires, from cycle SPIKES + 9 on, for what comes after the next tile's spikes
    kept: by how much it is above its own threshold, less 1, from then on; where the tile is
        written, the new potential
    elected: the winner is here; driven by the search
    """

    def __init__(self, m: Module, unit: NeuronUnit, walk: _Walk, common: _Common, lane: int):
        self._walk, self._common = walk, common
        now, p = walk.now, unit.command.parameters

        def bit(name: str) -> Signal:
            return Signal(name=f"{name}_{lane}", reset_less=True)

        self._word = unit.state_read.data[lane]
        self.resting, self.spike, self.active = bit("resting"), bit("spike"), bit("active")
        self.late, self.elected = bit("late_spike"), bit("elected")

        with m.If(now(3)):
            m.d.sync += self.resting.eq(self._word > 0)
        result = Signal(signed(WORD_BITS + 1), name=f"result_{lane}", reset_less=True)
        # Above its threshold a neuron may be by more than a word tells.
        over = (result[-1] ^ result[-2]) & ~now(SPIKES)
        limit = Cat((~result[-1]).replicate(WORD_BITS - 1), result[-1])
        limited = Signal(signed(WORD_BITS + 1), name=f"limited_{lane}")
        m.d.comb += limited.eq(Cat(Mux(over, limit, result[:-1]), result[-1]).as_signed())
        self._add(m, unit, lane, result, limited[:-1])

        reached = Signal(name=f"reached_{lane}")
        m.d.comb += reached.eq(limited >= common.bound)
        lane_bits = exact_log2(unit.config.lanes)
        ragged = unit.command.instruction.rows[:lane_bits]
        within = ~walk.last(SPIKES) | (ragged == 0) | (ragged > lane)
        there = walk.searching(SPIKES) | walk.writing(SPIKES)
        with m.If(now(SPIKES)):
            fires = Mux(common.chosen, self.elected, reached & ~self.resting & within)
            m.d.sync += self.spike.eq(fires & there)
        with m.If(now(SPIKES + POPULATION_ROWS)):
            m.d.sync += self.late.eq(self.spike)
        with m.If(now(21)):
            m.d.sync += self.active.eq(reached)

        self.kept = Signal(signed(WORD_BITS + 1), name=f"kept_{lane}", reset_less=True)
        with m.If(now(9) & walk.writing(9) | now(SPIKES) & walk.searching(SPIKES)):
            m.d.sync += self.kept.eq(limited)
        self._write(
            m, unit.state_write.data[lane], lane, limited, p[NeuronParameter.COEFFICIENT]
        )

    def _add(self, m: Module, unit: NeuronUnit, lane: int, result: Signal, limited: Value) -> None:
        """The sums of a tile. A product is x (1 + decay), in 16 bits since no decay is above 0.

        Of a neuron that rests the potential is left alone; whether it is above the threshold does
        not matter then.
        """
        now, common, word = self._walk.now, self._common, self._word
        still = self.resting & now(4)
        product = unit.products.product[lane]
        m.d.comb += [
            unit.products.a[lane].eq(word),
            unit.products.b[lane].eq(Mux(still, UNITY, common.factor)),
        ]
        whole = common.whole | (self.resting & now(7))
        decayed = Mux(whole, product[WORD_BITS - 2 :], product[WORD_BITS - 1 :])[:WORD_BITS]
        x, y = (
            Signal(signed(WORD_BITS), name=f"{name}_{lane}", reset_less=True) for name in ("x", "y")
        )
        m.d.sync += [x.eq(decayed), result.eq(x + y)]
        with m.If(now(9)):
            m.d.sync += x.eq(limited)
        with m.Elif(now(14) | now(18)):
            m.d.sync += x.eq(word)
        with m.Elif(now(24) & self.late & common.flag(FireFlag.SET_TRACE)):
            m.d.sync += x.eq(0)

        struck = Mux(now(24), self.late, self.spike) | now(14)
        more = unit.command.parameters[NeuronParameter.TRACE_INCREMENT_ACTIVE]
        addend = Mux(now(24) & self.active, more, common.addend)
        m.d.sync += y.eq(Mux(struck, addend, 0))
        with m.If(now(7) | now(9)):
            m.d.sync += y.eq(Mux(now(9), ~word, Mux(self.resting, 0, word)))

    def _write(
        self, m: Module, data: Value, lane: int, limited: Signal, coefficient: Value
    ) -> None:
        now, common = self._walk.now, self._common
        written = Signal(signed(WORD_BITS), name=f"written_{lane}", reset_less=True)
        m.d.comb += data.eq(written)
        replaced = (
            now(15) & (self.spike | common.inhibited)
            | now(16) & self.spike
            | now(25) & self.active
        )
        m.d.sync += written.eq(limited)
        with m.If(replaced):
            m.d.sync += written.eq(common.replacement)
        with m.Elif(now(15)):
            m.d.sync += written.eq(self.kept)
        with m.Elif(now(25)):
            m.d.sync += written.eq(coefficient)
        with m.Elif(now(11) | now(16) & limited[-1]):
            m.d.sync += written.eq(0)


def _search(
    m: Module, unit: NeuronUnit, walk: _Walk, common: _Common, lanes: list[_Lane]
) -> None:
    """The stream of spikes, and the one of all candidates that is furthest above its threshold."""
    population_tiles = max(1, unit.config.state_rows // POPULATION_ROWS)
    number = Signal(range(population_tiles), reset_less=True)
    following = Signal.like(number, name="following")
    candidates, last = Signal(), Signal(reset_less=True)
    fires = walk.now(SPIKES)
    m.d.comb += following.eq(Mux(walk.anew, 0, number + 1))
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
    with m.If(there & (~found | (value > best))):
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
