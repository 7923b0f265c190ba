"""The activation unit: bends pre-activations, or gates deltas by the derivative of what it bent.

    values --> CurveUnit ------> rectify, leak ----------------+--> results
               | z, or table(z)                                |
    outputs -> | slope of y ---> x delta --> round, saturate --+--> saturated

ReLU and leaky ReLU look at a sign: that of the value going forward, that of the stored output going
backward. Sigmoid and tanh read one table of half a sigmoid going forward; going backward they take
the slope from the stored output, y (1 - y) or 1 - y**2. Where neurons spike, with `surrogate`, what
is stored is the slope itself. With `dropout` the multipliers by slopes scale values going forward,
those that are bent by a factor of their own. Without `sigmoid` only the rectifier is there, and
values go straight to it.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out

from hw.activity import entered, stage, while_active
from hw.block_table import BlockTable
from hw.config import Family
from hw.isa import FIELDS, Activation
from hw.multiplier import Multiplier
from hw.numbers import DROPOUT_BITS, GRADIENT_BITS, WORD_BITS
from hw.tables import SIGMOID

FIELD_BITS = {field.name: field.width for field in FIELDS}

SLOPE_BITS = WORD_BITS + 1
"""A slope has 15 fraction bits and reaches 1; that of an output out of range saturates."""

UNIT = 1 << (WORD_BITS - 1)
"""1 in u1.15."""


def registered(m: Module, value: Value, name: str, *, cycle: int | None = None) -> Signal:
    """`value` a cycle later; not reset, since a valid flag goes with it.

    The register is in the domain of stage `cycle` of a pipeline, or in "sync".
    """
    register = Signal(value.shape(), name=name, reset_less=True)
    m.d["sync" if cycle is None else stage(cycle)] += register.eq(value)
    return register


def pipeline(
    m: Module, value: Value, length: int, name: str, *, cycle: int | None = None
) -> list[Value]:
    """`value`, there in `cycle`, now and after each of `length` cycles; domains as above."""
    stages = [value]
    for index in range(length):
        now = None if cycle is None else cycle + index
        stages.append(registered(m, stages[-1], f"{name}_{index + 1}", cycle=now))
    return stages


def limit(value: Value, bits: int) -> tuple[Value, Value]:
    """A signed value limited to a signed word of `bits` bits, and whether it was limited."""
    sign = value[-1]
    exceeds = (value[bits - 1 : -1] ^ sign.replicate(len(value) - bits)).any()
    limit = Cat((~sign).replicate(bits - 1), sign)
    return Mux(exceeds, limit, value[:bits]).as_signed(), exceeds


class CurveUnit(wiring.Component):
    """Sigmoid and tanh of values, and their derivatives from outputs, `lanes` a cycle.

        |z| --> + half --> >> --> min --> table --> +-, + half --> >> --> or z --> results
        y, one - y --> multiply ----> + half --> >> --> limit --> 1 - ... -------> slopes

    results = sim.golden.units.activate(z) where `apply`, else z; slopes are those of
    sim.golden.units.gate, with 15 fraction bits. LATENCY cycles for all.

    Parameters
    ----------
    lanes: lanes of a cycle
    family: of the multipliers and of the tables
    blocks: whether slopes come from the family's multiplier blocks, or from cells
    surrogate: whether outputs may be slopes themselves

    Members
    -------
    apply: In, whether results are curved; `slope`: In, whether slopes are asked for
    tanh: In, tanh and not sigmoid
    surrogate: In, the slope is the output, whatever the fraction, and not tanh; only there with
        `surrogate`
    fraction: In, fraction bits of values and outputs, 8 to 14
    values, outputs: In, z and y
    results, slopes: Out
    """

    LATENCY = 8

    def __init__(
        self, *, lanes: int, family: Family, blocks: bool = True, surrogate: bool = False
    ) -> None:
        if Multiplier.LATENCY != 3:
            raise ValueError(
                f"the curve unit's stages need a multiplier latency of 3, not {Multiplier.LATENCY}"
            )
        self.lanes = lanes
        self.family: Family = family
        self.blocks = blocks
        self.has_surrogate = surrogate
        super().__init__(
            {
                "apply": In(1),
                "slope": In(1),
                "tanh": In(1),
                **({"surrogate": In(1)} if surrogate else {}),
                "fraction": In(FIELD_BITS["fraction"]),
                "values": In(ArrayLayout(signed(GRADIENT_BITS), lanes)),
                "outputs": In(ArrayLayout(signed(WORD_BITS), lanes)),
                "results": Out(ArrayLayout(signed(GRADIENT_BITS), lanes)),
                "slopes": Out(ArrayLayout(signed(SLOPE_BITS), lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m, outer = Module(), Module()
        outer.submodules.curves = while_active(
            m, self.apply | self.slope, platform, name="curves", after=self.LATENCY - 1
        )
        apply = pipeline(outer, self.apply, self.LATENCY - 1, "apply", cycle=0)
        self._tanh = pipeline(m, self.tanh, self.LATENCY - 1, "tanh")
        # A slope that is there goes the way of y (1 - y): as y * 2, shifted by 1 as for f = 8.
        self._there = self.surrogate if self.has_surrogate else Const(0, 1)
        # Fractions are from 8 to 14: f - 8 is in the low three bits, and 15 - f their complement.
        excess = self.fraction[:3] & ~self._there.replicate(3)
        self._excess = pipeline(m, excess, self.LATENCY - 1, "excess")
        self._index_shift = pipeline(m, (self.fraction[:3] + ~self.tanh)[:3], 2, "index_shift")
        half = (Const(1, 8) << self._index_shift[0])[1:]
        self._index_half = registered(m, half, "index_half")
        half = (Const(1, 8) << ~self._excess[4])[1:]
        self._result_half = registered(m, half, "result_half")
        self._slope_half = registered(m, _even_power(self._excess[3]), "slope_half")
        addresses = [self._address(m, lane) for lane in range(self.lanes)]
        words = self._look_up(m, addresses)
        for lane in range(self.lanes):
            values = pipeline(outer, self.values[lane], self.LATENCY - 1, f"value_{lane}", cycle=0)
            curved = self._curved(m, lane, values, words[lane])
            result = Mux(apply[-1], curved, values[-1])[:GRADIENT_BITS].as_signed()
            result = registered(outer, result, f"result_{lane}", cycle=self.LATENCY - 1)
            outer.d.comb += self.results[lane].eq(result)
            m.d.comb += self.slopes[lane].eq(self._slope(m, lane))
        return outer

    def _address(self, m: Module, lane: int) -> Value:
        """Cycles 0 to 4: round(|z| >> shift), limited to the table."""
        z = self.values[lane][:WORD_BITS].as_signed()
        magnitude = registered(m, Mux(z < 0, -z, z)[:WORD_BITS], f"magnitude_{lane}")
        rounding = (magnitude + self._index_half)[:WORD_BITS]
        rounding = registered(m, rounding, f"rounding_{lane}")
        index = registered(m, rounding >> self._index_shift[2], f"index_{lane}")
        bits = (len(SIGMOID) - 1).bit_length()
        address = index[:bits] | index[bits:].any().replicate(bits)
        return registered(m, address, f"address_{lane}")

    def _look_up(self, m: Module, addresses: list[Value]) -> list[Value]:
        """Cycles 4 to 6: two lanes share a table, since a block RAM has two ports."""
        words: list[Value] = []
        for first in range(0, self.lanes, 2):
            readers = min(2, self.lanes - first)
            m.submodules[f"table_{first}"] = table = BlockTable(
                SIGMOID, readers=readers, family=self.family
            )
            for reader in range(readers):
                m.d.comb += table.addresses[reader].eq(addresses[first + reader])
                words.append(table.words[reader])
        return words

    def _curved(self, m: Module, lane: int, values: list[Value], word: Value) -> Value:
        """Cycles 6 to 7: word, 1 - word, 2 word - 1 or 1 - 2 word, rounded to `fraction` bits."""
        negative = values[5][-1]
        offset = Mux(negative, UNIT + 1, Mux(self._tanh[5], -UNIT, 0)) + self._result_half
        offset = registered(m, offset, f"offset_{lane}")
        term = Mux(self._tanh[6], Cat(Const(0, 1), word), word)
        term = Mux(values[6][-1], ~Cat(term, 0).as_signed(), Cat(term, 0).as_signed())
        total = registered(m, (term + offset)[: WORD_BITS + 2].as_signed(), f"total_{lane}")
        curved = Signal(total.shape(), name=f"curved_{lane}")
        m.d.comb += curved.eq(total >> ~self._excess[7])
        return curved

    def _slope(self, m: Module, lane: int) -> Value:
        """y (1 - y) or 1 - y**2, rounded to 15 fraction bits and limited to SLOPE_BITS."""
        y = self.outputs[lane]
        one = Cat(Const(0, 8), Const(1, 8) << self.fraction[:3])
        other = Mux(self._there, 2, Mux(self.tanh, y, one - y))[: WORD_BITS + 1].as_signed()
        multiplier = Multiplier(
            a_width=WORD_BITS,
            b_width=WORD_BITS + 1,
            family=self.family,
            fabric=not self.blocks,
        )
        m.submodules[f"slope_multiplier_{lane}"] = multiplier
        m.d.comb += [
            multiplier.a.eq(registered(m, y, f"output_{lane}")),
            multiplier.b.eq(registered(m, other, f"other_{lane}")),
        ]
        product = multiplier.product
        rounding = (product + self._slope_half)[: len(product)].as_signed()
        rounding = registered(m, rounding, f"slope_rounding_{lane}")
        # Shifted by 2 f - 15.
        quotient = rounding[1:].as_signed() >> Cat(Const(0, 1), self._excess[5])
        quotient = registered(m, quotient, f"quotient_{lane}")
        # 1 - q then never leaves SLOPE_BITS, as q = y**2 is not negative.
        largest = 3 << (SLOPE_BITS - 2)
        square = Mux(quotient > largest, largest, quotient)
        limited = Mux(self._tanh[6], square, limit(quotient, SLOPE_BITS)[0])
        limited = limited[: SLOPE_BITS + 1].as_signed()
        limited = registered(m, limited, f"limited_{lane}")
        slope = Mux(self._tanh[7], UNIT - limited, limited)[:SLOPE_BITS].as_signed()
        return registered(m, slope, f"slope_{lane}")


def _even_power(exponent: Value) -> Value:
    """4**exponent."""
    return Cat(Cat(exponent == index, Const(0, 1)) for index in range(1 << len(exponent)))


class Rectifier(wiring.Component):
    """ReLU and leaky ReLU, `lanes` a cycle; a bent value is 0 or round(value / 2**leak_shift).

        values --> 0 or + half --> >> 8, 4 --> >> 2, 1 --> results

    LATENCY cycles. A bent value is a 16-bit word; others pass whole.

    Members
    -------
    zero, leak: In, what happens to bent values; neither: nothing
    leak_shift: In
    bend: In, the lanes whose values are bent
    values: In; results: Out
    """

    LATENCY = 3

    def __init__(self, *, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(
            {
                "zero": In(1),
                "leak": In(1),
                "leak_shift": In(FIELD_BITS["leak_shift"]),
                "bend": In(lanes),
                "values": In(ArrayLayout(signed(GRADIENT_BITS), lanes)),
                "results": Out(ArrayLayout(signed(GRADIENT_BITS), lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        shift = pipeline(m, self.leak_shift, 2, "leak_shift", cycle=0)
        half = (Const(1, UNIT.bit_length()) << self.leak_shift)[1:]
        for lane in range(self.lanes):
            leak = pipeline(m, self.leak & self.bend[lane], 2, f"leak_{lane}", cycle=0)
            total = self.values[lane] + Mux(leak[0], half, 0)
            total = Mux(self.zero & self.bend[lane], 0, total)[:GRADIENT_BITS].as_signed()
            total = registered(m, total, f"total_{lane}", cycle=0)
            total = _shifted_word(total, leak[1], shift[1], (3, 2))
            total = registered(m, total, f"shifted_{lane}", cycle=1)
            total = _shifted_word(total, leak[2], shift[2], (1, 0))
            m.d.comb += self.results[lane].eq(registered(m, total, f"result_{lane}", cycle=2))
        return m


def _shifted_word(value: Value, enable: Value, amount: Value, bits: tuple[int, ...]) -> Value:
    """A 17-bit `value` shifted by those `bits` of `amount` if enabled; the bits above stay."""
    word = value[: WORD_BITS + 1].as_signed()
    for bit in bits:
        word = Mux(enable & amount[bit], word >> (1 << bit), word)
    return Cat(word[: WORD_BITS + 1], value[WORD_BITS + 1 :]).as_signed()


_Bending = tuple[list[Value], list[Value], list[Value]]
"""The rectifier's `zero`, `leak` and `leak_shift`, from the entrance to where it has them."""


