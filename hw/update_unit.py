"""The update unit: stochastic gradient descent on a column of a WEIGHT tile, L weights at once.

    gradient --> + r0 --+
    MOMENTUM --> x beta + --> saturate --> v' --> MOMENTUM
                                           |
                                           x eta ----> >> shift --+
                                                                  v
    WEIGHT --+----------------------------- {w, r1} ------------> - --> - --> saturate --> WEIGHT
             +------------> x eta lambda --> >> shift ------------------^

`sim.golden.units.update` is the arithmetic. All cycles are counted from the one in which a vector
sets out; with an `update_interval` of 1 that is the one of `valid`. With 3 a lane has a single
multiplier and a single shifter. A vector then waits at the entrance until a cycle that is a
multiple of 3, so that the products of successive vectors never meet in the multiplier, whatever
the gaps between them; and at the exit, so that it is written a fixed time after `valid` all the
same.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hw.activity import while_active
from hw.config import DeviceConfig
from hw.fan_out import own_register
from hw.lfsr import STATE_BITS, LfsrBank, preceding
from hw.multiplier import Multiplier
from hw.numbers import GRADIENT_BITS, GRADIENT_GUARD_BITS, UPDATE_FRACTION_BITS, WORD_BITS
from hw.saturation import limited, ones
from hw.update_schedule import Kept, Line, Schedule

SHIFT_BITS = 4
"""Bits of the shift that goes with the mantissa of a rate."""

UPDATE_BITS = WORD_BITS + UPDATE_FRACTION_BITS
"""Bits of a weight, and of a step, with the fraction that stochastic rounding looks at."""


def column_read(config: DeviceConfig) -> wiring.Signature:
    """Reads the L words of column `index` of a weight tile; `words` come a fixed time later."""
    members = _column_members(config)
    return wiring.Signature({**members, "words": In(members["words"].shape)})


def column_write(config: DeviceConfig) -> wiring.Signature:
    """Writes the words of the lanes in `mask` into column `index` of a weight tile."""
    return wiring.Signature({**_column_members(config), "mask": Out(config.lanes)})


def _column_members(config: DeviceConfig) -> dict:
    return {
        "enable": Out(1),
        "tile": Out(bits_for(config.weight_tiles - 1)),
        "index": Out(range(config.lanes)),
        "words": Out(data.ArrayLayout(signed(WORD_BITS), config.lanes)),
    }


def shared_lfsrs(config: DeviceConfig) -> dict[str, wiring.Member]:
    """Members by which the spiking half (step) and dropout (leap) draw from a unit's LFSRs."""
    members: dict[str, wiring.Member] = {}
    if config.spiking:
        members["lfsr_step"] = In(1)
    if config.dropout:
        members["lfsr_leap"] = In(1)
    if members:
        members["lfsr_states"] = Out(data.ArrayLayout(STATE_BITS, config.lanes))
    return members


