"""The checksum against zlib's, as steps and as the table that a simulation looks up."""

import zlib

import numpy as np
import pytest
from amaranth.hdl import Fragment
from amaranth.sim import Simulator

from hw.crc import Crc32
from hw.isa import CHECKSUM_BYTES

SEED = 20270


class SimulatedPlatform:
    simulated = True


@pytest.mark.parametrize("platform", [None, SimulatedPlatform()], ids=["steps", "table"])
def test_is_that_of_zlib(platform: object) -> None:
    random = np.random.default_rng(SEED)
    print(f"seed {SEED}")
    unit = Crc32()
    messages = [b"", b"\0", b"\xff" * 5, b"123456789", *map(random.bytes, (1, 2, 64, 200))]

    async def bench(ctx) -> None:
        async def take(message: bytes) -> None:
            for byte in message:
                while random.random() < 0.3:
                    ctx.set(unit.data, int(random.integers(256)))
                    await ctx.tick()
                ctx.set(unit.valid, 1)
                ctx.set(unit.data, byte)
                await ctx.tick()
                ctx.set(unit.valid, 0)

        for message in messages:
            checksum = zlib.crc32(message).to_bytes(CHECKSUM_BYTES, "little")
            wrong = bytes((checksum[0] ^ 1, *checksum[1:]))
            for end, matches in ((checksum, 1), (wrong, 0)):
                ctx.set(unit.start, 1)
                await ctx.tick()
                ctx.set(unit.start, 0)
                await take(message)
                assert ctx.get(unit.crc) == zlib.crc32(message)
                await take(end)
                assert ctx.get(unit.match) == matches

    simulator = Simulator(Fragment.get(unit, platform))
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
