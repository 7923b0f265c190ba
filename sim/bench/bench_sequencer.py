"""Bench of the sequencer: what it starts, when, where a program ends, and that it always does.

`Program` is the instruction set's control flow in plain Python: it says which commands a program
starts and in which state it leaves the sequencer. `Units` play the array, the loss unit and the
loader; they take as long as they like, and object to whatever comes too early.

Parameters: `config` (fields of a DeviceConfig), `fetch_latency`, `read_latency`, `seed`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import Timer

from hw.config import DeviceConfig
from hw.instruction import used_bits
from hw.isa import (
    ARRAY_OPCODES,
    FIELDS,
    INPUT_BUFFERS,
    INSTRUCTION_WORDS,
    NO_WAIT,
    Error,
    Instruction,
    Opcode,
    State,
)
from hw.numbers import WORD_BITS
from sim.bench import Ports, cycle, parameters, reset, start

INPUTS = (
    *("run", "step", "stop", "first", "count"),
    *("program_address", "program_write", "program_data"),
    *("array_ready", "array_retire", "loss_busy", "full", "samples"),
)

Event = tuple[str, dict[str, int]]
"""What the sequencer did (array, loss, clip, release), and the instruction's fields."""

END = Instruction(opcode=Opcode.END)
RELEASE = Instruction(opcode=Opcode.RELEASE)
TIMEOUT = 20_000
"""Cycles within which any program here ends."""


@dataclass
class Program:
    """Control flow without time; `words` is the program memory, an instruction a row."""

    words: np.ndarray
    bits: dict[str, int]
    offered: tuple[str, ...] = ()
    events: list[Event] = field(default_factory=list)
    state: State = State.IDLE
    error: Error = Error.NONE
    position: int = 0
    remaining: int = 0
    step: int = 0

    def begin(self, first: int, count: int) -> None:
        self.position, self.remaining, self.step = first, count, 0

    def run(self, batches: list[int], *, steps: int = 100_000) -> None:
        """Carry out `steps` instructions, or fewer if the program ends; takes its batches."""
        self.state, self.error = State.HALTED, Error.NONE
        for _ in range(steps):
            if not self._step(batches):
                return

    def _step(self, batches: list[int]) -> bool:
        if self.position >= len(self.words):
            return self._fail(Error.PROGRAM_END)
        i = self._fields()
        match i["opcode"]:
            case Opcode.END:
                self.state = State.IDLE
                return False
            case Opcode.LOOP if self.remaining > 1:
                self.remaining -= 1
                self.position = i["rows"]
                return True
            case Opcode.LOOP:
                self.remaining = 0
            case Opcode.ACQUIRE:
                if batches[0] != i["columns"]:
                    return self._fail(Error.BATCH_SIZE)
            case Opcode.RELEASE:
                batches.pop(0)
                self.events.append(("release", {}))
            case Opcode.LOSS:
                self.events.append(("loss", i))
            case Opcode.REPEAT if "clip" in self.offered and self.step + 1 < i["columns"]:
                self.step += 1
                self.position = i["rows"]
                return True
            case Opcode.REPEAT if "clip" in self.offered:
                self.step = 0
            case Opcode.CLIP if "clip" in self.offered:
                self.events.append(("clip", i))
            case opcode if opcode in ARRAY_OPCODES:
                self.events.append(("array", i))
            case _:
                return self._fail(Error.UNKNOWN_OPCODE)
        self.position += 1
        return True

    def _fields(self) -> dict[str, int]:
        words = self.words[self.position].tolist()
        return {
            f.name: words[f.word] >> f.low & (1 << min(f.width, self.bits[f.name])) - 1
            for f in FIELDS
        }

    def _fail(self, error: Error) -> bool:
        self.state, self.error = State.FAILED, error
        return False


