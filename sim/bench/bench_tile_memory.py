"""Tile memory: rows, columns and host words are those of the image that hw.layout describes.

A test lists what happens in every cycle; `play` drives it, keeps the image that must result, and
compares every word that comes back, in its cycle.

Parameters: `tiles`, `rows`, `lanes`, `reads` and `writes` (kinds of access; none where only words
are written), `offsets` (whether a read says which element is to be the first), `single_port`
(whether nothing is written while something is read), `latency`, `seed`.
"""

from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np
from numpy.typing import NDArray

from hw.layout import TensorLayout
from hw.numbers import WORD_BITS, WORD_MAX, WORD_MIN
from hw.tile_memory import Access
from sim.bench import cycle, pack, parameters, reset, start, unpack

P = parameters()
TILES, R, L = P["tiles"], P["rows"], P["lanes"]
READS = [Access(kind) for kind in P["reads"]]
WRITES = [Access(kind) for kind in P["writes"]]
WORDS = TILES * R * L
LATENCY = P["latency"]

test = cocotb.test(timeout_time=1, timeout_unit="ms")


@dataclass(frozen=True)
class Place:
    """A row or a column of a tile, from element `offset` on."""

    tile: int
    index: int
    access: Access
    offset: int = 0

    def addresses(self) -> NDArray[np.int64]:
        """Flat addresses of its L or R words."""
        layout = TensorLayout(base=self.tile, rows=R, columns=L, tile_rows=R, lanes=L, stride=1)
        matrix = layout.addresses()
        if self.access is Access.COLUMN:
            return matrix[self.offset :, self.index]
        return np.roll(matrix[self.index], -self.offset)


@dataclass(frozen=True)
class Cycle:
    """What the device and the host do in a cycle."""

    read: Place | None = None
    write: Place | None = None
    mask: int = 0
    data: tuple[int, ...] = (0,) * L
    address: int = 0
    host_write: bool = False
    host_data: int = 0


def places(kinds: list[Access]) -> list[Place]:
    count = {Access.ROW: R, Access.COLUMN: L}
    offsets = {Access.ROW: L if P["offsets"] else 1, Access.COLUMN: R if P["offsets"] else 1}
    return [
        Place(t, i, a, offset)
        for t in range(TILES)
        for a in kinds
        for i in range(count[a])
        for offset in range(offsets[a])
    ]


def random_words(random: np.random.Generator, *shape: int) -> NDArray[np.int64]:
    return random.integers(WORD_MIN, WORD_MAX + 1, shape)


async def play(dut: Any, cycles: list[Cycle], image: NDArray[np.int64]) -> None:
    """Drive the cycles; `image`, flat, is updated. Words read and written at once are ignored."""
    expected: dict[int, tuple[NDArray[np.int64], NDArray[np.bool_]]] = {}
    host_expected: dict[int, int] = {}
    for time in range(len(cycles) + LATENCY):
        if time in expected:
            words, known = expected[time]
            found = unpack(dut.read__data.value, WORD_BITS, L)[: len(words)]
            issued = cycles[time - LATENCY]
            np.testing.assert_array_equal(found[known], words[known], f"cycle {time}: {issued}")
        if time in host_expected:
            found = dut.host__read_data.value.to_signed()
            assert found == host_expected[time], f"host_read_data in cycle {time}"
        now = cycles[time] if time < len(cycles) else Cycle()
        written = np.zeros(WORDS, dtype=bool)
        if now.write is not None and now.mask:
            addresses = now.write.addresses()
            lanes = [i for i in range(len(addresses)) if now.mask >> i & 1]
            written[addresses[lanes]] = True
            values = np.array(now.data)[lanes]
        elif now.host_write:
            written[now.address] = True
            addresses, lanes, values = np.array([now.address]), [0], np.array([now.host_data])
        if now.read is not None:
            source = now.read.addresses()
            expected[time + LATENCY] = (image[source], ~written[source])
        elif not written[now.address]:
            host_expected[time + LATENCY] = int(image[now.address])
        if written.any():
            image[addresses[lanes]] = values
        drive(dut, now)
        await cycle(dut)


def drive(dut: Any, now: Cycle) -> None:
    dut.read__enable.value = int(now.read is not None)
    for port, place in (("read", now.read), ("write", now.write))[: 1 + bool(WRITES)]:
        place = place or Place(TILES - 1, L - 1, Access.COLUMN)
        getattr(dut, f"{port}__tile").value = place.tile
        getattr(dut, f"{port}__index").value = place.index
        getattr(dut, f"{port}__column").value = int(place.access is Access.COLUMN)
        if P["offsets"]:
            getattr(dut, f"{port}__offset").value = place.offset
    if WRITES:
        dut.write__mask.value = now.mask
        dut.write__data.value = pack(now.data, WORD_BITS)
    dut.host__address.value = now.address
    dut.host__write_enable.value = int(now.host_write)
    dut.host__write_data.value = pack([now.host_data], WORD_BITS)


