"""The counters that the host reads: clock cycles, samples, loss, and saturations by tensor.

    running, waiting, busy --> tallies --+
    samples, correct, loss, norm --------+--> addend --> + --> memory --+
    reports --> current -----------------+               ^              |
                                                         +--------------+--> host

All counters are words of one memory. An engine takes what is to be added to them one after the
other, and adds it word by word, from the lowest one up as far as there is a carry.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from hw.activity import while_active
from hw.config import DeviceConfig, region_words
from hw.fan_out import own_register
from hw.instruction import used_bits
from hw.isa import COUNTER_WORDS, COUNTERS, SATURATION_COUNTERS
from hw.numbers import WORD_BITS

AMOUNT_BITS = 24
"""Bits of the saturations of one command, of any configuration."""

COUNTER_WORDS_EACH = 4
"""Words of every counter but those of saturations; its address is a multiple of these."""
SATURATION_WORDS = 2

STATE_BITS = 4
"""Bits of the counters `state` and `error` that are not always 0."""

CHOICES = (0, (1 << STATE_BITS) - 1, 0, (1 << WORD_BITS) - 1)
"""What the memory holds in place of the state's words: a bit of it chooses the odd word's bit."""

TALLIES = ("cycles", "waiting", "busy")
"""Counters of clock cycles, in the order of their addresses."""


def amount_bits(config: DeviceConfig) -> int:
    """Bits of the saturations of one command: each element of a tensor may saturate twice."""
    return min(AMOUNT_BITS, (2 * max(region_words(config).values())).bit_length())


class ReportSignature(wiring.Signature):
    """Saturations of a command, as the unit that counts them sees it: everything out.

    Members
    -------
    valid: a strobe
    statistic, amount: which counter to add what to
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "valid": Out(1),
                "statistic": Out(range(SATURATION_COUNTERS)),
                "amount": Out(AMOUNT_BITS),
            }
        )


def _slot(name: str) -> int:
    """The engine's slot of a counter of COUNTER_WORDS_EACH words."""
    slot, rest = divmod(COUNTERS[name].address, COUNTER_WORDS_EACH)
    assert rest == 0 and COUNTERS[name].words == COUNTER_WORDS_EACH
    return slot


def _chosen(m: Module, sources: list[tuple[Value, Value]]) -> Value:
    """The value whose condition holds, of which there is one at most; 0 without one."""
    total: Value = Const(0, 1)
    for k, (condition, value) in enumerate(sources):
        chosen = Signal(name=f"chosen_{k}")
        m.d.comb += chosen.eq(condition)
        total = total | (value & chosen.replicate(len(value)))
    return total