class Units:
    """Array, loss unit and loader: each takes up to `slowness` cycles for what it does."""

    def __init__(self, random: np.random.Generator, *, accumulation: bool):
        self.random = random
        self.accumulation = accumulation
        self.clip = 0
        self.slowness = 40
        self.walk = 0
        self.open: list[int] = []
        self.loss = 0
        self.batches: list[int] = []
        self.arriving: list[tuple[int, int]] = []
        self.now = 0
        self.cleared = 0

    def inputs(self) -> dict[str, int]:
        """What the sequencer sees in this cycle."""
        full = bool(self.batches)
        return {
            "array_ready": int(self.walk == 0),
            "array_retire": int(bool(self.open) and self.open[0] <= self.now),
            "loss_busy": int(self.loss > 0),
            **({"clip_busy": int(self.clip > 0)} if self.accumulation else {}),
            "full": int(full),
            "samples": self.batches[0] if full else int(self.random.integers(1 << 16)),
        }

    @property
    def idle(self) -> bool:
        return not (self.walk or self.open or self.loss or self.clip)

    def take(self, dut: Any, inputs: dict[str, int]) -> list[Event]:
        """Do what the sequencer asks for in this cycle; raises where it may not."""
        pending = len(self.open)
        self.walk = max(0, self.walk - 1)
        self.loss = max(0, self.loss - 1)
        self.clip = max(0, self.clip - 1)
        if inputs["array_retire"]:
            del self.open[0]
        events: list[Event] = []
        i: dict[str, int] = {}
        clips = self.accumulation and int(dut.clip_start.value)
        if int(dut.array_start.value) or int(dut.loss_start.value) or clips:
            word = int(dut.instruction.value)
            i = {f.name: word >> f.word * WORD_BITS + f.low & (1 << f.width) - 1 for f in FIELDS}
        if int(dut.array_start.value):
            assert inputs["array_ready"] and pending < NO_WAIT, "the array had no room"
            assert pending <= i["wait_array"], f"{pending} open, {i['wait_array']} allowed"
            assert not (i["wait_loss"] and inputs["loss_busy"]), "the loss unit was busy"
            self.walk = 1 + int(self.random.integers(self.slowness))
            end = self.now + self.walk + 1 + int(self.random.integers(self.slowness))
            self.open.append(max([end, *(other + 1 for other in self.open)]))
            events.append(("array", i))
        if int(dut.loss_start.value):
            assert not inputs["loss_busy"] and pending <= i["wait_array"]
            self.loss = 1 + int(self.random.integers(2 * self.slowness))
            events.append(("loss", i))
        if clips:
            assert inputs["array_ready"] and not pending and not inputs["loss_busy"]
            self.clip = 1 + int(self.random.integers(self.slowness))
            events.append(("clip", i))
        assert not self.clip or not events or clips, "CLIP was under way"
        if int(dut.release.value):
            assert inputs["array_ready"] and not inputs["loss_busy"], "INPUT was being read"
            assert self.batches, "nothing to release"
            self.batches.pop(0)
            events.append(("release", {}))
        assert len(events) <= 1
        if int(dut.clear.value):
            assert not pending and not inputs["loss_busy"], "samples forgotten while commands ran"
            self.batches.clear()
            self.arriving.clear()
            self.cleared += 1
        self.now += 1
        while self.arriving and self.arriving[0][0] <= self.now:
            if len(self.batches) == INPUT_BUFFERS:
                break
            self.batches.append(self.arriving.pop(0)[1])
        return events

    def send(self, batches: Sequence[int], *, slowness: int = 60) -> None:
        """Let batches of these sizes come one after the other."""
        when = self.arriving[-1][0] if self.arriving else self.now
        for size in batches:
            when += int(self.random.integers(slowness)) if slowness else 0
            self.arriving.append((when, size))


