"""The device, byte by byte: what it answers, and every word it holds, are the golden device's.

The named configurations are held to golden over many programs in `tests/sim/test_lockstep.py`;
here is a small one, with all features, stalls on its streams, resets, stops and damaged frames.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from host.compiler import Compiled, compile_network, write_registers
from host.devices.device import DeviceStatus, as_words
from host.devices.framing import encode_read, encode_request, encode_write, next_sequence
from host.devices.golden_device import GoldenDevice
from host.network import Formats, Network, Rule
from host.program import CLIP_STATISTIC, Mode
from hw.build_identity import build_identity
from hw.config import DeviceConfig, region_words
from hw.device import Device
from hw.isa import (
    ADDRESS_BYTES,
    COUNTERS,
    INPUT_BUFFERS,
    MEMORY_REGIONS,
    Activation,
    Control,
    GradientFlag,
    Instruction,
    Loss,
    Opcode,
    Region,
    Register,
    Request,
    State,
    Status,
)
from hw.numbers import Format
from sim.bench.bench_device import Step
from sim.bench.runner import run_bench
from sim.compare import read_state

SEED = 20268
BATCH, RAGGED = 5, 2
AT_ONCE = 2
"""Samples of a batch of the updates that take several: of 7, which are four batches, and of 3."""

SMALL = DeviceConfig(
    name="small",
    lanes=4,
    batch_lanes=2,
    weight_tiles=6,
    input_tiles=6,
    target_tiles=3,
    activation_tiles=6,
    output_tiles=3,
    delta_tiles=9,
    program_length=96,
    max_outputs=9,
    frame_payload=64,
    accumulation=True,
)


class Script:
    """A device that does everything on a golden one, and writes down what gateware must answer."""

    name = "script"

    def __init__(self, config: DeviceConfig, random: np.random.Generator):
        self.config = config
        self.identity = build_identity(config)
        self.random = random
        self.steps: list[Step] = []
        self.begin()

    def begin(self) -> None:
        """A device after its reset; words of no known value get random ones."""
        self.golden = GoldenDevice(self.config)
        self.sequence = 0
        self.request("identity", Request.IDENTIFY, answer=self.identity)
        self.control(Control.CLEAR)
        self.scramble(*MEMORY_REGIONS)

    def scramble(self, *regions: Region) -> None:
        """Write random words everywhere."""
        for region in regions:
            words = region_words(self.config)[region]
            self.write(region, 0, self.random.integers(0, 1 << 16, words).astype(np.uint16))

    def request(
        self,
        what: str,
        kind: Request,
        payload: bytes = b"",
        *,
        status: Status = Status.OK,
        answer: bytes = b"",
        mask: bytes = b"",
    ) -> None:
        """A request, and what comes back."""
        self.sequence = next_sequence(self.sequence)
        frame = encode_request(kind, self.sequence, payload)
        self.answered(what, frame, status=status, answer=answer, mask=mask)

    def answered(
        self, what: str, frame: bytes, *, status: Status, answer: bytes = b"", mask: bytes = b""
    ) -> None:
        """Bytes that are answered with the sequence number they hold."""
        self.steps.append(
            Step(
                what=f"step {len(self.steps)}, {what}",
                frame=frame.hex(),
                sequence=frame[1],
                status=status,
                payload=answer.hex(),
                mask=mask.hex(),
            )
        )

    def until(self, state: State, *, credits: int = 0) -> None:
        """Ask until the device is in this state and has as many credits."""
        self.steps.append(
            Step(
                what=f"step {len(self.steps)}, until {state.name}",
                frame=encode_request(Request.SYNCHRONISE, self.sequence).hex(),
                sequence=self.sequence,
                state=state,
                credits=credits,
            )
        )

    def poll(self) -> DeviceStatus:
        """What the golden device is doing."""
        return self.golden.poll()

    def wait(self) -> None:
        """Until the device is where the golden one is."""
        self.until(self.poll().state)

    def write(self, region: Region, address: int, words: ArrayLike) -> None:
        values = as_words(words)
        self.golden.write(region, address, values)
        most = (self.config.frame_payload - ADDRESS_BYTES) // 2
        for first in range(0, len(values), most):
            payload = encode_write(region, address + first, values[first : first + most])
            self.request(f"write to {region.name}", Request.WRITE, payload)

    def read(self, region: Region, address: int, count: int) -> NDArray[np.uint16]:
        words = self.golden.read(region, address, count)
        mask = np.full(count, 0xFFFF, "<u2")
        if region == Region.COUNTERS:
            for counter in COUNTERS.values():
                if counter.clock:
                    mask[max(0, counter.address - address) :][: counter.words] = 0
        most = self.config.frame_payload // 2
        for first in range(0, count, most):
            part = slice(first, min(count, first + most))
            self.request(
                f"{region.name} from word {address + first}",
                Request.READ,
                encode_read(region, address + first, part.stop - first),
                answer=words[part].astype("<u2").tobytes(),
                mask=mask[part].tobytes(),
            )
        return words

    def control(self, value: Control) -> None:
        self.write(Region.REGISTERS, Register.CONTROL, value)

    def run(self, start: int, count: int = 1) -> None:
        self.write(Region.REGISTERS, Register.START, [start, count])
        self.control(Control.RUN)

    def step(self, start: int) -> None:
        self.write(Region.REGISTERS, Register.START, start)
        self.control(Control.STEP)

    def stream(self, data: bytes | memoryview, *, end: bool = True) -> None:
        """When there is an empty buffer."""
        self.until(self.poll().state, credits=1)
        self.golden.stream(data, end=end)
        most = self.config.frame_payload
        for first in range(0, len(data), most):
            last = end and first + most >= len(data)
            kind = Request.SAMPLES_END if last else Request.SAMPLES
            self.request("samples", kind, bytes(data[first : first + most]))

    def refused(self, region: Region, status: Status) -> None:
        """A write and a read that change and tell nothing."""
        self.request(
            f"refused write to {region.name}",
            Request.WRITE,
            encode_write(region, 0, np.array([0xBAD], np.uint16)),
            status=status,
        )
        self.request(
            f"refused read of {region.name}",
            Request.READ,
            encode_read(region, 0, 1),
            status=status,
        )

    def damaged(self) -> None:
        """Writes with a wrong bit, each followed by nothing that makes up for it."""
        sequence = next_sequence(self.sequence)
        for region in (Region.WEIGHT, Region.DELTA, Region.REGISTERS, Region.PROGRAM):
            words = self.random.integers(1, 1 << 16, 6).astype(np.uint16)
            frame = encode_request(Request.WRITE, sequence, encode_write(region, 0, words))
            # Not in the length: the device would wait for bytes that do not come.
            for place in (2, 5, 8, len(frame) - 5, len(frame) - 1):
                wrong = bytearray(frame)
                wrong[place] ^= 1 << int(self.random.integers(8))
                what = f"byte {place} damaged"
                self.answered(what, bytes(wrong), status=Status.BAD_CHECKSUM)
        # One that is whole, but was carried out before or is not the next.
        for skipped in (0, 2):
            number = (self.sequence + skipped) % 256
            payload = encode_write(Region.WEIGHT, 0, np.array([0xBAD], np.uint16))
            frame = encode_request(Request.WRITE, number, payload)
            last = bytes((self.sequence,))
            self.answered("out of order", frame, status=Status.BAD_SEQUENCE, answer=last)

    def reset(self, cycles: int) -> None:
        """So many cycles after the last answer."""
        self.steps.append(Step(what="reset", cycles=cycles, reset=True))
        self.begin()

    def close(self) -> None: ...

    def __enter__(self) -> "Script":
        return self

    def __exit__(self, *exception: object) -> None: ...


class Run:
    """A small network that learns on a script."""

    def __init__(
        self, script: Script, *, loss: Loss, hidden: Activation, clip_norm: float | None = None
    ):
        self.script = script
        network = Network(
            sizes=(5, 6, 3),
            activations=(hidden, Activation.LINEAR),
            loss=loss,
            class_target=loss == Loss.CROSS_ENTROPY,
            # So narrow that words saturate here and there.
            formats=Formats(activation=Format(3, 12), delta=Format(1, 14)),
        )
        clips = clip_norm is not None
        self.program: Compiled = compile_network(
            network,
            Rule(rate=2.0**-3, momentum=0.9, decay=0.01, clip_norm=clip_norm),
            config=script.config,
            train=[7, 3] if clips else [BATCH, RAGGED],
            predict=[RAGGED],
            at_once=AT_ONCE if clips else None,
        )
        self.at_once = AT_ONCE if clips else BATCH
        random = script.random
        weights = [random.normal(0, 3, shape).clip(-7, 7) for shape in network.weight_shapes]
        self.program.load(script, self.program.encode_weights(weights))

    def batches(self, mode: Mode, samples: int, count: int) -> Iterator[memoryview]:
        """Writes the format of `count` random batches, and hands them out."""
        network, random = self.program.network, self.script.random
        inputs = random.uniform(-6, 6, (samples * count, network.sizes[0]))
        targets: NDArray | None = random.uniform(-4, 4, (samples * count, network.sizes[-1]))
        if network.class_target:
            targets = random.integers(0, network.sizes[-1], samples * count)
        encoded = self.program.encode(inputs, None if mode == Mode.PREDICT else targets)
        write_registers(self.script, encoded.registers)
        for update in range(0, samples * count, samples):
            for first in range(update, update + samples, self.at_once):
                yield encoded.batch(first, min(first + self.at_once, update + samples))

    def start(self, mode: Mode, samples: int, count: int, *, sent: int | None = None) -> None:
        """Start a program, and send `sent` of its batches, all by default."""
        batches = list(self.batches(mode, samples, count))
        self.script.run(self.program.entry(mode, samples), count)
        for batch in batches[:sent]:
            self.script.stream(batch)

    def whole(self, mode: Mode, samples: int, count: int = 1) -> None:
        """Run to the end and compare everything."""
        self.start(mode, samples, count)
        self.script.wait()
        read_state(self.script)


def learns(script: Script) -> None:
    """Whole and ragged batches, rounds, steps: every memory, LFSR and counter."""
    for loss, hidden in (
        (Loss.CROSS_ENTROPY, Activation.SIGMOID),
        (Loss.MEAN_SQUARED_ERROR, Activation.LEAKY_RELU),
    ):
        run = Run(script, loss=loss, hidden=hidden)
        run.whole(Mode.TRAIN, BATCH, 3)
        run.whole(Mode.TRAIN, RAGGED)
        run.whole(Mode.PREDICT, RAGGED)
        for batch in run.batches(Mode.TRAIN, BATCH, 1):
            script.stream(batch)
        script.step(run.program.entry(Mode.TRAIN, BATCH))
        while script.poll().state == State.HALTED:
            script.wait()
            script.read(Region.COUNTERS, 0, COUNTERS["cycles"].address)
            script.step(0)
        script.wait()
        read_state(script)
    assert script.golden.executor.saturations.any(), "no saturation: nothing compared"


def accumulates(script: Script) -> None:
    """Updates of several batches, clipped and not; then GRADIENT with all its flags on anything."""
    for clip_norm in (0.5, 15.0):
        run = Run(
            script, loss=Loss.CROSS_ENTROPY, hidden=Activation.SIGMOID, clip_norm=clip_norm
        )
        run.whole(Mode.TRAIN, 7, 2)
        run.whole(Mode.TRAIN, 3)
    # A run that is stopped leaves squares behind; the next one must not see them.
    run.start(Mode.TRAIN, 7, 1, sent=4)
    script.wait()
    script.control(Control.STOP)
    script.until(State.IDLE, credits=INPUT_BUFFERS)
    gradients = [i for i in run.program.instructions if i.opcode == Opcode.GRADIENT][:2]
    program = []
    for flags in range(1 << len(GradientFlag)):
        program += [replace(i, flags=flags, shift=7, wait_array=0) for i in gradients]
        if flags % 4 == 3:
            program.append(Instruction(opcode=Opcode.CLIP, statistic=CLIP_STATISTIC))
    program.append(Instruction(opcode=Opcode.END))
    script.write(Region.PROGRAM, 0, np.array([i.encode() for i in program], np.uint16).reshape(-1))
    for threshold in (0xFFFF, 40):
        script.write(Region.REGISTERS, Register.CLIP_THRESHOLD, threshold)
        script.scramble(Region.WEIGHT, Region.MOMENTUM, Region.ACTIVATION, Region.DELTA)
        script.scramble(Region.INPUT, Region.GRADIENT)
        script.run(0)
        script.wait()
        read_state(script)
    saturations = script.golden.executor.saturations
    assert all(saturations[i.statistic] for i in gradients)
    assert saturations[CLIP_STATISTIC]


def stops(script: Script) -> None:
    """While it waits, with part of a batch, and with a full buffer that nobody took."""
    run = Run(script, loss=Loss.CROSS_ENTROPY, hidden=Activation.TANH)
    run.start(Mode.TRAIN, BATCH, 2, sent=1)
    script.until(State.RUNNING, credits=INPUT_BUFFERS)
    script.refused(Region.WEIGHT, Status.BUSY)
    script.refused(Region.PROGRAM, Status.BUSY)
    script.stream(b"\x01\x02\x03", end=False)
    script.control(Control.STOP)
    script.until(State.IDLE, credits=INPUT_BUFFERS)
    # What of a forgotten batch has reached the buffer is not said.
    script.scramble(Region.INPUT, Region.TARGET)
    for region, address, words in run.program.memory.ones():
        script.write(region, address, words)
    read_state(script)
    for batch in run.batches(Mode.TRAIN, BATCH, INPUT_BUFFERS):
        script.stream(batch)
    script.control(Control.STOP)
    script.until(State.IDLE, credits=INPUT_BUFFERS)
    run.whole(Mode.TRAIN, BATCH)
    # A batch of another size fails the program; a stop clears that.
    for batch in run.batches(Mode.TRAIN, RAGGED, 1):
        script.stream(batch)
    script.run(run.program.entry(Mode.TRAIN, BATCH))
    script.wait()
    assert script.poll().state == State.FAILED
    script.read(Region.COUNTERS, 0, COUNTERS["cycles"].address)
    script.control(Control.STOP)
    run.whole(Mode.TRAIN, BATCH)


def refuses(script: Script) -> None:
    """Damaged, repeated and impossible frames write nothing."""
    run = Run(script, loss=Loss.MEAN_SQUARED_ERROR, hidden=Activation.RELU)
    script.damaged()
    script.read(Region.PROGRAM, 0, 32)
    read_state(script)
    run.whole(Mode.TRAIN, BATCH)


def resets(script: Script) -> None:
    """In a program, between its commands and in each of them, a clean run follows."""
    for cycles in (1, 40, 333):
        run = Run(script, loss=Loss.CROSS_ENTROPY, hidden=Activation.SIGMOID)
        run.start(Mode.TRAIN, BATCH, 2)
        script.reset(cycles)
    run = Run(script, loss=Loss.CROSS_ENTROPY, hidden=Activation.SIGMOID)
    run.whole(Mode.TRAIN, BATCH, 2)


SCENARIOS: dict[str, tuple[Callable[[Script], None], dict[str, float]]] = {
    "learns": (learns, {"rx": 0.3, "tx": 0.3}),
    "accumulates": (accumulates, {"rx": 0.0, "tx": 0.1}),
    "stops": (stops, {"rx": 0.1, "tx": 0.5}),
    "refuses": (refuses, {"rx": 0.0, "tx": 0.0}),
    "resets": (resets, {"rx": 0.0, "tx": 0.2}),
}


# The first one compiles what all of them need: it begins early, and the others find that done.
FIRST = pytest.param("learns", marks=pytest.mark.long)


@pytest.mark.simulator
@pytest.mark.toolchain
@pytest.mark.parametrize("scenario", [FIRST, *(name for name in SCENARIOS if name != "learns")])
def test_answers_as_golden(scenario: str) -> None:
    write, gaps = SCENARIOS[scenario]
    print(f"seed {SEED}")
    script = Script(SMALL, np.random.default_rng(SEED))
    write(script)
    run_bench(
        Device(config=SMALL, identity=script.identity),
        bench="sim.bench.bench_device",
        parameters={
            "script": [asdict(step) for step in script.steps],
            "gaps": gaps,
            "seed": SEED,
        },
        seed=SEED,
    )
