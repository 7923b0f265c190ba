"""The spiking half of a small device: a processor with one adder and one multiplier.

    opcode --> microcode --step--> address --> memory --word--+--> factor --x--+
                   ^                 ^  |                     |            |   |
                   |                 +--+ pointers            v            |   v
                   +-- condition <------------------------- sum <----------+ product
                                                              +--> memory

`hw.microcode` says what a step does, `hw.spiking_microcode` how commands are made of steps.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from hw.config import DeviceConfig, region_tiles, region_words
from hw.instruction import INSTRUCTION
from hw.isa import Opcode, Region
from hw.lfsr import STATE_BITS
from hw.microcode import (
    POINTERS,
    WORD,
    Base,
    Condition,
    Effect,
    Field,
    Operand,
    Operation,
)
from hw.microcode_routines import SCRATCH_WORDS, constants
from hw.multiplier import Multiplier
from hw.numbers import WORD_BITS
from hw.saturation import limited
from hw.selection import by_number
from hw.spiking import ScaleFlag
from hw.spiking_microcode import ENTRY_BITS, microcode
from hw.statistics import ReportSignature
from hw.synaptic_scaling import RowFactor

SUM_BITS = 34
"""A weight times 2**16, its change of 31 bits and a random word; all else is less."""

MOST_WORDS = 1 << 14
"""Places that the processor reckons with, times L, are positive words."""


class MemoryMap:
    """Where the regions lie among the words that the processor addresses.

    Each begins at a multiple of a power of two that is not less than itself, so that the place of a
    word is the OR of both, and is a memory of its own; but INPUT and TARGET, which are loaded
    while the processor works, share the one of the upper half of the addresses.

    Parameters
    ----------
    config: the device's configuration

    Attributes
    ----------
    bases: first word of each region
    scratch: first word of Scratch, at the end of what belongs to EVENTS
    samples: first word of the samples' memory
    parts: first word, and number of words, of each memory; the samples' is the last one
    bits: of an address

    Raises ValueError for more words than MOST_WORDS.
    """

    def __init__(self, config: DeviceConfig):
        sizes = region_words(config)
        sizes[Region.EVENTS] = 1 << ceil_log2(sizes[Region.EVENTS] + SCRATCH_WORDS)
        own = (Region.WEIGHT, Region.STATE, Region.EVENTS)
        self.bases: dict[Region, int] = {}
        place = 0
        for region in sorted(own, key=lambda region: -sizes[region]):
            self.bases[region] = place
            place += 1 << ceil_log2(sizes[region])
        target = 1 << ceil_log2(max(sizes[Region.INPUT], sizes[Region.TARGET]))
        self.samples = 1 << ceil_log2(max(place, 2 * target))
        if self.samples > MOST_WORDS:
            raise ValueError(
                f"places for the words of configuration {config.name!r} must be at most "
                f"{MOST_WORDS}, not {self.samples}: take fewer tiles or rows"
            )
        self.scratch = self.bases[Region.EVENTS] + sizes[Region.EVENTS] - SCRATCH_WORDS
        self.parts = [(self.bases[region], sizes[region]) for region in own]
        self.parts.append((self.samples, target + sizes[Region.TARGET]))
        self.bits = exact_log2(self.samples) + 1
        self.bases[Region.INPUT] = self.samples
        self.bases[Region.TARGET] = self.samples + target


class SpikingProcessor(wiring.Component):
    """Executes the commands of `hw.spiking_microcode`, a step a cycle.

    Parameters
    ----------
    config: the device's configuration

    Members
    -------
    instruction, start, busy, step, states, lfsr_step, report: as of SpikingUnit
    input_base, target_base: likewise
    synapses: L synapses are taken from this cycle on
    counted: a strobe of CLIMB; `correct` holds still from then on
    address: of a word, by MemoryMap, while `busy`
    read: the word at `address` is wanted: `word` is it from the next cycle on until another one is
    write, data: write the word at `address`
    """

    def __init__(self, *, config: DeviceConfig):
        self.config = config
        self.map = MemoryMap(config)
        super().__init__(
            {
                "instruction": In(INSTRUCTION),
                "start": In(1),
                "busy": Out(1),
                "step": In(WORD_BITS),
                "input_base": In(range(region_tiles(config)[Region.INPUT])),
                "target_base": In(range(region_tiles(config)[Region.TARGET])),
                "states": In(data.ArrayLayout(STATE_BITS, config.lanes)),
                "lfsr_step": Out(1),
                "synapses": Out(1),
                "counted": Out(1),
                "correct": Out(1),
                "report": Out(ReportSignature()),
                "address": Out(self.map.bits),
                "read": Out(1),
                "write": Out(1),
                "data": Out(WORD_BITS),
                "word": In(signed(WORD_BITS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        self._lane_bits = exact_log2(config.lanes)
        self._sum = Signal(signed(SUM_BITS), name="sum")
        self._mode, self._spike = Signal(name="mode"), Signal(name="spike")
        self._lane = Signal(self._lane_bits, name="lane")
        self._fixed = Signal(self._lane_bits, name="fixed")
        self._counted = Signal(name="counted_down")
        self._now = now = Signal(WORD, name="now")
        self._over = Signal(name="over")
        self._limited, over = limited(self._sum)
        m.d.sync += self._over.eq(over)
        self._found, self._empty = Signal(name="found"), Signal(name="empty")
        m.submodules.factor = self._factor = RowFactor(config=config)
        goes = self._follow(m)
        self._address(m)
        self._calculate(m)
        self._take_effect(m)
        self._scale(m)
        m.d.comb += [
            self.read.eq(self.busy & now.read),
            self.write.eq(self.busy & now.write & ~goes),
            self.data.eq(self._sum[:WORD_BITS]),
        ]
        return m

    def _does(self, effect: Effect) -> Value:
        return self.busy & (self._now.effect == effect)

    def _follow(self, m: Module) -> Value:
        """From step to step. Returns whether the present one goes elsewhere."""
        code = microcode(self.config.lanes)
        m.submodules.code = memory = Memory(
            shape=WORD.size, depth=len(code), init=code
        )
        port = memory.read_port()
        now = self._now
        m.d.comb += [now.as_value().eq(port.data), port.en.eq(1)]
        place, link = Signal(len(port.addr), name="place"), Signal(len(port.addr), name="back_to")
        goes, following = Signal(name="goes"), Signal(len(port.addr), name="following")
        m.d.comb += [following.eq(place + 1), goes.eq(self._holds() ^ now.unless)]
        m.d.comb += port.addr.eq(following)
        with m.If(~self.busy):
            m.d.comb += port.addr.eq(self.instruction.opcode[:ENTRY_BITS])
        with m.Elif(goes):
            m.d.comb += port.addr.eq(Mux(now.back, link, now.target))
            with m.If(now.link):
                m.d.sync += link.eq(following)
        m.d.sync += place.eq(port.addr)
        with m.If(self.start):
            m.d.sync += self.busy.eq(1)
        with m.Elif(self._does(Effect.DONE)):
            m.d.sync += self.busy.eq(0)
        return goes

    def _holds(self) -> Value:
        """Whether the step's condition does."""
        i = self.instruction
        lane = self._lane
        holds = {
            Condition.ALWAYS: Const(1, 1),
            Condition.COUNTED: self._counted,
            Condition.NEGATIVE: self._sum[-1],
            Condition.OVER: self._over,
            Condition.LAST: lane.all(),
            Condition.FIRST: ~lane.any(),
            Condition.MODE: self._mode,
            Condition.SPIKE: self._spike,
            # Encodings that there are not are levels.
            Condition.ENCODING_0: i.activation[0] | i.activation[2],
            Condition.ENCODING_1: i.activation[1] | i.activation[2],
            Condition.FOUND: self._found,
            Condition.EMPTY: self._empty,
        }
        return Cat(i.flags[: Condition.ALWAYS], *holds.values()).bit_select(self._now.condition, 1)

    def _address(self, m: Module) -> None:
        """Base and offset, and where they are saved."""
        now, i, places = self._now, self.instruction, self.map
        lanes, lane_bits = self.config.lanes, self._lane_bits
        rows = {
            Base.PARAMETERS: i.right_depth,
            Base.POPULATION: i.dest_base,
            Base.TRACES: i.right_base,
        }
        state = places.bases[Region.STATE]
        tile_bits = 2 * lane_bits
        samples = {
            Opcode.ENCODE: self.input_base | (places.bases[Region.INPUT] >> tile_bits),
            Opcode.CLIMB: self.target_base | (places.bases[Region.TARGET] >> tile_bits),
        }
        buffer = Signal(places.bits - tile_bits, name="buffer")
        m.d.comb += buffer.eq(places.bases[Region.WEIGHT] >> tile_bits)
        with m.Switch(i.opcode):
            for opcode, tile in samples.items():
                with m.Case(opcode):
                    m.d.comb += buffer.eq(tile)
        # There in time: the instruction holds still from `start` on.
        first = Signal(places.bits, name="first_tile", reset_less=True)
        m.d.sync += first.eq(i.left_base + buffer)
        constant: dict[Base, Value] = {
            Base.SCRATCH: Const(places.scratch, places.bits),
            Base.LIST: (i.gate | places.bases[Region.EVENTS])[: places.bits],
            Base.TILES: first,
            **{base: ((row << lane_bits) | state)[: places.bits] for base, row in rows.items()},
        }
        pointers = {base: Signal(places.bits, name=base.name.lower()) for base in POINTERS}
        begins = Signal(places.bits, name="base")
        m.d.comb += begins.eq(by_number(now.base, {**constant, **pointers}))
        # Of the word before, so that a cycle has time for one memory and one adder.
        before = Signal(WORD_BITS, name="before", reset_less=True)
        m.d.sync += before.eq(self.word)
        further = Mux(now.word, before >> lane_bits, now.offset)
        place = Signal(places.bits, name="place_of")
        m.d.comb += place.eq(begins + further)
        for number, pointer in enumerate(pointers.values()):
            with m.If(self.busy & now.save & (now.pointer == number)):
                m.d.sync += pointer.eq(place)

        row = Mux(self._mode & ~now.word, self._fixed, self._lane)
        other = Mux(self._mode, self._lane, self._fixed)
        column = Mux(now.word, before[:lane_bits], other)
        element = Cat((row + column)[:lane_bits], row, place[: places.bits - tile_bits])
        assert len(element) == places.bits and lanes == 1 << lane_bits
        m.d.comb += self.address.eq(Mux(now.tile, element, place))

    def _calculate(self, m: Module) -> None:
        """The sum, what is added to it, and the product."""
        now, i, total = self._now, self.instruction, self._sum
        factor = Signal(signed(WORD_BITS), name="factor")
        half = Signal(name="half")
        m.submodules.multiplier = multiplier = Multiplier(
            a_width=WORD_BITS, b_width=WORD_BITS, family=self.config.family
        )
        m.d.comb += [multiplier.a.eq(factor), multiplier.b.eq(total[:WORD_BITS].as_signed())]
        with m.If(self._does(Effect.FACTOR)):
            m.d.sync += factor.eq(self.word)

        fields = {
            Field.ROWS: i.rows,
            Field.COLUMNS: i.columns,
            Field.STRIDE: i.left_inner << self._lane_bits,
            Field.SPACING: i.leak_shift,
            Field.STEP: self.step,
            Field.FACTOR: self._factor.factor,
        }
        operands = {
            Operand.WORD: self.word,
            Operand.WORD_HIGH: self.word << WORD_BITS,
            Operand.PRODUCT: multiplier.product,
            Operand.PRODUCT_HIGH: multiplier.product >> (WORD_BITS - 1),
            Operand.RANDOM: Cat(*(s[WORD_BITS:] for s in self.states)).word_select(
                self._lane, WORD_BITS
            ),
            Operand.HALF: half,
            Operand.ONE: Const(1, 2),
        }
        field = Signal(WORD_BITS, name="field")
        m.d.comb += field.eq(by_number(Value.cast(now.field), fields))
        operands[Operand.FIELD] = field
        operand = Signal(signed(SUM_BITS), name="operand")
        m.d.comb += operand.eq(by_number(Value.cast(now.operand), operands))

        less = now.operation == Operation.SUBTRACT
        before = Mux(now.operation == Operation.LOAD, 0, total)
        other = operand ^ less.replicate(SUM_BITS).as_signed()
        added = Cat(less, before).as_signed() + Cat(less, other).as_signed()
        with m.If(self.busy):
            with m.Switch(now.operation):
                with m.Case(Operation.LOAD, Operation.ADD, Operation.SUBTRACT):
                    m.d.sync += total.eq(added >> 1)
                with m.Case(Operation.HALVE):
                    m.d.sync += total.eq(total >> 1)
                with m.Case(Operation.DROP):
                    m.d.sync += total.eq(total >> WORD_BITS)
                with m.Case(Operation.LIMIT):
                    m.d.sync += total.eq(self._limited)
                with m.Case(Operation.CLEAR):
                    m.d.sync += total.eq(0)
            with m.If(now.operation == Operation.LOAD):
                m.d.sync += half.eq(0)
            with m.Elif(now.operation == Operation.HALVE):
                m.d.sync += half.eq(total[0])

    def _take_effect(self, m: Module) -> None:
        """Counter, lanes, marks and what leaves the processor."""
        now, i = self._now, self.instruction
        counter, following = Signal(WORD_BITS, name="counter"), Signal(WORD_BITS, name="count")
        m.d.comb += following.eq(counter)
        # From registers, as all that a step may depend on.
        m.d.sync += [counter.eq(following), self._counted.eq(~following.any())]
        first = ~self._lane.any()
        with m.If(self.busy):
            with m.Switch(now.effect):
                with m.Case(Effect.COUNT):
                    m.d.comb += following.eq(self._sum)
                with m.Case(Effect.COUNT_SHIFT):
                    m.d.comb += following.eq(i.shift)
                with m.Case(Effect.COUNT_DOWN):
                    m.d.comb += following.eq(counter - 1)
                with m.Case(Effect.LANE):
                    m.d.sync += self._lane.eq(self._lane + 1)
                with m.Case(Effect.WRAP):
                    m.d.sync += self._lane.eq(0)
                with m.Case(Effect.FIX):
                    m.d.sync += self._fixed.eq(self._sum)
                with m.Case(Effect.MODE_ON):
                    m.d.sync += self._mode.eq(1)
                with m.Case(Effect.MODE_OFF):
                    m.d.sync += self._mode.eq(0)
                with m.Case(Effect.SPIKE_ON):
                    m.d.sync += self._spike.eq(1)
                with m.Case(Effect.SPIKE_OFF):
                    m.d.sync += self._spike.eq(0)
        answered = Signal(name="answered")
        m.d.sync += answered.eq(self._does(Effect.ANSWER))
        with m.If(self._does(Effect.ANSWER)):
            m.d.sync += self.correct.eq(~self._sum.any())
        m.d.comb += [
            self.lfsr_step.eq(self._does(Effect.RANDOM_STEP)),
            self.synapses.eq(self._does(Effect.SYNAPSE) & first),
            self.counted.eq(answered),
            self.report.valid.eq(self._does(Effect.REPORT)),
            self.report.statistic.eq(i.statistic),
            self.report.amount.eq(self._sum),
        ]

    def _scale(self, m: Module) -> None:
        """The factor of a row, from one magnitude or square of its weights after the other."""
        i, factor, take = self.instruction, self._factor, self._does(Effect.TAKE)
        with m.If(take | factor.done):
            m.d.sync += [self._found.eq(factor.done), self._empty.eq(factor.empty)]
        m.d.comb += [
            factor.take.eq(take),
            factor.products[0].eq(self._sum),
            factor.last.eq(self._counted),
            factor.euclidean.eq((i.flags & ScaleFlag.EUCLIDEAN).any()),
            factor.wanted.eq(self.word),
            factor.shift.eq(i.shift),
        ]


def scratch(config: DeviceConfig) -> dict[int, int]:
    """The words that are not 0 from the beginning, by their places: the microcode's constants."""
    first = MemoryMap(config).scratch
    return {
        first + which: value % (1 << WORD_BITS)
        for which, value in constants(config.lanes).items()
    }