class Bench:
    """Drives the sequencer, with its program in `words`."""

    def __init__(self, dut: Any):
        given = parameters()
        self.dut = Ports(dut)
        self.config = DeviceConfig(**given["config"])
        self.bits = used_bits(self.config)
        self.fetch_latency: int = given["fetch_latency"]
        self.read_latency: int = given["read_latency"]
        self.random = np.random.default_rng(given["seed"])
        self.units = Units(self.random, accumulation=self.config.accumulation)
        self.words = np.zeros((self.config.program_length, INSTRUCTION_WORDS), np.uint16)
        self.events: list[Event] = []
        self.waits: list[bool] = []
        cocotb.log.info("seed %d", given["seed"])

    async def start(self) -> None:
        clip = ("clip_busy",) * self.config.accumulation
        await start(self.dut, **dict.fromkeys((*INPUTS, *clip), 0))

    def program(self) -> Program:
        """The control flow of what is in the program memory."""
        return Program(self.words, self.bits, ("clip",) * self.config.accumulation)

    async def reset(self) -> None:
        """All units are reset together, in the cycle that begins now."""
        self.units = Units(self.random, accumulation=self.config.accumulation)
        await reset(self.dut, 1)
        assert self.state == State.IDLE

    @property
    def state(self) -> State:
        return State(int(self.dut.state.value))

    @property
    def resting(self) -> bool:
        return self.state != State.RUNNING

    async def step(self, **inputs: int) -> None:
        """One cycle with these strobes, the units at work."""
        dut, seen = self.dut, self.units.inputs()
        for name, value in {**seen, **inputs}.items():
            getattr(dut, name).value = value
        await Timer(1, unit="ns")
        assert int(dut.running.value) == (self.state == State.RUNNING)
        waiting = bool(int(dut.waiting.value))
        assert not (waiting and (seen["full"] or self.resting))
        self.waits.append(waiting)
        self.events += self.units.take(dut, seen)
        await cycle(dut)
        for name in inputs:
            getattr(dut, name).value = 0

    async def rest(self) -> None:
        """Go on until no program runs; then no unit may be at work."""
        for _ in range(TIMEOUT):
            if self.resting:
                assert self.units.idle, "at rest while commands ran"
                return
            await self.step()
        raise AssertionError(f"still running at {int(self.dut.position.value)}")

    async def load(self, program: Sequence[Instruction | Sequence[int]], first: int = 0) -> None:
        """Write instructions, or words of what is none, through the host's port."""
        for place, row in enumerate(program, start=first):
            words = row.encode() if isinstance(row, Instruction) else list(row)
            for offset, word in enumerate(words):
                address = place * INSTRUCTION_WORDS + offset
                await self.step(program_address=address, program_data=word, program_write=1)
            self.words[place] = words

    async def begin(self, first: int = 0, count: int = 1, **strobe: int) -> None:
        """Start the program, or a step of it; the registers may change afterwards."""
        self.events.clear()
        self.waits.clear()
        await self.step(first=first, count=count, **(strobe or {"run": 1}))
        assert self.state == State.RUNNING

    async def run(self, batches: Sequence[int] = (), first: int = 0, count: int = 1) -> Program:
        """Run to the end and compare with the control flow; returns it."""
        expected = self.program()
        expected.begin(first, count)
        left = list(batches)
        expected.run(left)
        # One more than it releases: the one that it fails with.
        self.units.send(batches[: len(batches) - len(left) + 1])
        await self.begin(first, count)
        await self.rest()
        self.check(expected)
        await self.step(stop=1)
        assert self.state == State.IDLE and not self.units.batches
        return expected

    def check(self, expected: Program) -> None:
        """The commands that were started, and the counters."""
        assert self.events == expected.events
        self.check_counters(expected)

    def check_counters(self, expected: Program) -> None:
        dut = self.dut
        assert self.state == expected.state
        assert Error(int(dut.error.value)) == expected.error
        assert int(dut.position.value) == expected.position
        assert int(dut.remaining.value) == expected.remaining

    def draw(self, opcode: Opcode) -> Instruction:
        """An instruction with random fields."""
        values = {f.name: int(self.random.integers(1 << f.width)) for f in FIELDS[1:]}
        return Instruction(opcode=opcode, **values)


def acquire(columns: int) -> Instruction:
    return Instruction(opcode=Opcode.ACQUIRE, columns=columns)


def loop(place: int) -> Instruction:
    return Instruction(opcode=Opcode.LOOP, rows=place)


def repeat(place: int, times: int) -> Instruction:
    return Instruction(opcode=Opcode.REPEAT, rows=place, columns=times)