class UpdateUnit(wiring.Component):
    """Momentum and weights of L synapses from their gradients, a column at a time.

    A vector may come every `update_interval` cycles, or later. Its weights are written LATENCY
    cycles after its `valid`. Momentum is written before, at most MOMENTUM_LATENCY cycles after
    `valid`, and unless `config.momentum` there are no members for it. The LFSRs step once for every
    vector, whatever its mask; they are still from LATENCY cycles after the last one.

    Parameters
    ----------
    config: the device's configuration
    read_latency: cycles from the enable of a read to its words

    Members
    -------
    valid: a vector comes
    gradient: L gradients, GRADIENT_GUARD_BITS below a momentum's
    mask: the lanes that are written and counted
    tile, index: the tile, and the column in it
    use_momentum: read and write momentum; otherwise it is 0
    factor: beta in u0.16
    rate, rate_shift: eta as (mantissa, shift), as of all mantissas the upper `rate_width` bits
    decay, decay_shift: eta lambda, likewise; all these hold still while vectors are under way
    weight_read, weight_write, momentum_read, momentum_write: to the memories
    done: the weights of a vector are written
    momentum_saturations, weight_saturations: how many lanes of it saturated; valid with `done`
    lfsr_address, lfsr_write, lfsr_write_data, lfsr_read_data: as LfsrBank, while no vector is
        under way
    lfsr_step, lfsr_leap, lfsr_states: likewise, where there is a spiking half, or dropout, which
        draw from the same LFSRs

    Attributes
    ----------
    LATENCY, MOMENTUM_LATENCY: cycles from `valid` to the writes
    """

    def __init__(self, *, config: DeviceConfig, read_latency: int) -> None:
        if read_latency < 1:
            raise ValueError(f"read_latency must be at least 1, not {read_latency}")
        self.config = config
        self.read_latency = read_latency
        self.schedule = Schedule(config, read_latency)
        waiting = config.update_interval if config.update_interval > 1 else 0
        self.LATENCY = self.schedule.WRITE + waiting
        self.MOMENTUM_LATENCY = self.schedule.FRESH + 1 + waiting

        lanes = config.lanes
        momentum = {
            "momentum_read": Out(column_read(config)),
            "momentum_write": Out(column_write(config)),
        }
        super().__init__(
            {
                "valid": In(1),
                "gradient": In(data.ArrayLayout(signed(GRADIENT_BITS), lanes)),
                "mask": In(lanes),
                "tile": In(bits_for(config.weight_tiles - 1)),
                "index": In(range(lanes)),
                "use_momentum": In(1),
                "factor": In(WORD_BITS),
                "rate": In(WORD_BITS),
                "rate_shift": In(SHIFT_BITS),
                "decay": In(WORD_BITS),
                "decay_shift": In(SHIFT_BITS),
                "weight_read": Out(column_read(config)),
                "weight_write": Out(column_write(config)),
                **(momentum if config.momentum else {}),
                "done": Out(1),
                "momentum_saturations": Out(range(lanes + 1)),
                "weight_saturations": Out(range(lanes + 1)),
                "lfsr_address": In(range(2 * lanes)),
                "lfsr_write": In(1),
                "lfsr_write_data": In(WORD_BITS),
                "lfsr_read_data": Out(WORD_BITS),
                **shared_lfsrs(config),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m, outer = Module(), Module()
        outer.submodules.datapath = while_active(
            m, self.valid, platform, name="update", after=self.LATENCY
        )
        line = Line(m, self.config.update_interval)
        when = self.schedule
        vector = self._enter(m, line)
        outer.submodules.lfsr = lfsr = LfsrBank(
            lanes=self.config.lanes, leaps=self.config.dropout, far=True
        )
        step = self._now(line, vector, when.ADVANCE)
        if self.config.spiking:
            step = step | self.lfsr_step
        if self.config.dropout:
            m.d.comb += lfsr.leap.eq(self.lfsr_leap)
        if self.config.spiking or self.config.dropout:
            m.d.comb += self.lfsr_states.eq(lfsr.states)
        m.d.comb += [
            lfsr.step.eq(step),
            lfsr.address.eq(self.lfsr_address),
            lfsr.write.eq(self.lfsr_write),
            lfsr.write_data.eq(self.lfsr_write_data),
            self.lfsr_read_data.eq(lfsr.read_data),
        ]
        self._read(m, line, vector)

        momenta, over_momenta, weights, over_weights = [], [], [], []
        for lane in range(self.config.lanes):
            random = lfsr.states[lane]
            fresh = Signal(signed(WORD_BITS), name=f"fresh_{lane}")
            beta_v, step, shrink = self._products(m, line, vector, lane, fresh)
            exact = self._momentum(m, line, vector, lane, random[:WORD_BITS], beta_v)
            word, over = limited(exact)
            m.d.comb += fresh.eq(word)
            momenta.append(fresh)
            over_momenta.append(over)
            r1 = preceding(random)[WORD_BITS:]
            exact = self._weight(m, line, lane, r1, (step, shrink))
            word, over = limited(exact)
            weights.append(word)
            over_weights.append(over)

        self._write_momentum(m, line, vector, Cat(momenta))
        over = Cat(over_momenta) & vector["mask"].at(when.FRESH)
        over = Kept(line, ones(over), when.FRESH, "momentum_over")
        self._leave(m, line, vector, Cat(weights), over, Cat(over_weights))
        return outer

    def _enter(self, m: Module, line: Line) -> dict[str, Kept]:
        """A vector from its cycle 0 on."""
        fields = {name: getattr(self, name) for name in ("mask", "tile", "index", "use_momentum")}
        fields["gradient"] = Value.cast(self.gradient)
        valid: Value = self.valid
        if line.interval > 1:
            valid = Signal(name="waiting")
            with m.If(self.valid):
                m.d.sync += valid.eq(1)
            with m.Elif(line.at(0)):
                m.d.sync += valid.eq(0)
            for name, value in fields.items():
                entered = Signal(value.shape(), name=f"entered_{name}", reset_less=True)
                with m.If(self.valid):
                    m.d.sync += entered.eq(value)
                fields[name] = entered
        vector = {name: Kept(line, value, 0, name) for name, value in fields.items()}
        return {**vector, "valid": Kept(line, valid, 0, "valid", reset=True)}

    @staticmethod
    def _now(line: Line, vector: dict[str, Kept], cycle: int) -> Value:
        """Whether a vector is in its cycle `cycle`."""
        return vector["valid"].at(cycle) & line.at(cycle)

    def _read(self, m: Module, line: Line, vector: dict[str, Kept]) -> None:
        """Ask for momentum and weights, `read_latency` cycles ahead."""
        ports = [(self.weight_read, self.schedule.WEIGHT - self.read_latency, Const(1))]
        if self.config.momentum:
            cycle = self.schedule.MOMENTUM - self.read_latency
            ports.append((self.momentum_read, cycle, vector["use_momentum"].at(cycle)))
        for port, cycle, use in ports:
            m.d.comb += [
                port.enable.eq(self._now(line, vector, cycle) & use),
                port.tile.eq(vector["tile"].at(cycle)),
                port.index.eq(vector["index"].at(cycle)),
            ]

    def _products(
        self, m: Module, line: Line, vector: dict[str, Kept], lane: int, fresh: Value
    ) -> tuple[Value, Value, Value]:
        """beta v at SUM, eta v' at STEP, eta lambda w at SHRINK, all of used bits."""
        when = self.schedule
        uses = {
            "step": (when.FRESH, self.rate, fresh),
            "shrink": (when.WEIGHT, self.decay, self.weight_read.words[lane]),
        }
        if self.config.momentum:
            use = vector["use_momentum"].at(when.MOMENTUM)
            factor = Mux(use, self.factor, 0)
            uses["momentum"] = (when.MOMENTUM, factor, self.momentum_read.words[lane])
        groups = [[name] for name in uses] if line.interval == 1 else [list(uses)]
        products: dict[str, Value] = {"momentum": Const(0)}
        for names in groups:
            mantissa = line.choose([(uses[name][0], uses[name][1]) for name in names])
            word = line.choose([(uses[name][0], uses[name][2]) for name in names])
            product = self._product(m, f"{'_'.join(names)}_{lane}", mantissa, word)
            products |= dict.fromkeys(names, product)
        return products["momentum"], products["step"], products["shrink"]

    def _product(self, m: Module, name: str, mantissa: Value, word: Value) -> Value:
        """The product with the used bits of a mantissa, in cells or in a block."""
        width = self.config.rate_width
        mantissa = mantissa[WORD_BITS - width :]
        block = Multiplier(a_width=width + 1, b_width=WORD_BITS, family=self.config.family)
        m.submodules[f"multiplier_{name}"] = block
        m.d.comb += [block.a.eq(mantissa), block.b.eq(word)]
        # A mantissa is not negative, so the sign stands twice on top of the product.
        return block.product[: width + WORD_BITS].as_signed()

    def _momentum(
        self, m: Module, line: Line, vector: dict[str, Kept], lane: int, r0: Value, beta_v: Value
    ) -> Value:
        """v' before saturation, at FRESH.

        The addends have zeros in common below, where r0 alone cannot carry; they are left out.
        """
        when, width = self.schedule, self.config.rate_width
        gradient = vector["gradient"].at(when.DRAW).word_select(lane, GRADIENT_BITS).as_signed()
        r0 = r0[WORD_BITS - width :]
        noisy = Signal(signed(WORD_BITS + width + 1), name=f"noisy_{lane}")
        m.d.comb += noisy.eq((gradient << (width - GRADIENT_GUARD_BITS)) + r0)
        kept = Kept(line, noisy, when.DRAW, f"noisy_{lane}")
        if not self.config.momentum:
            return kept.at(when.FRESH)[width:].as_signed()
        total = Signal(signed(WORD_BITS + width + 1), name=f"momentum_{lane}", reset_less=True)
        m.d.sync += total.eq(kept.at(when.SUM) + beta_v)
        return total[width:].as_signed()

    def _amount(self, m: Module, line: Line, lane: int) -> tuple[Value, Value]:
        """By how much a lane shifts at STEP and at SHRINK."""
        when = self.schedule
        if line.interval == 1:
            rate = own_register(m, self.rate_shift, f"rate_shift_{lane}")
            return rate, own_register(m, self.decay_shift, f"decay_shift_{lane}")
        uses = [(when.STEP - 1, self.rate_shift), (when.SHRINK - 1, self.decay_shift)]
        amount = own_register(m, line.choose(uses), f"amount_{lane}")
        return amount, amount

    def _complement(self, m: Module, name: str, product: Value, amount: Value) -> Value:
        """~p a cycle later, p the floored shift of a product, with UPDATE_FRACTION_BITS.

        An iCE40 adder has no room to invert an operand, but the cells of the shifter have.
        """
        wide = Cat(Const(0, WORD_BITS - self.config.rate_width), product).as_signed()
        complement = Signal(signed(UPDATE_BITS), name=name, reset_less=True)
        m.d.sync += complement.eq(~(wide >> amount))
        return complement

    def _weight(
        self,
        m: Module,
        line: Line,
        lane: int,
        r1: Value,
        products: tuple[Value, Value],
    ) -> Value:
        """w' before saturation, at LAST."""
        when, amount = self.schedule, self._amount(m, line, lane)
        words = self.weight_read.words[lane]
        weight = Kept(line, words, when.WEIGHT, f"weight_{lane}").at(when.LOAD)
        # The LFSR has stepped by then, once: later than r1, which so needs fewer registers.
        drawn = min(when.ADVANCE + line.interval, when.LOAD)
        wide = Cat(Kept(line, r1, drawn, f"r1_{lane}").at(when.LOAD), weight).as_signed()

        # Two subtractions of 32 bits from 32 bits, and they never overflow 34.
        first, second = (
            Signal(signed(UPDATE_BITS + 2), name=f"{name}_{lane}", reset_less=True)
            for name in ("stepped", "shrunk")
        )
        step = self._complement(m, f"step_{lane}", products[0], amount[0])
        if line.interval == 1:
            shrink = self._complement(m, f"shrink_{lane}", products[1], amount[1])
            m.d.sync += [first.eq(_difference(wide, step)), second.eq(_difference(first, shrink))]
        else:
            with m.If(line.at(when.LOAD)):
                m.d.sync += second.eq(wide)
            with m.Else():
                m.d.sync += second.eq(_difference(second, step))
        return second[UPDATE_FRACTION_BITS:].as_signed()

    def _write_momentum(self, m: Module, line: Line, vector: dict[str, Kept], words: Value) -> None:
        if not self.config.momentum:
            return
        cycle, port = self.schedule.FRESH + 1, self.momentum_write
        m.d.comb += [
            port.enable.eq(self._now(line, vector, cycle) & vector["use_momentum"].at(cycle)),
            port.words.eq(Kept(line, words, self.schedule.FRESH, "momenta").at(cycle)),
            *(getattr(port, name).eq(vector[name].at(cycle)) for name in ("mask", "tile", "index")),
        ]

    def _leave(
        self,
        m: Module,
        line: Line,
        vector: dict[str, Kept],
        words: Value,
        over_momentum: Kept,
        over: Value,
    ) -> None:
        """Keep the results from WRITE on, until LATENCY cycles after `valid`."""
        when, port = self.schedule, self.weight_write

        def leaving(value: Value, name: str) -> Value:
            return Kept(line, value, when.LAST, f"leaving_{name}").at(when.WRITE)

        if line.interval == 1:
            m.d.comb += self.done.eq(vector["valid"].at(when.WRITE))
        else:
            on_its_way = Signal(self.LATENCY)
            m.d.sync += on_its_way.eq(Cat(self.valid, on_its_way))
            m.d.comb += self.done.eq(on_its_way[-1])
        over &= vector["mask"].at(when.LAST)
        m.d.comb += [
            port.enable.eq(self.done),
            port.words.eq(leaving(words, "words")),
            *(
                getattr(port, name).eq(leaving(vector[name].at(when.LAST), name))
                for name in ("mask", "tile", "index")
            ),
            self.momentum_saturations.eq(leaving(over_momentum.at(when.LAST), "momentum_over")),
            self.weight_saturations.eq(ones(leaving(over, "over"))),
        ]


def _difference(value: Value, complement: Value) -> Value:
    """value - p from ~p: value + ~p + 1, with a bit below that carries the 1 in."""
    one = Const(1, 1)
    return (Cat(one, value).as_signed() + Cat(one, complement).as_signed())[1:].as_signed()
