"""Bench of ENCODE: STATE, spikes and LFSRs after every command, against the golden model.

Parameters: `config` (fields of a DeviceConfig), `period`, `first` (cycles of a command on one
tile), `seed`.
"""

from typing import Any

import cocotb
import numpy as np

from hw.isa import Instruction, Opcode, Region
from hw.layout import tiles
from hw.numbers import WORD_MAX, WORD_MIN
from hw.spiking import (
    PARAMETER_WORDS,
    POPULATION_ROWS,
    EncodeFlag,
    EncoderParameter,
    Encoding,
    Variable,
)
from sim.bench import reset
from sim.bench.spiking import Bench

ALL_FLAGS = sum(EncodeFlag)


class EncodeBench(Bench):
    """Populations, samples and commands of ENCODE."""

    async def encode(
        self,
        inputs: int,
        encoding: Encoding,
        flags: int = 0,
        *,
        step: int | None = None,
        shift: int = 8,
        scale: int = WORD_MAX,
        corners: float = 0.2,
        **given: int,
    ) -> int:
        """A command on random words; parameters by name may be given. How many spikes there are."""
        random, lanes, config = self.random, self.lanes, self.config
        state, buffers = self.images[Region.STATE], self.images[Region.INPUT]
        state[:] = self.words(*state.shape, corners=corners)
        buffers[:] = self.words(*buffers.shape, scale=scale, corners=corners)
        self.front = int(random.integers(2))
        count = tiles(inputs, lanes)
        block = tiles(PARAMETER_WORDS, lanes)
        base = int(random.integers(0, len(state) - count * POPULATION_ROWS - block + 1))
        left_base = int(random.integers(0, config.input_tiles - count + 1))
        left_inner = int(random.integers(0, config.input_tiles))
        if step is None:
            # Of the steps whose sample is in the buffer.
            batches = (config.input_tiles - count - left_base) // max(left_inner, 1)
            step = int(random.integers(0, (min(batches, 40) + 1) * config.batch_lanes))
        i = Instruction(
            opcode=Opcode.ENCODE,
            activation=encoding,
            flags=flags,
            shift=shift,
            rows=inputs,
            left_base=left_base,
            left_inner=left_inner,
            dest_base=base,
            right_depth=base + count * POPULATION_ROWS,
            gate=int(random.integers(0, 8)),
        )
        values = self.words(len(EncoderParameter), corners=corners).astype(int)
        decay = -int(random.integers(0, 1 << 15))
        values[EncoderParameter.TRACE_DECAY] = random.choice([decay, 0, -1, WORD_MIN])
        for name, value in given.items():
            values[EncoderParameter[name]] = value
        self.set_parameters(i, values.tolist())
        population = state[base : base + count * POPULATION_ROWS]
        population = population.reshape(count, POPULATION_ROWS, lanes)
        before = population[:, Variable.COUNT].astype(int).copy()
        cycles = await self.command(i, step)
        assert cycles == self.given["first"] + (count - 1) * self.given["period"]
        return int((population[:, Variable.COUNT] != before).sum())


async def begin(dut: Any) -> EncodeBench:
    bench = EncodeBench(dut, limit=3000)
    await bench.start()
    return bench


def sizes(bench: EncodeBench) -> list[int]:
    lanes = bench.lanes
    return [1, lanes - 1, lanes, lanes + 1, 2 * lanes, 3 * lanes - 1, 6 * lanes]


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def every_encoding_and_size(dut: Any) -> None:
    bench = await begin(dut)
    for encoding in Encoding:
        spikes = 0
        for inputs in sizes(bench):
            for flags in (0, ALL_FLAGS):
                # In step 0 whatever is above 0 and large enough fires by its latency.
                step = None if flags else int(bench.random.integers(0, 30)) * (inputs & 1)
                spikes += await bench.encode(
                    inputs, encoding, flags, step=step, GAIN=256, LAST_STEP=20, corners=0.1
                )
        assert spikes, encoding


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def every_shift(dut: Any) -> None:
    """Products of all sizes that a shift leaves in a word, and out of one, and nothing of."""
    bench = await begin(dut)
    for shift in range(64):
        for encoding in (Encoding.RATE, Encoding.POISSON):
            await bench.encode(bench.lanes + 1, encoding, shift=shift)
        last = int(bench.random.choice([0, 3, 200, WORD_MAX]))
        for step in (0, 1, last, int(bench.random.integers(0, last + 1))):
            await bench.encode(
                bench.lanes, Encoding.LATENCY, shift=shift, step=step, LAST_STEP=last
            )


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def latencies_meet_their_steps(dut: Any) -> None:
    """Small intensities through all steps, so that every one of them is met, and rounded."""
    bench = await begin(dut)
    for last, shift, gain in ((7, 4, 5), (20, 1, 1), (5, 0, 1), (9, 3, -4)):
        spikes = 0
        for step in range(last + 3):
            spikes += await bench.encode(
                6 * bench.lanes - 1,
                Encoding.LATENCY,
                step=step,
                shift=shift,
                scale=24,
                corners=0.0,
                GAIN=gain,
                LAST_STEP=last,
            )
        assert spikes or gain < 0
    for last in (WORD_MIN, WORD_MIN + 1, -1, 0, WORD_MAX):
        for step in (0, 1, WORD_MAX, 65535):
            for shift in (0, 14, 15, 16):
                given = {"step": step, "shift": shift, "LAST_STEP": last}
                await bench.encode(bench.lanes, Encoding.LATENCY, corners=1.0, **given)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def random_commands(dut: Any) -> None:
    bench = await begin(dut)
    for _ in range(80):
        bench.patience = int(bench.random.integers(1, bench.given["period"] + 1))
        bench.willing = bench.random.choice([0.0, 0.5])
        await bench.encode(
            int(bench.random.integers(1, 6 * bench.lanes)),
            Encoding(int(bench.random.integers(len(Encoding)))),
            int(bench.random.integers(0, ALL_FLAGS + 1)),
            shift=int(bench.random.integers(0, 24)),
            scale=int(bench.random.choice([2, 600, WORD_MAX])),
            corners=bench.random.choice([0.0, 0.05, 0.9]),
        )


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def reset_in_mid_command(dut: Any) -> None:
    bench = await begin(dut)
    for passed in range(1, 3 * bench.given["period"], 11):
        i = Instruction(opcode=Opcode.ENCODE, rows=2 * bench.lanes, activation=Encoding.RATE)
        await bench.launch(i)
        for _ in range(passed):
            await bench.cycle([])
        await reset(bench.dut, 1)
        bench.ended = False
        before = bench.images[Region.STATE].copy()
        for _ in range(bench.given["period"] + 10):
            assert bench.dut.command__done.value == 0
            await bench.cycle([])
        np.testing.assert_array_equal(bench.images[Region.STATE], before)
        await bench.encode(bench.lanes + 1, Encoding.POISSON, ALL_FLAGS)