class ActivationUnit(wiring.Component):
    """sim.golden.units.activate, scaled and gate, `lanes` a cycle, LATENCY cycles for each.

    Parameters
    ----------
    lanes: lanes of a cycle
    sigmoid: whether there are curves; without, SIGMOID and TANH do nothing
    family: of the multipliers by slopes, as for Multiplier, and of the tables
    slope_blocks: whether slopes come from multiplier blocks too, or from cells
    surrogate: whether SURROGATE gates; without, it does nothing. Needs `sigmoid`
    dropout: whether there are `scale` and `rate`. Needs `sigmoid`

    Members
    -------
    backward: In, gate and do not activate
    scale: In, unless backward, multiply what is activated by 1 - `rate` / 2**DROPOUT_BITS
    rate: In
    activation, fraction, leak_shift: In, as in the instruction
    values: In, 16-bit words, or gradients of GRADIENT_BITS that LINEAR lets pass
    outputs: In, stored outputs; only there with `sigmoid`
    positive: In, for each lane, whether the stored output is above 0
    results: Out
    saturated: Out, lanes whose gating saturated

    Raises ValueError for `surrogate` or `dropout` without `sigmoid`.
    """

    def __init__(
        self,
        *,
        lanes: int,
        sigmoid: bool,
        family: Family,
        slope_blocks: bool = True,
        surrogate: bool = False,
        dropout: bool = False,
    ) -> None:
        if surrogate and not sigmoid:
            raise ValueError(
                "sigmoid must be on where surrogate gradients are, which take its multipliers"
            )
        if dropout and not sigmoid:
            raise ValueError("sigmoid must be on where dropout is, which takes its multipliers")
        self.lanes = lanes
        self.sigmoid = sigmoid
        self.surrogate = surrogate
        self.dropout = dropout
        self.family: Family = family
        self.slope_blocks = slope_blocks
        self.LATENCY = self.latency(sigmoid=sigmoid)
        outputs = {"outputs": In(ArrayLayout(signed(WORD_BITS), lanes))} if sigmoid else {}
        scale = {"scale": In(1), "rate": In(DROPOUT_BITS)} if dropout else {}
        super().__init__(
            {
                "backward": In(1),
                **scale,
                "activation": In(Shape.cast(Activation)),
                "fraction": In(FIELD_BITS["fraction"]),
                "leak_shift": In(FIELD_BITS["leak_shift"]),
                "values": In(ArrayLayout(signed(GRADIENT_BITS), lanes)),
                **outputs,
                "positive": In(lanes),
                "results": Out(ArrayLayout(signed(GRADIENT_BITS), lanes)),
                "saturated": Out(lanes),
            }
        )

    @staticmethod
    def latency(*, sigmoid: bool) -> int:
        """LATENCY, with or without curves."""
        if sigmoid:
            return CurveUnit.LATENCY + Multiplier.LATENCY + 2
        return Rectifier.LATENCY

    def elaborate(self, platform: object) -> Module:
        m = Module()
        delay = CurveUnit.LATENCY if self.sigmoid else 0
        rectifier = Rectifier(lanes=self.lanes)
        m.submodules.rectifier = entered(rectifier, latency=rectifier.LATENCY, cycle=delay)
        zero, leak = (self.activation == kind for kind in (Activation.RELU, Activation.LEAKY_RELU))
        negative = Cat(self.values[lane] < 0 for lane in range(self.lanes))
        bend = Mux(self.backward, ~self.positive, negative)
        bending = (
            pipeline(m, zero, delay, "zero", cycle=0),
            pipeline(m, leak, delay, "leak", cycle=0),
            pipeline(m, self.leak_shift, delay, "leak_shift", cycle=0),
        )
        m.d.comb += [
            rectifier.zero.eq(bending[0][-1]),
            rectifier.leak.eq(bending[1][-1]),
            rectifier.leak_shift.eq(bending[2][-1]),
            rectifier.bend.eq(pipeline(m, bend, delay, "bend", cycle=0)[-1]),
        ]
        if self.sigmoid:
            self._connect_curves(m, rectifier, bending, platform)
        else:
            for lane in range(self.lanes):
                m.d.comb += [
                    rectifier.values[lane].eq(self.values[lane]),
                    self.results[lane].eq(rectifier.results[lane]),
                ]
        return m

    def _connect_curves(
        self, m: Module, rectifier: Rectifier, bending: _Bending, platform: object
    ) -> None:
        """Values through the curve unit to the rectifier, and beside it to the slopes."""
        m.submodules.curve = curve = CurveUnit(
            lanes=self.lanes,
            family=self.family,
            blocks=self.slope_blocks,
            surrogate=self.surrogate,
        )
        tanh = self.activation == Activation.TANH
        curved = tanh | (self.activation == Activation.SIGMOID)
        sloped = curved
        if self.surrogate:
            there = self.activation == Activation.SURROGATE
            sloped = curved | there
            m.d.comb += curve.surrogate.eq(there)
        m.d.comb += [
            curve.apply.eq(curved & ~self.backward),
            curve.slope.eq(sloped & self.backward),
            curve.tanh.eq(tanh),
            curve.fraction.eq(self.fraction),
        ]
        multiplied = sloped & self.backward
        scaled, factor, bent = Const(0, 1), Const(0), Const(0)
        if self.dropout:
            multiplied |= self.scale & ~self.backward
            scaled, factor, bent = self._factors(m, bending)
        gating = pipeline(m, multiplied, self.LATENCY - 1, "gate", cycle=0)
        gate, last = gating[-1], self.LATENCY - 1
        products = Module()
        m.submodules.products = while_active(
            products, gating[CurveUnit.LATENCY], platform, name="products", after=Multiplier.LATENCY
        )
        for lane in range(self.lanes):
            products.submodules[f"gate_multiplier_{lane}"] = multiplier = Multiplier(
                a_width=WORD_BITS, b_width=SLOPE_BITS, family=self.family
            )
            m.d.comb += [
                curve.values[lane].eq(self.values[lane]),
                curve.outputs[lane].eq(self.outputs[lane]),
                rectifier.values[lane].eq(curve.results[lane]),
                multiplier.a.eq(curve.results[lane][:WORD_BITS].as_signed()),
                multiplier.b.eq(curve.slopes[lane]),
            ]
            if self.dropout:
                whole = Mux(rectifier.bend[lane], bent, factor)
                m.d.comb += multiplier.b.eq(Mux(scaled, whole, curve.slopes[lane]))
            rounding = (multiplier.product + (UNIT >> 1)) >> (WORD_BITS - 1)
            rounding = registered(products, rounding, f"rounding_{lane}")
            rectified = CurveUnit.LATENCY + Rectifier.LATENCY
            waiting = last - rectified
            passed = pipeline(
                m, rectifier.results[lane], waiting, f"passed_{lane}", cycle=rectified
            )[-1]
            gated, exceeds = limit(rounding, WORD_BITS)
            result = registered(m, Mux(gate, gated, passed), f"result_{lane}", cycle=last)
            saturated = registered(m, gate & exceeds, f"saturated_{lane}", cycle=last)
            m.d.comb += [self.results[lane].eq(result), self.saturated[lane].eq(saturated)]

    def _factors(self, m: Module, bending: _Bending) -> tuple[Value, Value, Value]:
        """Whether values are scaled, by what, and those that the rectifier bends; as they reach it.

        In u1.15. What leaks is scaled by the upper bits of the factor, which spares a product.
        """
        ready, (zero, leak, leak_shift) = CurveUnit.LATENCY, bending
        scaled = pipeline(m, self.scale & ~self.backward, ready, "scaled", cycle=0)[-1]
        rate = pipeline(m, self.rate, ready - 2, "rate", cycle=0)[-1]
        whole = Cat(Const(0, WORD_BITS - 1 - DROPOUT_BITS), (1 << DROPOUT_BITS) - rate)[:WORD_BITS]
        whole = registered(m, whole, "whole", cycle=ready - 2)
        bent = Mux(zero[-2], 0, Mux(leak[-2], whole >> leak_shift[-2], whole))
        factor = registered(m, whole, "factor", cycle=ready - 1)
        return scaled, factor, registered(m, bent, "bent", cycle=ready - 1)