CLIP = Instruction(opcode=Opcode.CLIP)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def program_memory(dut: Any) -> None:
    """Every word at any address, read as soon as promised, with and without gaps."""
    bench = Bench(dut)
    await bench.start()
    words = bench.random.integers(0, 1 << 16, bench.words.shape).astype(np.uint16)
    await bench.load(words.tolist())
    count = words.size
    order = [*range(count), *bench.random.integers(0, count, 200).tolist()]
    for k, address in enumerate(order + [0] * bench.read_latency):
        if k >= bench.read_latency:
            read = order[k - bench.read_latency]
            assert int(bench.dut.program_read.value) == words.reshape(-1)[read], read
        await bench.step(program_address=address)
    bench.units.slowness = 5
    # A program with all of these fields: as they were written, but for bits that nobody has.
    whole = [bench.draw(Opcode(4 + k % 4)) for k in range(bench.config.program_length - 1)]
    await bench.load([*whole, END])
    await bench.run()
    assert len(bench.events) == len(whole)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def waits(dut: Any) -> None:
    """Each wait_array and wait_loss behind each mix of open commands; slow and fast units."""
    bench = Bench(dut)
    await bench.start()
    for slowness in (1, 8, 80):
        for wait_array in range(NO_WAIT + 1):
            for wait_loss in range(2):
                bench.units.slowness = slowness
                program = []
                for opcode in (4, 7, 5, 4, 6, 7, 7, 4):
                    drawn = bench.draw(Opcode(opcode))
                    program.append(replace(drawn, wait_array=wait_array, wait_loss=wait_loss))
                await bench.load([*program, END])
                await bench.run()
                assert len(bench.events) == len(program)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def nothing_waits_for_nothing(dut: Any) -> None:
    """Without a reason to wait, instructions follow each other at the pace of the fetch."""
    bench = Bench(dut)
    await bench.start()
    bench.units.slowness = 1
    count = bench.config.program_length - 2
    pace = bench.fetch_latency + 3
    for body in ([loop(0)] * count, [bench.draw(Opcode.LOSS)] * count, [acquire(3), RELEASE]):
        await bench.load([*body, END])
        bench.units.send([3], slowness=0)
        await bench.step()
        begun = bench.units.now
        await bench.begin()
        await bench.rest()
        assert bench.units.now - begun <= pace * (len(body) + 1) + 4


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def rounds(dut: Any) -> None:
    """COUNT 0 and 1 go round once, n n times; LOOP jumps anywhere, also out of the program."""
    bench = Bench(dut)
    await bench.start()
    bench.units.slowness = 10
    command = bench.draw(Opcode.FORWARD)
    await bench.load([END, acquire(7), command, RELEASE, loop(1), command, END])
    for count in (0, 1, 2, 3, 9):
        expected = await bench.run([7] * max(count, 1), first=1, count=count)
        assert len(expected.events) == 2 * max(count, 1) + 1
        assert expected.state == State.IDLE
    for target in (0, bench.config.program_length - 1, bench.config.program_length, 0xFFFF):
        await bench.load([loop(target), END])
        await bench.load([END], first=bench.config.program_length - 1)
        expected = await bench.run(count=2)
    # Two loops share the rounds: what one has used up, the other one does not have.
    await bench.load([command, loop(0), command, loop(2), END])
    for count in (1, 2, 5):
        await bench.run(count=count)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def repeats(dut: Any) -> None:
    """So many times in each round of a LOOP, also none, one, and in a program that was stopped."""
    bench = Bench(dut)
    await bench.start()
    bench.units.slowness = 10
    first, middle, last = (bench.draw(Opcode(opcode)) for opcode in (4, 5, 6))
    for times in (0, 1, 2, 3, 9):
        await bench.load([first, middle, repeat(1, times), last, loop(0), END])
        for count in (1, 3):
            expected = await bench.run(count=count)
            assert len(expected.events) == count * (2 + max(times, 1))
    # Two in a row count each for itself.
    await bench.load([first, repeat(0, 3), middle, repeat(2, 4), END])
    assert len((await bench.run()).events) == 7
    # What a stopped program had not repeated yet, the next one need not.
    await bench.load([first, repeat(0, 9), acquire(1), END])
    for offset in (30, 60, 90):
        await bench.begin()
        for _ in range(offset):
            await bench.step()
        await bench.step(stop=1)
        await bench.rest()
        await bench.run([2])


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def clips(dut: Any) -> None:
    """After all that was started, before all that follows; a program tells that it starts."""
    bench = Bench(dut)
    await bench.start()
    for slowness in (1, 8, 80):
        bench.units.slowness = slowness
        work = [bench.draw(Opcode(opcode)) for opcode in (4, 7, 6)]
        await bench.load([*work, CLIP, *work, CLIP, CLIP, loop(0), END])
        expected = await bench.run(count=2)
        assert [name for name, _ in expected.events].count("clip") == 6
    await bench.load([CLIP, CLIP, END])
    forgets = []
    for strobe in ("step", "step", "run"):
        for name in ("run", "step"):
            getattr(bench.dut, name).value = int(name == strobe)
        await Timer(1, unit="ns")
        forgets.append(int(bench.dut.forget.value))
        await bench.begin(**{strobe: 1})
        await bench.rest()
    # Not when a program goes on that is halted.
    assert forgets == [1, 0, 1]


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def batch_sizes(dut: Any) -> None:
    """ACQUIRE takes its size only; another one fails, and stays in the buffer."""
    bench = Bench(dut)
    await bench.start()
    limit = (1 << bench.bits["columns"]) - 1
    right = ((5, 5), (0, 0), (limit, limit))
    for wanted, came in (*right, (5, 6), (5, 4), (1, 0), (0, 1), (1, limit)):
        await bench.load([bench.draw(Opcode.GRADIENT), acquire(wanted), RELEASE, END])
        expected = await bench.run([came])
        assert (expected.error == Error.BATCH_SIZE) == (wanted != came)
    # It waits as long as nothing comes, and not longer.
    await bench.load([acquire(2), RELEASE, END])
    await bench.begin()
    for _ in range(100):
        await bench.step()
    assert bench.waits[-50:] == [True] * 50
    bench.units.send([2], slowness=0)
    await bench.step()
    await bench.step()
    assert not bench.waits[-1] or not bench.waits[-2]
    await bench.rest()
    assert bench.events == [("release", {})]
    # A second ACQUIRE without a RELEASE takes the same buffer again.
    await bench.load([acquire(2), acquire(2), RELEASE, acquire(1), acquire(2), END])
    expected = await bench.run([2, 1])
    assert (expected.error, expected.position) == (Error.BATCH_SIZE, 4)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def unknown_opcodes(dut: Any) -> None:
    """Each fails where it stands, after what was started has finished."""
    bench = Bench(dut)
    await bench.start()
    width = next(f.width for f in FIELDS if f.name == "opcode")
    for opcode in range(1 << width):
        if opcode in tuple(Opcode):
            continue
        word = int(bench.random.integers(1 << 16)) & ~((1 << width) - 1) | opcode
        junk = bench.random.integers(0, 1 << 16, INSTRUCTION_WORDS).tolist()
        await bench.load([bench.draw(Opcode.LOSS), [word, *junk[1:]]])
        expected = await bench.run()
        assert (expected.error, expected.position) == (Error.UNKNOWN_OPCODE, 1)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def ends_of_the_program(dut: Any) -> None:
    """Beyond the memory there is nothing: not before it, not at its end, not far behind."""
    bench = Bench(dut)
    await bench.start()
    length = bench.config.program_length
    bench.units.slowness = 5
    filler = [bench.draw(Opcode.LOSS) for _ in range(length)]
    await bench.load(filler)
    for first in (length - 1, length, length + 1, 2 * length, 0xFFFF, max(0, length - 40)):
        expected = await bench.run(first=first)
        assert expected.error == Error.PROGRAM_END
        assert len(expected.events) == max(0, length - first)
    await bench.load([END], first=length - 1)
    expected = await bench.run(first=length - 1)
    assert expected.state == State.IDLE


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def single_steps(dut: Any) -> None:
    """Each STEP is one instruction, then HALTED, all units idle; RUN starts over from START."""
    bench = Bench(dut)
    await bench.start()
    length = bench.config.program_length
    body = [acquire(3), bench.draw(Opcode.FORWARD), bench.draw(Opcode.LOSS), RELEASE, loop(1)]
    await bench.load([END, *body, bench.draw(Opcode.BACKWARD), END])
    bench.units.send([3, 3, 3])
    expected = bench.program()
    expected.begin(1, 3)
    batches = [3, 3, 3]
    while True:
        expected.events.clear()
        expected.run(batches, steps=1)
        # START and COUNT count only for the first step.
        first = expected.state == State.HALTED and len(batches) == 3 and bench.state == State.IDLE
        await bench.begin(*((1, 3) if first else (length, 77)), step=1)
        await bench.rest()
        bench.check(expected)
        if expected.state != State.HALTED:
            break
    assert expected.state == State.IDLE and not batches
    # From HALTED, RUN begins at START; so does STEP from FAILED and from IDLE.
    await bench.begin(6, 1, step=1)
    await bench.rest()
    assert bench.state == State.HALTED
    await bench.run(first=6)
    for entry in (length, 6):
        await bench.begin(entry, 5, step=1)
        await bench.rest()
        single = bench.program()
        single.begin(entry, 5)
        single.run([], steps=1)
        bench.check(single)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def a_stop_in_any_cycle(dut: Any) -> None:
    """STOP ends a run or a step at the next instruction and forgets the samples, also failures."""
    bench = Bench(dut)
    await bench.start()
    bench.units.slowness = 6
    work = [bench.draw(Opcode.FORWARD), bench.draw(Opcode.LOSS)]
    endings: tuple[tuple[Sequence[Instruction], str], ...] = (
        ([*work, acquire(3), END], "run"),
        ([acquire(3), *work, RELEASE, loop(0), END], "run"),
        ([*work, acquire(9), END], "run"),
        ([*work, bench.draw(Opcode.GRADIENT)], "step"),
        ([loop(0)], "run"),
    )
    for program, strobe in endings:
        await bench.load([*program, *[END] * (6 - len(program))])
        for offset in range(80):
            bench.units.send([3] * (offset % 3))
            await bench.begin(0, 50, **{strobe: 1})
            for _ in range(offset):
                await bench.step()
            running, cleared = not bench.resting, bench.units.cleared
            await bench.step(stop=1)
            await bench.rest()
            assert bench.state == State.IDLE, f"{bench.state.name} after a stop in cycle {offset}"
            assert int(bench.dut.error.value) == Error.NONE
            assert bench.units.cleared > cleared, f"samples stay after a stop in cycle {offset}"
            bench.units.batches.clear()
            if not running:
                break
        # What was asked to stop does not stop the next one.
        await bench.load([*work, END])
        await bench.run()
        assert bench.events


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def no_start_while_running(dut: Any) -> None:
    """RUN and STEP change nothing while a program runs or waits."""
    bench = Bench(dut)
    await bench.start()
    work = [bench.draw(Opcode.FORWARD), bench.draw(Opcode.GRADIENT)]
    program = [acquire(3), *work, RELEASE, loop(0), END]
    await bench.load(program)
    for strobe in ("run", "step"):
        for _ in range(4):
            expected = bench.program()
            expected.begin(0, 2)
            expected.run([3, 3])
            bench.units.send([3, 3])
            await bench.begin(0, 2)
            while not bench.resting:
                await bench.step(first=1, count=9, **{strobe: int(bench.random.integers(2))})
                if int(bench.dut.position.value) == 5:
                    break
            await bench.rest()
            bench.check(expected)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def a_reset_in_any_cycle(dut: Any) -> None:
    """A reset, the units' too, leaves a sequencer that runs the same program as ever."""
    bench = Bench(dut)
    await bench.start()
    work = [bench.draw(Opcode(opcode)) for opcode in (4, 7, 5, 6)]
    await bench.load([acquire(4), *work, RELEASE, loop(0), END])
    for offset in range(0, 110, 3):
        bench.units.send([4, 4])
        await bench.begin(0, 2)
        for _ in range(offset):
            await bench.step()
        await bench.reset()
        for name in ("error", "position", "remaining", "waiting", "running"):
            assert int(getattr(bench.dut, name).value) == 0, name
        await bench.step()
        await bench.run([4, 4], count=2)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def random_programs(dut: Any) -> None:
    """Any commands between ACQUIRE and RELEASE, units and samples at any speed."""
    bench = Bench(dut)
    await bench.start()
    random, length = bench.random, bench.config.program_length
    ends: dict[Error, int] = {}
    for _ in range(40):
        bench.units.slowness = int(random.choice([1, 5, 30, 100]))
        program: list[Instruction | list[int]] = []
        sizes: list[int] = []
        while len(program) < min(length, 24) - 6 and random.random() < 0.8:
            some = [4, 5, 6, 7] + [Opcode.CLIP] * bench.config.accumulation
            commands = random.choice(some, int(random.integers(4))).tolist()
            body = [bench.draw(Opcode(opcode)) for opcode in commands]
            if body and bench.config.accumulation and random.random() < 0.5:
                body.append(repeat(len(program), int(random.integers(4))))
            if random.random() < 0.7:
                sizes.append(int(random.integers(1 << 3)))
                body = [acquire(sizes[-1]), *body, RELEASE]
                # Not to ACQUIRE again.
                body = [
                    replace(i, rows=len(program) + 1) if i.opcode == Opcode.REPEAT else i
                    for i in body
                ]
            program += body
        program = program[: length - 2]
        last: list[Instruction | list[int]] = [END, [63] * INSTRUCTION_WORDS]
        program += [loop(0), last[int(random.integers(2))]]
        await bench.load(program)
        count = int(random.integers(4))
        batches = sizes * max(count, 1)
        if batches and random.random() < 0.2:
            batches[int(random.integers(len(batches)))] += 1
        expected = await bench.run(batches, count=count)
        ends[expected.error] = ends.get(expected.error, 0) + 1
    assert ends.keys() >= {Error.NONE, Error.BATCH_SIZE, Error.UNKNOWN_OPCODE}, ends
