"""Block memory: what is read is what was written last, `latency` cycles after its address.

The addresses are those next to a power of two, where blocks begin and end, and some others.

Parameters: `depth`, `latency`, `seed`.
"""

import random
from typing import Any

import cocotb

from hw.numbers import WORD_BITS
from sim.bench import cycle, parameters, start

CYCLES = 3000


def addresses(depth: int) -> list[int]:
    near = [(1 << bit) + step for bit in range(depth.bit_length() + 1) for step in (-1, 0)]
    near += [random.randrange(depth) for _ in range(8)]
    return sorted({place for place in near if place < depth} | {depth - 1})


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def words_are_those_written_last(dut: Any) -> None:
    p = parameters()
    random.seed(p["seed"])
    print(f"seed {p['seed']}")
    places = addresses(p["depth"])
    image = dict.fromkeys(places, 0)
    expected: list[int | None] = []
    await start(dut, read_address=0, write_enable=0, write_address=0, write_data=0)
    for time in range(CYCLES):
        if time >= p["latency"] and (word := expected[time - p["latency"]]) is not None:
            assert dut.word.value.to_unsigned() == word, f"cycle {time}"
        read, write = random.choice(places), random.choice(places)
        enable, data = random.getrandbits(1), random.getrandbits(WORD_BITS)
        dut.read_address.value = read
        dut.write_address.value = write
        dut.write_enable.value = enable
        dut.write_data.value = data
        expected.append(None if enable and read == write else image[read])
        if enable:
            image[write] = data
        await cycle(dut)
    assert len(set(image.values())) > len(places) // 2, "nothing was written"
