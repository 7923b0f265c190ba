"""Executes the program: fetches instructions and hands them to the units.

    host words --> program memory --4 words a cycle--> instruction --+--> array    start, pending
                        ^                                            +--> loss     start, busy
       START, COUNT --> position, remaining <-- LOOP                 +--> spiking  start, busy
                        position, step <------- REPEAT               +--> clip     start, busy
                                                                     +--> loader   full, release

The array and the loss unit work on their own once started; an instruction says with `wait_array`
and `wait_loss` what must have finished before it starts. While a unit works, the next instruction
is fetched already.
"""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from hw.block_memory import BlockMemory
from hw.config import DeviceConfig, offered_opcodes
from hw.instruction import INSTRUCTION, used_bits
from hw.isa import (
    ARRAY_OPCODES,
    FIELDS,
    INSTRUCTION_WORDS,
    NO_WAIT,
    SPIKING_OPCODES,
    Error,
    Field,
    Opcode,
    State,
)
from hw.numbers import WORD_BITS

FETCH_WORDS = 4
"""Words of the program read in a cycle."""


class Sequencer(wiring.Component):
    """Program memory and control flow.

    An instruction is fetched in `FETCH_LATENCY` cycles and dispatched in one; a program never
    overlaps the fetch of an instruction with the dispatch of the one before. Of its fields the bits
    of `used_bits` are kept.

    Parameters
    ----------
    config: the device's configuration

    Members
    -------
    run, step, stop: strobes, see `hw.isa.Control`
    first, count: the registers START and COUNT
    program_address, program_write, program_data, program_read: the host's port, a word at a time;
        a read's data comes two cycles after its address
    instruction: the one being dispatched
    array_start, array_ready, array_retire: dispatch, whether another fits, one has finished
    loss_start, loss_busy
    spiking_start, spiking_busy: of the spiking half, where there is one
    time_step: as REPEAT counts it, likewise
    clip_start, clip_busy: of CLIP, where gradients are accumulated
    forget: a program starts, likewise
    adding: what a LOSS reported is not all in the counters yet: no other one starts
    counting: what some command reported is not: no program ends
    full, samples, release, clear: the loader's front buffer
    state, error, position, remaining: as in the counters
    waiting: ACQUIRE waits for samples
    running: a program runs, or its last commands still do

    """

    FETCH_LATENCY = INSTRUCTION_WORDS // FETCH_WORDS + 2
    READ_LATENCY = 3

    def __init__(self, *, config: DeviceConfig):
        self.config = config
        self.position_bits = config.program_length.bit_length()
        words = config.program_length * INSTRUCTION_WORDS
        # Beside an array, which takes up much of a part, words pass their memory's output registers
        # and are asked for a cycle sooner.
        self._late = config.supervised and not config.serial
        spiking = {"spiking_start": Out(1), "spiking_busy": In(1), "time_step": Out(16)}
        accumulation = {"clip_start": Out(1), "clip_busy": In(1), "forget": Out(1)}
        super().__init__(
            {
                "run": In(1),
                "step": In(1),
                "stop": In(1),
                "first": In(16),
                "count": In(16),
                "program_address": In(range(words)),
                "program_write": In(1),
                "program_data": In(WORD_BITS),
                "program_read": Out(WORD_BITS),
                "instruction": Out(INSTRUCTION),
                "array_start": Out(1),
                "array_ready": In(1),
                "array_retire": In(1),
                "loss_start": Out(1),
                "loss_busy": In(1),
                **(spiking if config.spiking else {}),
                **(accumulation if config.accumulation else {}),
                "adding": In(1),
                "counting": In(1),
                "full": In(1),
                "samples": In(16),
                "release": Out(1),
                "clear": Out(1),
                "state": Out(State),
                "error": Out(Error),
                "position": Out(16),
                "remaining": Out(16),
                "waiting": Out(1),
                "running": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        fetch_address = Signal(range(self.config.program_length * INSTRUCTION_WORDS // FETCH_WORDS))
        fetched = self._program_memory(m, fetch_address)
        bits = used_bits(self.config)
        self._kept = {f.name: Signal(bits[f.name], name=f"field_{f.name}") for f in FIELDS}
        m.d.comb += [self.instruction[name].eq(field) for name, field in self._kept.items()]

        pending = Signal(range(NO_WAIT + 1))
        m.d.sync += pending.eq(pending + self.array_start - self.array_retire)
        idle, stepping, stopping, settled = Signal(), Signal(), Signal(), Signal(State)
        spiking_busy = self.spiking_busy if self.config.spiking else Const(0)
        working = ~self.array_ready | (pending != 0) | self.loss_busy | spiking_busy
        m.d.comb += idle.eq(~working & ~self.counting)
        m.d.comb += self.running.eq(self.state == State.RUNNING)
        with m.If(self.stop & self.running):
            m.d.sync += stopping.eq(1)

        self._repeats = Opcode.REPEAT in offered_opcodes(self.config)
        self._next_step = Signal(16, init=1)
        count = Signal(range(self.FETCH_LATENCY + 1))
        with m.FSM():
            with m.State("REST"):
                with m.If(self.stop):
                    m.d.comb += self.clear.eq(1)
                    m.d.sync += [self.state.eq(State.IDLE), self.error.eq(Error.NONE)]
                with m.Elif(self.run | self.step):
                    m.d.sync += [
                        self.state.eq(State.RUNNING),
                        self.error.eq(Error.NONE),
                        stepping.eq(self.step),
                    ]
                    with m.If(self.run | (self.state != State.HALTED)):
                        m.d.sync += [
                            self.position.eq(self.first),
                            self.remaining.eq(self.count),
                        ]
                        if self._repeats:
                            self._count_step(m, 0)
                        if self.config.accumulation:
                            m.d.comb += self.forget.eq(1)
                    m.next = "LOCATE"
            with m.State("LOCATE"):
                m.d.sync += count.eq(0)
                if self._late:
                    m.d.sync += fetch_address.eq(self._place(Const(0, len(count))))
                m.next = "FETCH"
                with m.If(self.position >= self.config.program_length):
                    m.d.sync += [self.error.eq(Error.PROGRAM_END), settled.eq(State.FAILED)]
                    m.next = "SETTLE"
            with m.State("FETCH"):
                m.d.sync += count.eq(count + 1)
                self._collect(m, count, fetch_address, fetched)
                with m.If(count == self.FETCH_LATENCY - 1):
                    m.next = "DISPATCH"
            with m.State("DISPATCH"):
                self._dispatch(m, pending, idle, stopping, settled)
            with m.State("COMPLETE"):
                with m.If(idle):
                    m.next = "ADVANCE"
            if self.config.accumulation:
                with m.State("CLIP"):
                    with m.If(~self.clip_busy):
                        m.next = "ADVANCE"
            with m.State("ADVANCE"):
                m.d.sync += settled.eq(State.HALTED)
                m.next = "LOCATE"
                with m.If(stepping | stopping):
                    m.next = "SETTLE"
            with m.State("SETTLE"):
                with m.If(idle):
                    m.d.sync += [self.state.eq(settled), stopping.eq(0)]
                    with m.If(stopping | self.stop):
                        m.d.comb += self.clear.eq(1)
                        m.d.sync += [self.state.eq(State.IDLE), self.error.eq(Error.NONE)]
                    m.next = "REST"
        return m

    def _program_memory(self, m: Module, fetch_address: Signal) -> list[Signal]:
        """One memory for each of the words that are fetched together."""
        rows = self.config.program_length * INSTRUCTION_WORDS // FETCH_WORDS
        bank_bits = FETCH_WORDS.bit_length() - 1
        bank = self.program_address[:bank_bits]
        row = self.program_address[bank_bits:]
        # A memory's words come late: they are kept first and chosen in the next cycle.
        read_bank, kept_bank = Signal(bank_bits), Signal(bank_bits)
        m.d.sync += [read_bank.eq(bank), kept_bank.eq(read_bank)]
        place = Mux(self.running, fetch_address, row)
        fetched, kept = [], []
        for k in range(FETCH_WORDS):
            writes = self.program_write & (bank == k)
            if not self._late:
                words = memory.Memory(shape=WORD_BITS, depth=rows, init=[])
                m.submodules[f"words_{k}"] = words
                write, read = words.write_port(), words.read_port()
                m.d.comb += [
                    write.addr.eq(row),
                    write.data.eq(self.program_data),
                    write.en.eq(writes),
                    read.addr.eq(place),
                ]
                fetched.append(read.data)
                kept.append(Signal(WORD_BITS, name=f"kept_{k}", reset_less=True))
                m.d.sync += kept[k].eq(read.data)
            else:
                blocks = BlockMemory(depth=rows, family=self.config.family)
                m.submodules[f"read_words_{k}"] = blocks.reader()
                m.submodules[f"words_{k}"] = blocks.writer()
                m.d.comb += [
                    blocks.write_address.eq(row),
                    blocks.write_data.eq(self.program_data),
                    blocks.write_enable.eq(writes),
                    blocks.read_address.eq(place),
                ]
                fetched.append(blocks.word)
                kept.append(blocks.word)
        m.d.sync += self.program_read.eq(Array(kept)[kept_bank])
        return fetched

    def _place(self, group: Value) -> Value:
        """Where the words of a group of the next instruction are."""
        return Cat(group[: (INSTRUCTION_WORDS // FETCH_WORDS).bit_length() - 1], self.position)

    def _collect(
        self, m: Module, count: Signal, fetch_address: Signal, fetched: list[Signal]
    ) -> None:
        """Address the groups of an instruction one by one and keep the fields of each."""
        groups = INSTRUCTION_WORDS // FETCH_WORDS
        m.d.sync += fetch_address.eq(self._place(count + self._late))
        for group in range(groups):
            with m.If(count == group + self.FETCH_LATENCY - groups):
                for field, register in self._fields(group):
                    word = fetched[field.word % FETCH_WORDS]
                    m.d.sync += register.eq(word[field.low :])

    def _fields(self, group: int) -> list[tuple[Field, Signal]]:
        """The fields of the words that are fetched together, and where they are kept."""
        fields = [field for field in FIELDS if field.word // FETCH_WORDS == group]
        return [(field, self._kept[field.name]) for field in fields]

    def _dispatch(
        self, m: Module, pending: Signal, idle: Signal, stopping: Signal, settled: Signal
    ) -> None:
        """Start the instruction once what it waits for has finished."""
        i = self.instruction
        offered = offered_opcodes(self.config)
        with m.Switch(i.opcode):
            with m.Case(Opcode.END):
                m.d.sync += settled.eq(State.IDLE)
                m.next = "SETTLE"
            with m.Case(Opcode.LOOP):
                with m.If(self.remaining > 1):
                    m.d.sync += [self.remaining.eq(self.remaining - 1), self.position.eq(i.rows)]
                with m.Else():
                    m.d.sync += [self.remaining.eq(0), self.position.eq(self.position + 1)]
                m.next = "ADVANCE"
            with m.Case(Opcode.ACQUIRE):
                m.d.comb += self.waiting.eq(~self.full)
                with m.If(self.full):
                    with m.If(self.samples == i.columns):
                        self._advance(m)
                    with m.Else():
                        m.d.sync += [self.error.eq(Error.BATCH_SIZE), settled.eq(State.FAILED)]
                        m.next = "SETTLE"
                with m.Elif(stopping):
                    m.next = "SETTLE"
            with m.Case(Opcode.RELEASE):
                with m.If(self.array_ready & ~self.loss_busy):
                    m.d.comb += self.release.eq(1)
                    self._advance(m)
            if self.config.supervised:
                self._dispatch_supervised(m, pending)
            if self._repeats:
                self._dispatch_repeat(m)
            if self.config.spiking:
                self._dispatch_spiking(m, idle, offered)
            if self.config.accumulation:
                self._dispatch_clip(m, pending)
            with m.Default():
                m.d.sync += [self.error.eq(Error.UNKNOWN_OPCODE), settled.eq(State.FAILED)]
                m.next = "SETTLE"

    def _dispatch_supervised(self, m: Module, pending: Signal) -> None:
        i = self.instruction
        array_free, loss_free = Signal(), Signal()
        m.d.comb += [
            array_free.eq((pending <= i.wait_array) & (pending != NO_WAIT) & self.array_ready),
            loss_free.eq(~self.loss_busy | ~i.wait_loss),
        ]
        with m.Case(*ARRAY_OPCODES):
            with m.If(array_free & loss_free):
                m.d.comb += self.array_start.eq(1)
                self._started(m)
        with m.Case(Opcode.LOSS):
            with m.If((pending <= i.wait_array) & ~self.loss_busy & ~self.adding):
                m.d.comb += self.loss_start.eq(1)
                self._started(m)

    def _count_step(self, m: Module, step: ValueLike) -> None:
        """Let `step` be the time step, and the one after it the next."""
        m.d.sync += self._next_step.eq(step + 1)
        if self.config.spiking:
            m.d.sync += self.time_step.eq(step)

    def _dispatch_repeat(self, m: Module) -> None:
        i = self.instruction
        with m.Case(Opcode.REPEAT):
            with m.If(self._next_step < i.columns):
                self._count_step(m, self._next_step)
                m.d.sync += self.position.eq(i.rows)
            with m.Else():
                self._count_step(m, 0)
                m.d.sync += self.position.eq(self.position + 1)
            m.next = "ADVANCE"

    def _dispatch_clip(self, m: Module, pending: Signal) -> None:
        """CLIP reports in place of the array and of the loss unit, which have finished."""
        with m.Case(Opcode.CLIP):
            with m.If((pending == 0) & self.array_ready & ~self.loss_busy):
                m.d.comb += self.clip_start.eq(1)
                self._advance(m)
                m.next = "CLIP"

    def _dispatch_spiking(self, m: Module, idle: Signal, offered: frozenset[Opcode]) -> None:
        """The spiking half has the device to itself, and its command's fields until it ends."""
        with m.Case(*(opcode for opcode in SPIKING_OPCODES if opcode in offered)):
            with m.If(idle):
                m.d.comb += self.spiking_start.eq(1)
                self._advance(m)
                m.next = "COMPLETE"

    def _started(self, m: Module) -> None:
        """Go on; in a serial device only when the command has ended, which needs its fields."""
        self._advance(m)
        if self.config.serial:
            m.next = "COMPLETE"

    def _advance(self, m: Module) -> None:
        m.d.sync += self.position.eq(self.position + 1)
        m.next = "ADVANCE"
