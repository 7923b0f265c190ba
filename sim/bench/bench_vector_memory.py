"""STATE or EVENTS: rows and the host's words are those of an image of shape (rows, L).

A test lists what happens in every cycle; `play` drives it, keeps the image that must result, and
compares every row and every word of the host that comes back, in its cycle.

Parameters: `rows`, `lanes`, `address` (name of the ports' member that says which row), `latency`,
`host_latency`, `seed`.
"""

from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np
from numpy.typing import NDArray

from hw.numbers import WORD_BITS, WORD_MAX, WORD_MIN
from sim.bench import Ports, cycle, pack, parameters, reset, start, unpack

P = parameters()
ROWS, L = P["rows"], P["lanes"]

test = cocotb.test(timeout_time=1, timeout_unit="ms")


@dataclass(frozen=True)
class Cycle:
    """What the device or the host does in a cycle; the host's word is read when nothing else is."""

    read: int | None = None
    write: int | None = None
    data: tuple[int, ...] = (0,) * L
    address: int = 0
    host_write: bool = False
    host_data: int = 0


def words(random: np.random.Generator, *shape: int) -> NDArray[np.int64]:
    corners = random.choice([WORD_MIN, -1, 0, WORD_MAX], shape)
    return np.where(random.random(shape) < 0.2, corners, random.integers(WORD_MIN, WORD_MAX, shape))


def drive(dut: Any, now: Cycle) -> None:
    dut.read__enable.value = int(now.read is not None)
    getattr(dut, f"read__{P['address']}").value = now.read or 0
    dut.write__enable.value = int(now.write is not None)
    getattr(dut, f"write__{P['address']}").value = now.write or 0
    dut.write__data.value = pack(now.data, WORD_BITS)
    dut.host__address.value = now.address
    dut.host__write_enable.value = int(now.host_write)
    dut.host__write_data.value = pack([now.host_data], WORD_BITS)


async def play(dut: Any, cycles: list[Cycle], image: NDArray[np.int64]) -> None:
    """Drive the cycles; `image` is updated. A row read and written at once is ignored."""
    rows: dict[int, NDArray[np.int64]] = {}
    host: dict[int, int] = {}
    for time in range(len(cycles) + P["host_latency"]):
        if time in rows:
            found = unpack(dut.read__data.value, WORD_BITS, L)
            np.testing.assert_array_equal(found, rows[time], f"cycle {time}")
        if time in host:
            assert unpack(dut.host__read_data.value, WORD_BITS, 1)[0] == host[time], f"cycle {time}"
        now = cycles[time] if time < len(cycles) else Cycle()
        touched = now.address // L if now.host_write else now.write
        if now.read is not None:
            if now.read != touched:
                rows[time + P["latency"]] = image[now.read].copy()
        elif now.address // L != touched:
            host[time + P["host_latency"]] = int(image.flat[now.address])
        if now.write is not None:
            image[now.write] = now.data
        if now.host_write:
            image.flat[now.address] = now.host_data
        drive(dut, now)
        await cycle(dut)


async def begin(dut: Any) -> tuple[Ports, np.random.Generator]:
    print(f"seed {P['seed']}")
    ports = Ports(dut)
    drive(ports, Cycle())
    await start(ports)
    return ports, np.random.default_rng(P["seed"])


def everything(random: np.random.Generator) -> list[Cycle]:
    """Every row and every word, in any order."""
    rows = [Cycle(read=int(row)) for row in random.permutation(ROWS)]
    return rows + [Cycle(address=int(address)) for address in random.permutation(ROWS * L)]


def traffic(random: np.random.Generator, count: int) -> list[Cycle]:
    """Rows read and written together, on few rows; in between words of the host."""
    few = random.permutation(ROWS)[:5]
    cycles = []
    for _ in range(count):
        if random.random() < 0.7:
            read, write = (
                int(random.choice(few)) if random.random() < 0.8 else None for _ in range(2)
            )
            cycles.append(Cycle(read=read, write=write, data=tuple(words(random, L).tolist())))
        else:
            cycles.append(
                Cycle(
                    address=int(random.choice(few)) * L + int(random.integers(L)),
                    host_write=bool(random.random() < 0.5),
                    host_data=int(words(random, 1)[0]),
                )
            )
    return cycles


@test
async def words_are_0_at_first(dut: Any) -> None:
    ports, random = await begin(dut)
    await play(ports, everything(random), np.zeros((ROWS, L), np.int64))


@test
async def host_writes_one_word(dut: Any) -> None:
    ports, random = await begin(dut)
    image = words(random, ROWS, L)
    load = [
        Cycle(address=a, host_write=True, host_data=int(image.flat[a]))
        for a in random.permutation(ROWS * L).tolist()
    ]
    await play(ports, load + everything(random), image.copy())


@test
async def random_traffic_and_reset(dut: Any) -> None:
    ports, random = await begin(dut)
    image = np.zeros((ROWS, L), np.int64)
    fill = [Cycle(write=r, data=tuple(words(random, L).tolist())) for r in range(ROWS)]
    await play(ports, [*fill, *traffic(random, 2000), *everything(random)], image)
    await reset(ports)
    await play(ports, [*everything(random), *traffic(random, 200)], image)
