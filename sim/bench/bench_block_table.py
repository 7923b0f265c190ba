"""Block table: every reader sees the constant of its own address, `latency` cycles after it.

Each address is asked for once by every reader, in an order of its own.

Parameters: `constants`, `readers`, `latency`, `seed`.
"""

import random
from typing import Any

import cocotb

from hw.numbers import WORD_BITS
from sim.bench import cycle, parameters, start


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def words_are_the_constants(dut: Any) -> None:
    p = parameters()
    random.seed(p["seed"])
    print(f"seed {p['seed']}")
    constants, readers = p["constants"], p["readers"]
    depth = len(constants)
    bits = (depth - 1).bit_length()
    orders = [random.sample(range(depth), depth) for _ in range(readers)]
    await start(dut, addresses=0)
    for time in range(depth + p["latency"]):
        if (asked := time - p["latency"]) >= 0:
            words = dut.words.value.to_unsigned()
            for reader, order in enumerate(orders):
                word = words >> WORD_BITS * reader & (1 << WORD_BITS) - 1
                assert word == constants[order[asked]], f"reader {reader}, {order[asked]}"
        dut.addresses.value = sum(
            order[time % depth] << bits * reader for reader, order in enumerate(orders)
        )
        await cycle(dut)