class Statistics(wiring.Component):
    """Counters, cleared together by `clear`, which takes CLEAR_CYCLES; they read as 0 meanwhile.

    The engine visits the counters of cycles and, once after each loss command, those of what it
    reported, in turn; saturations come before them. A word takes two cycles, or one more while the
    host reads. What the tallies have counted can be read SETTLE cycles later.

    Parameters
    ----------
    config: the device's configuration
    reporters: how many units report saturations

    Members
    -------
    running, waiting, busy: each counts the cycles in which it is 1; busy is 0 while `clearing`
    clear: strobe; what is reported before `clearing` is 0 again may be lost, cycles are not
    done, samples, correct, loss: what a loss command adds, and where gradients are accumulated
        norm: what CLIP does. Where commands do not overlap they hold
        still while `adding`, and there is no other `done` then; otherwise they are taken with it
    reports: saturations of finished commands; never two within hw.tile_walk.COMMAND_GAP cycles of
        each other from the same unit. In a serial device without momentum, which has room for one
        of them, never two within REPORT_GAP cycles of each other from any units
    state: words of the counters that other units hold, from address 0; the first two have
        STATE_BITS
    address, read: the host's port; `word`, of a counter at an address, comes READ_LATENCY cycles
        later. It reads every other cycle at most, and goes on to another address each time
    clearing: a clear is under way
    adding: what a loss command reported must hold still; from the cycle of `done` on
    counting: nor is something else that was reported, or a clear is under way; from the cycle of
        `done` on, or from the one after a report
    """

    READ_LATENCY = 3
    TALLY_BITS = 8
    CLEAR_CYCLES = COUNTER_WORDS + 1
    REPORT_GAP = 20
    SETTLE = 20

    def __init__(self, *, config: DeviceConfig, reporters: int):
        if reporters < 1:
            raise ValueError(f"reporters must be at least 1, not {reporters}")
        self.config = config
        self.reporters = reporters
        self.alone = config.serial and not config.momentum
        self._report = data.StructLayout(
            {"statistic": range(SATURATION_COUNTERS), "amount": amount_bits(config)}
        )
        super().__init__(
            {
                "running": In(1),
                "waiting": In(1),
                "busy": In(1),
                "clear": In(1),
                "done": In(1),
                "samples": In(16),
                "correct": In(16),
                "loss": In(64),
                **({"norm": In(64)} if config.accumulation else {}),
                "reports": In(ReportSignature()).array(reporters),
                "state": In(data.ArrayLayout(WORD_BITS, COUNTERS["cycles"].address)),
                "address": In(8),
                "read": In(1),
                "word": Out(WORD_BITS),
                "clearing": Out(1),
                "adding": Out(1),
                "counting": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._slot = Signal(range(8), init=1, name="slot")
        self._place = Signal(range(COUNTER_WORDS_EACH), name="place")
        self._reporting, self._writing = Signal(name="reporting"), Signal(name="writing")
        # In this cycle the engine reads a word that it will write in the next one; a counter is
        # done with, or has nothing to add.
        self._go, self._end = Signal(name="go"), Signal(name="end")
        self._ended = Signal(name="ended")
        # The host may be reading the word that would be written, which a block memory need not
        # allow: the engine reads it once more, for the same addend, when the host is past it.
        self._clash, self._again = Signal(name="clash"), Signal(name="again")
        self._written = Signal(name="written")
        # The host's port, a cycle later: what is to come is known in time.
        self._read = Signal(name="reading")
        self._address = Signal.like(self.address, name="reading_address")
        m.d.comb += self._written.eq(self._writing & ~self._clash)
        m.d.sync += [
            self._again.eq(self._clash),
            self._read.eq(self.read),
            self._address.eq(self.address),
        ]
        # The last word of a clear.
        self._swept = Signal(name="swept")
        # What loss commands have added since the engine has last looked.
        self._fresh, self._adding = Signal(name="fresh"), Signal(name="adding")
        # It is collected a cycle later, from registers on the way from the unit.
        self._reported = self.done
        if not self.alone:
            self._reported = Signal(name="reported")
            m.d.sync += self._reported.eq(self.done)
        tallies = self._count_cycles(m)
        pending = self._take_reports(m)
        self._walk(m)
        addend = self._choose(m, tallies, self._losses(m, platform))
        self._add(m, addend)
        m.d.comb += [
            self.adding.eq((self.done | self._fresh) & int(self.alone)),
            self.counting.eq(
                self.clearing | self.done | self._reported | self._fresh | self._adding | pending
            ),
        ]
        return m

    def _count_cycles(self, m: Module) -> list[Signal]:
        """The strobes of each counter of cycles since the engine has taken its tally."""
        # Nothing is busy while a clear is under way, whose words are counted in place of it.
        tallies = [Signal(self.TALLY_BITS, name=f"tally_{name}") for name in TALLIES]
        self._sweep = tallies[-1]
        last = self._sweep[7] & self._sweep[5]
        strobes = (self.running, self.waiting, self.busy | (self.clearing & ~last))
        m.d.comb += self._swept.eq(self.clearing & last)
        for name, tally, strobe in zip(TALLIES, tallies, strobes, strict=True):
            taken = self._go & ~self._again & ~self._reporting
            taken &= (self._slot == _slot(name)) & (self._place == 0)
            if tally is self._sweep:
                taken |= self._swept
            m.d.sync += tally.eq(tally + strobe)
            with m.If(taken | self.clear):
                m.d.sync += tally.eq(strobe)
        return tallies

    def _take_reports(self, m: Module) -> Value:
        """Bring reports into `current` one by one; returns whether there are any."""
        self._current = Signal(self._report, name="current", reset_less=True)
        self._full = Signal(name="full")
        self._load = load = Signal(name="load")
        reports = [
            (report.valid, Cat(report.statistic, report.amount[: amount_bits(self.config)]))
            for report in self.reports
        ]
        pending: Value = self._full
        ended = self._ended
        free: Value = Const(1)
        if not self.alone:
            free = ~self._full | ended
            held = [Signal(self._report, name=f"pending_{k}") for k in range(self.reporters)]
            waiting = Signal(self.reporters)
            first = waiting & (~waiting + 1)[: self.reporters]
            with m.If(load):
                m.d.sync += waiting.eq(waiting & ~first)
            for k, (valid, report) in enumerate(reports):
                with m.If(valid):
                    m.d.sync += [held[k].eq(report), waiting[k].eq(1)]
            with m.If(self.clear):
                m.d.sync += waiting.eq(0)
            reports = [(first[k], Value.cast(report)) for k, report in enumerate(held)]
            pending = pending | waiting.any()
        m.d.comb += load.eq(Cat(valid for valid, _ in reports).any() & free)
        with m.If(load):
            m.d.sync += [self._current.eq(_chosen(m, reports)), self._full.eq(1)]
        with m.Elif(ended):
            m.d.sync += self._full.eq(0)
        with m.If(self.clear):
            m.d.sync += self._full.eq(0)
        return pending

    def _losses(self, m: Module, platform: object) -> tuple[Value, ...]:
        """Samples, correct answers and loss, and the norm where there is one, while the engine adds
        them."""
        norm = (self.norm,) if self.config.accumulation else ()
        ports = (self.samples, self.correct, self.loss, *norm)
        if self.alone:
            return ports
        held = []
        collection = Module()
        active = self.done | self.clear | self._look
        m.submodules.losses = while_active(collection, active, platform, name="losses", after=1)
        for port in ports:
            reported = Signal.like(port, name=f"reported_{port.name}", reset_less=True)
            collected = Signal.like(port, name=f"collected_{port.name}")
            taken = Signal.like(port, name=f"taken_{port.name}", reset_less=True)
            kept = Mux(self._look, 0, collected)
            collection.d.sync += [
                reported.eq(port),
                collected.eq(kept + Mux(self._reported, reported, 0)),
            ]
            with collection.If(self._look):
                collection.d.sync += taken.eq(collected)
            with collection.If(self.clear):
                collection.d.sync += collected.eq(0)
            held.append(taken)
        return tuple(held)

    def _walk(self, m: Module) -> None:
        """From word to word and counter to counter."""
        fresh, adding = self._fresh, self._adding
        slot, place, reporting = self._slot, self._place, self._reporting
        is_loss, is_last = Signal(), Signal()
        last_slot = _slot("norm" if self.config.accumulation else "loss")
        m.d.comb += [
            is_last.eq(slot == last_slot),
            # The norm is as long.
            is_loss.eq((slot == _slot("loss")) | is_last),
        ]
        counted = adding if self.config.accumulation else adding & (slot != 7)
        wanted = reporting | Mux(slot[2], counted, slot != 0)
        self._carry, self._over = Signal(name="carry"), Signal(name="over")
        final = Mux(reporting, place[0], place.all())
        wide = amount_bits(self.config) > WORD_BITS
        longer = Mux(reporting, int(wide), is_loss)
        last = final | ~(self._over | longer)
        m.d.comb += [
            # The end of a report, without the sum where that makes no difference.
            self._ended.eq(reporting & self._written & (place[0] | ~(self._over | int(wide)))),
            self._go.eq(~self._writing & ~self._read & wanted & ~self.clearing),
            self._end.eq(Mux(self._writing, last & ~self._clash, ~wanted)),
        ]
        m.d.sync += self._writing.eq(self._go)
        with m.If(self._written):
            m.d.sync += [
                place.eq(Mux(last, 0, place + 1)),
                self._carry.eq(self._over & ~last),
            ]
        with m.If(self._end):
            m.d.sync += reporting.eq(Mux(reporting, self._load, self._full))
            with m.If(~reporting):
                m.d.sync += slot.eq(slot + 1)
                with m.If(is_last & adding):
                    m.d.sync += adding.eq(0)
                    if self.alone:
                        m.d.sync += fresh.eq(0)
        # In time for the counters of losses, as there is another one before these.
        self._look = look = Signal(name="look")
        m.d.sync += look.eq(self._end & ~reporting & (slot == _slot("samples") - 2))
        with m.If(look):
            m.d.sync += adding.eq(fresh)
            if not self.alone:
                m.d.sync += fresh.eq(0)
        with m.If(self._reported):
            m.d.sync += fresh.eq(1)
        with m.If(self.clear):
            m.d.sync += [
                *(self.clearing.eq(1), self._writing.eq(0), reporting.eq(0)),
                *(place.eq(0), self._carry.eq(0), fresh.eq(0), adding.eq(0)),
            ]
        with m.If(self._swept):
            m.d.sync += self.clearing.eq(0)

    def _choose(self, m: Module, tallies: list[Signal], losses: tuple[Value, ...]) -> Signal:
        """What to add to the word that is read in this cycle, a cycle later."""
        addend = Signal(WORD_BITS, name="addend", reset_less=True)
        amount, place, slot = self._current.amount, self._place, self._slot
        counted = used_bits(self.config)["columns"]
        sources: list[tuple[Value, Value]] = [(self._reporting & (place == 0), amount[:WORD_BITS])]
        if len(amount) > WORD_BITS:
            sources.append((self._reporting & (place == 1), amount[WORD_BITS:]))
        counting = ~self._reporting & (place == 0)
        if not self.alone:
            counted = len(self.samples)
        samples, correct = losses[0][:counted], losses[1][:counted]
        words = [losses[2].word_select(k, WORD_BITS) for k in range(COUNTER_WORDS_EACH)]
        is_loss = ~self._reporting & (slot == _slot("loss"))
        sources += [
            (counting & (slot == _slot("cycles")), tallies[0]),
            (counting & (slot[1:] == 1), Mux(slot[0], tallies[2], tallies[1])),
            (counting & (slot[1:] == 2), Mux(slot[0], correct, samples)),
            (is_loss & ~place[1], Mux(place[0], words[1], words[0])),
            (is_loss & place[1], Mux(place[0], words[3], words[2])),
        ]
        if self.config.accumulation:
            is_norm = ~self._reporting & (slot == _slot("norm"))
            word = losses[3].word_select(place, WORD_BITS)
            sources.append((is_norm, word))
        with m.If(~self._writing & ~self._again):
            m.d.sync += addend.eq(_chosen(m, sources))
        return addend

    def _add(self, m: Module, addend: Signal) -> None:
        """The memory, the adder before it and the host's words behind it."""
        # Without `no_rw_check`, which Yosys looks for at asynchronous ports, it would build what
        # makes a read of the word that is written return the old one; nobody needs that one.
        attributes: dict[str, object] = {"no_rw_check": 1}
        if not self.alone and self.config.family != "ice40":
            # A block takes half a cycle of a fast part to show a word; an iCE40 has nothing else.
            attributes["ram_style"] = "distributed"
        read_data = Signal(WORD_BITS, reset_less=True)
        # Where nothing is in a hurry, a few bits of the addresses tell enough: the host moves on.
        compared = 3 if self.alone else 8
        own, total = Signal(8, name="own"), Signal(WORD_BITS + 1, name="total")
        first = COUNTERS["saturations"].address
        saturation = first + Cat(self._place[0], self._current.statistic)
        counter = Mux(self._reporting, saturation, Cat(self._place, self._slot))
        m.d.comb += [
            own.eq(Mux(self.clearing, self._sweep, counter)),
            total.eq(read_data + addend + self._carry),
            self._over.eq(total[WORD_BITS]),
        ]
        # In cells a memory is ten blocks for every four bits: these have the host's port each.
        width = WORD_BITS if self.alone else 4
        for low in range(0, WORD_BITS, width):
            bits = slice(low, low + width)
            counters = memory.Memory(
                shape=width,
                depth=COUNTER_WORDS,
                init=[word >> low & (1 << width) - 1 for word in CHOICES],
                attrs=attributes,
            )
            m.submodules[f"memory_{low}"] = counters
            write, read = counters.write_port(), counters.read_port(domain="comb")
            reading, address = self._read, self._address
            if not self.alone:
                reading = own_register(m, self.read, f"reading_{low}")
                address = own_register(m, self.address, f"reading_address_{low}")
            m.d.comb += [
                read.addr.eq(Mux(reading, address, counter)),
                write.addr.eq(own),
                write.en.eq(self._written | (self.clearing & self._sweep[2:].any())),
                write.data.eq(Mux(self.clearing, 0, total[bits])),
            ]
            m.d.sync += read_data[bits].eq(read.data)
        same = own[:compared] == self.address[:compared]
        m.d.sync += self._clash.eq(self._go & self.read & same)
        position = Signal(name="from_position")
        state = Signal(name="from_state")
        m.d.sync += [
            state.eq(~self._address[2:].any()),
            position.eq(~self._address[2:].any() & self._address[1]),
        ]
        # Above STATE_BITS the first two words are always 0.
        mask = (1 << STATE_BITS) - 1
        even, odd = Signal(WORD_BITS, name="even"), Signal(WORD_BITS, name="odd")
        choose = Signal(WORD_BITS, name="choose")
        m.d.comb += [
            even.eq(Mux(position, self.state[2], self.state[0] & mask)),
            odd.eq(Mux(position, self.state[3], self.state[1] & mask)),
            choose.eq(Cat(state.replicate(STATE_BITS), position.replicate(WORD_BITS - STATE_BITS))),
        ]
        chosen = (read_data & odd) | (~read_data & even)
        m.d.sync += self.word.eq((choose & chosen) | (~choose & read_data))
        with m.If(self.clearing & ~state):
            m.d.sync += self.word.eq(0)
