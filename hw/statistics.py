"""The counters that the host reads: clock cycles, samples, loss, and saturations by tensor.

    strobes (running, waiting, busy) --> registers, one a counter ------------------+
    reports (samples, correct, loss) --> registers                                  +--> host
    reports (statistic, amount) --> pending reports --> read-modify-write of memory-+

A command reports its saturations once, when it ends; the memory's 32-bit counters take a report
in five cycles, so that commands may end every `hw.tile_walk.COMMAND_GAP` cycles.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from hw.config import DeviceConfig, region_words
from hw.isa import COUNTERS, SATURATION_COUNTERS
from hw.numbers import WORD_BITS

AMOUNT_BITS = 24
"""Bits of the saturations of one command, of any configuration."""

CLOCK_BITS = 48
SAMPLE_BITS = 32



def amount_bits(config: DeviceConfig) -> int:
    """Bits of the saturations of one command: each element of a tensor may saturate twice."""
    return min(AMOUNT_BITS, (2 * max(region_words(config).values())).bit_length())


REPORT = data.StructLayout({"statistic": range(SATURATION_COUNTERS), "amount": AMOUNT_BITS})


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


class Statistics(wiring.Component):
    """Counters, cleared together by `clear`, which takes as many cycles as there are words.

    Parameters
    ----------
    reporters: how many units report saturations

    Members
    -------
    running, waiting, busy: each counts the cycles in which it is 1
    done, samples, correct, loss: what a loss command adds
    reports: saturations of finished commands; never two within COMMAND_GAP cycles of each other
        from the same unit; those of amount 0 cost nothing
    state: words of the counters that other units hold, from address 0
    address, read: the host's port; `words` of a counter at an address come two cycles later
    """

    READ_LATENCY = 2

    def __init__(self, *, reporters: int):
        self.reporters = reporters
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
                "reports": In(ReportSignature()).array(reporters),
                "state": In(data.ArrayLayout(WORD_BITS, COUNTERS["cycles"].address)),
                "address": In(8),
                "read": In(1),
                "word": Out(WORD_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word = self._registers(m)
        saturation = self._saturations(m)
        from_memory = Signal()
        m.d.sync += from_memory.eq(self.address >= COUNTERS["saturations"].address)
        m.d.sync += self.word.eq(Mux(from_memory, saturation, word))
        return m

    def _registers(self, m: Module) -> Signal:
        """Counters in registers; returns the addressed word, a cycle after its address."""
        values = {name: Signal(CLOCK_BITS, name=name) for name in ("cycles", "waiting", "busy")}
        values |= {name: Signal(SAMPLE_BITS, name=name) for name in ("samples", "correct")}
        values["loss"] = Signal(64, name="loss_sum")
        for name, strobe in (
            ("cycles", self.running),
            ("waiting", self.waiting),
            ("busy", self.busy),
        ):
            with m.If(strobe):
                m.d.sync += values[name].eq(values[name] + 1)
        with m.If(self.done):
            m.d.sync += [
                values["samples"].eq(values["samples"] + self.samples),
                values["correct"].eq(values["correct"] + self.correct),
                values["loss"].eq(values["loss"] + self.loss),
            ]
        with m.If(self.clear):
            m.d.sync += [value.eq(0) for value in values.values()]
        word = Signal(WORD_BITS)
        m.d.sync += word.eq(0)
        with m.Switch(self.address):
            for address in range(COUNTERS["cycles"].address):
                with m.Case(address):
                    m.d.sync += word.eq(self.state[address])
            for name, value in values.items():
                for place in range(-(-len(value) // WORD_BITS)):
                    with m.Case(COUNTERS[name].address + place):
                        m.d.sync += word.eq(value[place * WORD_BITS :][:WORD_BITS])
        return word

    def _saturations(self, m: Module) -> Signal:
        """The memory of saturation counters; returns its addressed word."""
        words = 2 * SATURATION_COUNTERS
        m.submodules.memory = counters = memory.Memory(shape=WORD_BITS, depth=words, init=[])
        write, read = counters.write_port(), counters.read_port()

        pending = [Signal(REPORT, name=f"pending_{k}") for k in range(self.reporters)]
        waiting = Signal(self.reporters)
        current, taken = Signal(REPORT), Signal(self.reporters)
        for k, report in enumerate(self.reports):
            with m.If(taken[k]):
                m.d.sync += waiting[k].eq(0)
            with m.If(report.valid & (report.amount != 0)):
                m.d.sync += [
                    pending[k].statistic.eq(report.statistic),
                    pending[k].amount.eq(report.amount),
                    waiting[k].eq(1),
                ]

        half, carry = Signal(), Signal()
        own_address = Cat(half, current.statistic)
        host_address = self.address - COUNTERS["saturations"].address
        m.d.comb += read.addr.eq(Mux(self.read, host_address, own_address))
        amount = Mux(half, current.amount[WORD_BITS:], current.amount[:WORD_BITS])
        total = Signal(WORD_BITS + 1)
        m.d.comb += total.eq(read.data + amount + carry)
        m.d.comb += [write.addr.eq(own_address), write.data.eq(total)]
        sweep = Signal(range(words))
        with m.FSM():
            with m.State("REST"):
                m.d.sync += [half.eq(0), carry.eq(0)]
                with m.If(self.clear):
                    m.d.sync += [sweep.eq(0), waiting.eq(0)]
                    m.next = "CLEAR"
                for k in reversed(range(self.reporters)):
                    with m.If(waiting[k] & ~self.clear):
                        m.d.sync += current.eq(pending[k])
                        m.d.comb += taken.eq(1 << k)
                        m.next = "READ"
            with m.State("READ"):
                with m.If(~self.read):
                    m.next = "WRITE"
            with m.State("WRITE"):
                m.d.comb += write.en.eq(1)
                m.d.sync += [half.eq(1), carry.eq(total[WORD_BITS])]
                m.next = "READ"
                with m.If(half):
                    m.next = "REST"
            with m.State("CLEAR"):
                m.d.comb += [write.en.eq(1), write.addr.eq(sweep), write.data.eq(0)]
                m.d.sync += sweep.eq(sweep + 1)
                with m.If(sweep == words - 1):
                    m.next = "REST"
        return read.data