async def begin(dut: Any) -> np.random.Generator:
    print(f"seed {P['seed']}")
    drive(dut, Cycle())
    await start(dut)
    return np.random.default_rng(P["seed"])


async def load(dut: Any, image: NDArray[np.int64]) -> None:
    """Write the image through the host's port."""
    for address, word in enumerate(image.tolist()):
        drive(dut, Cycle(address=address, host_write=True, host_data=word))
        await cycle(dut)
    drive(dut, Cycle())


@test
async def words_are_0_at_first(dut: Any) -> None:
    await begin(dut)
    image = np.zeros(WORDS, dtype=np.int64)
    await play(dut, [Cycle(read=place) for place in places(READS)], image)


async def fetch(dut: Any, source: list[Place]) -> NDArray[np.int64]:
    """The words that reads of the places, one a cycle, return: shape (reads, L)."""
    found = []
    for time in range(len(source) + LATENCY):
        if time >= LATENCY:
            found.append(unpack(dut.read__data.value, WORD_BITS, L))
        drive(dut, Cycle(read=source[min(time, len(source) - 1)]))
        await cycle(dut)
    return np.array(found)


@test
async def rows_and_columns_are_of_one_matrix(dut: Any) -> None:
    """A ragged matrix over all tiles, as hw.layout scatters it, comes back by rows and columns."""
    random = await begin(dut)
    across = min(2, TILES)
    down = TILES // across
    rows, columns = down * R - 1, across * L - 1
    layout = TensorLayout(base=0, rows=rows, columns=columns, tile_rows=R, lanes=L, stride=across)
    matrix = random_words(random, rows, columns)
    image = random_words(random, WORDS).astype(np.int16)
    layout.scatter(image, matrix.astype(np.int16))
    await load(dut, image.astype(np.int64))
    if Access.ROW in READS:
        found = await fetch(
            dut,
            [
                Place(r // R * across + t, r % R, Access.ROW)
                for r in range(rows)
                for t in range(across)
            ],
        )
        np.testing.assert_array_equal(found.reshape(rows, -1)[:, :columns], matrix)
    if Access.COLUMN in READS:
        found = await fetch(
            dut,
            [
                Place(t * across + c // L, c % L, Access.COLUMN)
                for c in range(columns)
                for t in range(down)
            ],
        )
        np.testing.assert_array_equal(found[:, :R].reshape(columns, -1)[:, :rows], matrix.T)


@test
async def every_place_is_written_under_every_single_lane(dut: Any) -> None:
    random = await begin(dut)
    image = random_words(random, WORDS)
    await load(dut, image)
    cycles = []
    for place in places(WRITES):
        count = len(place.addresses())
        for mask in [*(1 << i for i in range(count)), 0, (1 << count) - 1]:
            data = tuple(random_words(random, L).tolist())
            cycles.append(Cycle(write=place, mask=mask, data=data))
            cycles.append(Cycle(address=int(random.choice(place.addresses()))))
    await play(dut, cycles, image)
    await play(dut, [Cycle(address=address) for address in range(WORDS)], image)


@test
async def random_traffic(dut: Any) -> None:
    """Reads and writes of both kinds and of the host, in all mixtures."""
    random = await begin(dut)
    image = random_words(random, WORDS)
    await load(dut, image)
    await play(dut, random_cycles(random, 3000), image)


@test
async def contents_survive_a_reset(dut: Any) -> None:
    random = await begin(dut)
    image = random_words(random, WORDS)
    await load(dut, image)
    await play(dut, random_cycles(random, 50), image)
    await reset(dut)
    await play(dut, random_cycles(random, 200), image)


def random_cycles(random: np.random.Generator, count: int) -> list[Cycle]:
    # A few places only, so that reads find what was just written.
    sources, targets = (
        [every[i] for i in random.permutation(len(every))[: 4 * L]]
        for every in (places(READS), places(WRITES))
    )
    cycles = []
    for _ in range(count):
        read = sources[random.integers(len(sources))] if random.random() < 0.7 else None
        write, mask = None, 0
        if targets and random.random() < 0.6:
            write = targets[random.integers(len(targets))]
            mask = int(random.integers(1 << len(write.addresses())))
        cycles.append(
            Cycle(
                read=read,
                write=write,
                mask=mask,
                data=tuple(random_words(random, L).tolist()),
                address=int(random.integers(WORDS)),
                host_write=not mask
                and not (read and P["single_port"])
                and bool(random.random() < 0.5),
                host_data=int(random_words(random, 1)[0]),
            )
        )
    return cycles
