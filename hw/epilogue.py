"""The epilogue: turns columns of accumulators into words (forward, backward) or into gradients.

    accumulators --> serialise --> Narrower --> ActivationUnit --> collect --> words | gradients
                                   shift,            ^                |
    gate ----------> serialise ----round,------------+         ^      +------> saturations
    random, rate --> dropped? ---------------------------------+
    tag, mask ---------------------saturate-----------------------------------> tag, mask

A column is L accumulators. A part with few cells takes it in `interval` portions of L / interval
lanes, and so has datapaths for one portion only.
"""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out

from hw.activation import FIELD_BITS, ActivationUnit, limit, pipeline, registered
from hw.activity import entered, stage, with_domains
from hw.config import DeviceConfig
from hw.isa import Activation, Opcode
from hw.numbers import DROPOUT_BITS, GRADIENT_BITS, WORD_BITS


class Narrower(wiring.Component):
    """sim.golden.units.narrow: rounding right shift, then saturation, `lanes` a cycle.

        |x| --> >> 32, 16 --> >> 8, 4 --> >> 2, 1 --> + half, sign --> saturate --> values

    The shifter works on |x|, or rather on the complement of a negative x, one bit longer below: so
    bits that it pushes in are 0, and what it drops above overflows if it is not 0. Half, the last
    bit that left, is added after the shift. LATENCY cycles, whose registers are in as many stages.

    Members
    -------
    accumulators, shift: In
    wide: In, narrow to GRADIENT_BITS and not to WORD_BITS
    values: Out; saturated: Out, the lanes that saturated
    """

    LATENCY = 5

    def __init__(self, *, lanes: int, accumulator_width: int) -> None:
        self.lanes = lanes
        self.accumulator_width = accumulator_width
        super().__init__(
            {
                "accumulators": In(ArrayLayout(signed(accumulator_width), lanes)),
                "shift": In(FIELD_BITS["shift"]),
                "wide": In(1),
                "values": Out(ArrayLayout(signed(GRADIENT_BITS), lanes)),
                "saturated": Out(lanes),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        shift = pipeline(m, self.shift, 2, "shift", cycle=0)
        wide = pipeline(m, self.wide, self.LATENCY - 1, "wide", cycle=0)[-1]
        for lane in range(self.lanes):
            total, sign, over = self._rounded(m, lane, shift)
            word, word_over = limit(total, WORD_BITS)
            gradient, gradient_over = limit(total, GRADIENT_BITS)
            exceeds = over | Mux(wide, gradient_over, word_over)
            highest = Cat(
                ((~sign).replicate(WORD_BITS - 1)),
                Mux(wide, ~sign, sign).replicate(GRADIENT_BITS - WORD_BITS),
                sign,
            )
            value = Mux(exceeds, highest, total)[:GRADIENT_BITS].as_signed()
            value = registered(m, value, f"value_{lane}", cycle=4)
            exceeds = registered(m, exceeds, f"saturated_{lane}", cycle=4)
            m.d.comb += [self.values[lane].eq(value), self.saturated[lane].eq(exceeds)]
        return m

    def _rounded(self, m: Module, lane: int, shift: list[Value]) -> tuple[Value, Value, Value]:
        """Cycles 0 to 4: the rounded value, its sign before rounding, whether bits were dropped."""
        accumulator = self.accumulators[lane]
        sign = pipeline(m, accumulator[-1], 4, f"sign_{lane}", cycle=0)
        # Bit 0 is the one below the point; that of a complement is the sign.
        magnitude: Value = Cat(sign[0], accumulator[:-1] ^ sign[0].replicate(len(accumulator) - 1))
        over: Value = Const(0, 1)
        for cycle, bits in enumerate(((5, 4), (3, 2), (1, 0))):
            for bit in bits:
                magnitude = Mux(shift[cycle][bit], magnitude >> (1 << bit), magnitude)
            # The last stage leaves one bit more than a gradient has, for one that rounding brings
            # back in range. Later stages shift by less than 2**bits[-1]: bits above overflow.
            keep = GRADIENT_BITS + (1 << bits[-1])
            over = over | magnitude[keep:].any()
            magnitude = magnitude[:keep]
            over = registered(m, over, f"over_{cycle}_{lane}", cycle=cycle)
            if cycle < 2:
                magnitude = registered(m, magnitude, f"magnitude_{cycle}_{lane}", cycle=cycle)
        restored = magnitude ^ sign[2].replicate(len(magnitude))
        restored = registered(m, restored, f"restored_{lane}", cycle=2)
        floor = Cat(restored[1:], sign[3]).as_signed()
        total = registered(m, floor + restored[0], f"total_{lane}", cycle=3)
        return total, sign[4], registered(m, over, f"over_{lane}", cycle=3)


class Epilogue(wiring.Component):
    """Narrows a column, then activates it, gates it, or leaves it as gradients.

    FORWARD words = activate(narrow(accumulators)), BACKWARD words = gate(narrow(accumulators),
    gate), GRADIENT gradients = narrow(accumulators, GRADIENT_BITS), to the bit as in
    sim.golden.units. With dropout the words of FORWARD may be units.scaled, and then units.dropped,
    and those of BACKWARD be 0 where the gate is. A column may come every `interval` cycles; nothing
    holds it back. Its result comes LATENCY cycles later, whichever its opcode.

    Parameters
    ----------
    config: sizes, multipliers, and whether there are sigmoid and tanh, and with a spiking half
        SURROGATE, which else do nothing
    tag_width: bits that accompany a column
    interval: least cycles from one column to the next, a power of two up to L; area is about
        inverse to it

    Members
    -------
    valid: In, the following hold a column
    opcode, activation, shift, fraction, leak_shift: In, as in the instruction; FORWARD, BACKWARD
        or GRADIENT. Sigmoid and tanh need a fraction from 8 to 14
    mask: In, lanes that are there; saturations of others do not count
    accumulators: In
    tag: In, delivered unchanged
    gate: In, stored outputs, GATE_OFFSET cycles after their column
    drop, scale: In, as in DropoutFlag; GRADIENT heeds neither
    rate, random: In, the rate of dropout and a random number for each lane, likewise GATE_OFFSET
        cycles after their column; a lane is dropped where its number is below the rate. Like `drop`
        and `scale`, only there with dropout
    o_valid, o_mask, o_tag: Out, as they came
    words: Out, results of FORWARD and BACKWARD
    gradients: Out, results of GRADIENT
    saturations: Out, number of lanes that narrowing saturated, and again of those gating did

    Raises ValueError for a negative tag width, an interval that does not divide the lanes, or a
    spiking half without sigmoid and tanh.
    """

    GATE_OFFSET = Narrower.LATENCY

    def __init__(
        self,
        *,
        config: DeviceConfig,
        tag_width: int,
        interval: int = 1,
    ) -> None:
        if tag_width < 0:
            raise ValueError(f"tag_width must be at least 0, not {tag_width}")
        if not 1 <= interval <= config.lanes or config.lanes % interval:
            raise ValueError(f"interval must divide lanes = {config.lanes}, not {interval}")
        if config.spiking and not config.sigmoid:
            raise ValueError(
                f"sigmoid of configuration {config.name!r} must be on, as surrogate gradients take "
                "its multipliers; leave the spiking half out or put sigmoid in"
            )
        self.config = config
        self.tag_width = tag_width
        self.interval = interval
        self.portion = config.lanes // interval
        activation_latency = ActivationUnit.latency(sigmoid=config.sigmoid)
        self._collect = 1 + Narrower.LATENCY + activation_latency
        self.LATENCY = self._collect + interval
        dropout = {
            "drop": In(1),
            "scale": In(1),
            "rate": In(DROPOUT_BITS),
            "random": In(ArrayLayout(DROPOUT_BITS, config.lanes)),
        }
        super().__init__(
            {
                "valid": In(1),
                "opcode": In(Opcode),
                "activation": In(FIELD_BITS["activation"]),
                "shift": In(FIELD_BITS["shift"]),
                "fraction": In(FIELD_BITS["fraction"]),
                "leak_shift": In(FIELD_BITS["leak_shift"]),
                "mask": In(config.lanes),
                "accumulators": In(ArrayLayout(signed(config.accumulator_width), config.lanes)),
                "tag": In(tag_width),
                "gate": In(ArrayLayout(signed(WORD_BITS), config.lanes)),
                **(dropout if config.dropout else {}),
                "o_valid": Out(1),
                "o_mask": Out(config.lanes),
                "o_tag": Out(tag_width),
                "words": Out(ArrayLayout(signed(WORD_BITS), config.lanes)),
                "gradients": Out(ArrayLayout(signed(GRADIENT_BITS), config.lanes)),
                "saturations": Out(range(2 * config.lanes + 1)),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        self._valid = Signal(self.LATENCY + 1)
        m.d.sync += self._valid[1:].eq(Cat(self.valid, self._valid[1:-1]))
        m.d.comb += self._valid[0].eq(self.valid)
        narrower = self._narrower(m)
        unit = self._activated(m, narrower)
        for name, part, cycle in (
            ("narrower", narrower, 1),
            ("activation", unit, 1 + Narrower.LATENCY),
        ):
            m.submodules[name] = entered(part, latency=part.LATENCY, cycle=cycle)
        narrowed = pipeline(
            m, narrower.saturated, unit.LATENCY, "narrower_saturated", cycle=1 + Narrower.LATENCY
        )[-1]
        saturated = [a + b for a, b in zip(narrowed, unit.saturated, strict=True)]
        results = [unit.results[lane] for lane in range(self.portion)]
        if self.config.dropout:
            results = self._dropped(m, unit, results)
        self._collected(m, results)
        self._leave(m, saturated)
        # A column is in a stage for as many cycles as it has portions.
        moving = {
            stage(cycle): self._valid[cycle : cycle + self.interval].any()
            for cycle in range(self.LATENCY)
        }
        return with_domains(m, moving, platform)

    def _leave(self, m: Module, saturated: list[Value]) -> None:
        """What accompanies a column, and its saturations."""
        last = self._collect - 1
        mask = self._accompanied(m, self.mask, last, "mask")
        self._counted(m, self._serialised(m, [*mask], last, "lane_there"), saturated)
        m.d.comb += [
            self.o_valid.eq(self._valid[self.LATENCY]),
            self.o_tag.eq(self._accompanied(m, self.tag, self.LATENCY, "tag")),
            self.o_mask.eq(self._accompanied(m, mask, self.LATENCY, "mask", since=last)),
        ]

    def _accompanied(
        self, m: Module, value: Value, cycle: int, name: str, *, since: int = 0
    ) -> Value:
        """What `value` is in cycle `since` of a column, held from `cycle` for `interval` cycles.

        As columns are `interval` cycles apart, a register every so many cycles is enough.
        """
        for load in [*range(since, cycle - 1, self.interval), cycle - 1]:
            register = Signal(value.shape(), name=f"{name}_{load + 1}", reset_less=True)
            source = value if self.interval == 1 else Mux(self._valid[load], value, register)
            m.d[stage(load)] += register.eq(source)
            value = register
        return value

    def _serialised(
        self, m: Module, values: Sequence[Value], load: int, name: str
    ) -> Sequence[Value]:
        """What `values` are in cycle `load` of a column, a portion a cycle from then on."""
        registers = [
            Signal(value.shape(), name=f"{name}_{index}", reset_less=True)
            for index, value in enumerate(values)
        ]
        for index, (register, value) in enumerate(zip(registers, values, strict=True)):
            if index + self.portion < len(registers):
                value = Mux(self._valid[load], value, registers[index + self.portion])
            m.d[stage(load)] += register.eq(value)
        return registers[: self.portion]

    def _narrower(self, m: Module) -> Narrower:
        """Cycles 0 to 6."""
        narrower = Narrower(lanes=self.portion, accumulator_width=self.config.accumulator_width)
        columns = [self.accumulators[lane] for lane in range(self.config.lanes)]
        accumulators = self._serialised(m, columns, 0, "accumulator")
        wide = self.opcode == Opcode.GRADIENT
        m.d.comb += [
            narrower.shift.eq(self._accompanied(m, self.shift, 1, "shift")),
            narrower.wide.eq(self._accompanied(m, wide, 1, "wide")),
            *(narrower.accumulators[lane].eq(value) for lane, value in enumerate(accumulators)),
        ]
        return narrower

    def _activated(self, m: Module, narrower: Narrower) -> ActivationUnit:
        """From cycle 6 on, when the gate has come too."""
        unit = ActivationUnit(
            lanes=self.portion,
            sigmoid=self.config.sigmoid,
            family=self.config.family,
            slope_blocks=self.config.slope_blocks,
            surrogate=self.config.spiking,
            dropout=self.config.dropout,
        )
        start = 1 + self.GATE_OFFSET
        activation = Mux(self.opcode == Opcode.GRADIENT, Activation.LINEAR, self.activation)
        backward = self.opcode == Opcode.BACKWARD
        lanes = range(self.config.lanes)
        positive = self._serialised(
            m, [self.gate[lane] > 0 for lane in lanes], self.GATE_OFFSET, "positive"
        )
        m.d.comb += [
            unit.activation.eq(self._accompanied(m, activation, start, "activation")),
            unit.backward.eq(self._accompanied(m, backward, start, "backward")),
            unit.fraction.eq(self._accompanied(m, self.fraction, start, "fraction")),
            unit.leak_shift.eq(self._accompanied(m, self.leak_shift, start, "leak_shift")),
            unit.positive.eq(Cat(positive)),
        ]
        for lane in range(self.portion):
            m.d.comb += unit.values[lane].eq(narrower.values[lane])
        if self.config.sigmoid:
            words = [self.gate[lane] for lane in lanes]
            outputs = self._serialised(m, words, self.GATE_OFFSET, "gate_word")
            for lane, word in enumerate(outputs):
                m.d.comb += unit.outputs[lane].eq(word)
        if self.config.dropout:
            scale = self.scale & (self.opcode == Opcode.FORWARD)
            rate = self._accompanied(m, self.rate, start, "rate", since=self.GATE_OFFSET)
            m.d.comb += [
                unit.scale.eq(self._accompanied(m, scale, start, "scale")),
                unit.rate.eq(rate),
            ]
        return unit

    def _dropped(self, m: Module, unit: ActivationUnit, results: list[Value]) -> list[Value]:
        """The results, 0 in lanes that are dropped, and -1 for what else could be taken for that.

        A stored 0 stops a delta of ReLU and sigmoid anyhow.
        """
        backward = self.opcode == Opcode.BACKWARD
        drop = self.drop & (backward | (self.opcode == Opcode.FORWARD))
        kept = drop & ~backward
        kept &= (self.activation != Activation.RELU) & (self.activation != Activation.SIGMOID)
        kept = self._accompanied(m, kept, self._collect, "kept")
        drop = self._accompanied(m, drop, self.GATE_OFFSET, "drop")
        backward = self._accompanied(m, backward, self.GATE_OFFSET, "gated")
        absent = [
            drop & Mux(backward, self.gate[lane] == 0, self.random[lane] < self.rate)
            for lane in range(self.config.lanes)
        ]
        absent = Cat(self._serialised(m, absent, self.GATE_OFFSET, "absent"))
        absent = pipeline(m, absent, unit.LATENCY, "absent_late", cycle=1 + self.GATE_OFFSET)[-1]
        words = []
        for lane, result in enumerate(results):
            mark = kept & (result[:WORD_BITS] == 0)
            words.append(Mux(absent[lane], 0, result | mark.replicate(GRADIENT_BITS)))
        return words

    def _collected(self, m: Module, results: Sequence[Value]) -> None:
        """The last `interval` cycles: portions enter at the top and move down."""
        registers = [
            Signal(signed(GRADIENT_BITS), name=f"collected_{lane}", reset_less=True)
            for lane in range(self.config.lanes)
        ]
        sources = [*registers[self.portion :], *results]
        for lane, (register, source) in enumerate(zip(registers, sources, strict=True)):
            m.d[stage(self._collect)] += register.eq(source)
            m.d.comb += [
                self.words[lane].eq(register[:WORD_BITS]),
                self.gradients[lane].eq(register),
            ]

    def _counted(self, m: Module, there: Sequence[Value], saturated: list[Value]) -> None:
        """In the same cycles, saturations of the lanes that are there add up."""
        counts = [Mux(lane, count, 0) for lane, count in zip(there, saturated, strict=True)]
        total = Signal.like(self.saturations, reset_less=True)
        before = 0 if self.interval == 1 else Mux(self._valid[self._collect], 0, total)
        m.d[stage(self._collect)] += total.eq(before + _sum(counts))
        m.d.comb += self.saturations.eq(total)


def _sum(terms: list[Value]) -> Value:
    """The sum of `terms`, as a balanced tree."""
    if len(terms) == 1:
        return terms[0]
    middle = len(terms) // 2
    return _sum(terms[:middle]) + _sum(terms[middle:])
