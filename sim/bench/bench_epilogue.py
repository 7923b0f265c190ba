"""The epilogue against the golden units: every column comes out LATENCY cycles later, to the bit.

    Columns --> play --> dut --> Results == expect(Columns)

Between columns, and where no gate is due, the inputs hold another column's data.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import product
from typing import Any

import cocotb
import numpy as np
from numpy.typing import NDArray

from hw.config import DeviceConfig
from hw.epilogue import Epilogue
from hw.isa import FIELDS, Activation, Opcode
from hw.numbers import DROPOUT_BITS, GRADIENT_BITS, WORD_BITS, WORD_MAX, WORD_MIN
from hw.tables import SIGMOID, SIGMOID_STEP_BITS
from sim.bench import Ports, cycle, pack, parameters, reset, start, unpack
from sim.golden import units

Integers = NDArray[np.int64]

CURVES = (Activation.SIGMOID, Activation.TANH)
OPCODES = (Opcode.FORWARD, Opcode.BACKWARD, Opcode.GRADIENT)
FIELD_BITS = {field.name: field.width for field in FIELDS}
SETTINGS = ("opcode", "activation", "shift", "fraction", "leak_shift", "drop", "scale", "rate")
DROPOUT = ("drop", "scale", "rate", "random")
"""What comes only where there is dropout."""
LATER = ("gate", "rate", "random")
"""What comes GATE_OFFSET cycles after the rest of a column."""
VECTORS = {"accumulators": 0, "gate": WORD_BITS, "random": DROPOUT_BITS}
"""What has a word for each lane, of how many bits."""
WAIT_LIMIT = 200


def unit() -> Epilogue:
    """The unit under test, for its sizes and constants."""
    given = parameters()
    config = DeviceConfig(**given["config"])
    return Epilogue(config=config, tag_width=given["tag_width"], interval=given["interval"])


@dataclass
class Columns:
    """What N columns bring, by rows of arrays: settings, mask and tag (N,), the others (N, L)."""

    opcode: Integers
    activation: Integers
    shift: Integers
    fraction: Integers
    leak_shift: Integers
    drop: Integers
    scale: Integers
    rate: Integers
    mask: Integers
    tag: Integers
    accumulators: Integers
    gate: Integers
    random: Integers

    def __len__(self) -> int:
        return len(self.tag)

    def __getitem__(self, index: Any) -> "Columns":
        return Columns(*(getattr(self, field.name)[index] for field in fields(self)))

    def ports(self, config: DeviceConfig) -> list[dict[str, int]]:
        """The ports' values for each column; those that come later are not among them."""
        width = config.accumulator_width
        names = [name for name in inputs(config) if name not in (*VECTORS, *LATER)]
        rows = zip(*(getattr(self, name).tolist() for name in names), strict=True)
        ports = [dict(zip(names, row, strict=True)) for row in rows]
        for port, row in zip(ports, self.accumulators, strict=True):
            port["accumulators"] = pack(row, width)
        return ports

    def later(self, config: DeviceConfig) -> list[dict[str, int]]:
        """The values of those that come later."""
        names = [name for name in LATER if name in inputs(config)]
        return [
            {
                name: pack(value, VECTORS[name]) if name in VECTORS else int(value)
                for name, value in zip(names, row, strict=True)
            }
            for row in zip(*(getattr(self, name) for name in names), strict=True)
        ]


@dataclass
class Results:
    """What came out of N columns: results (N, L), the others (N,)."""

    cycle: Integers
    results: Integers
    saturations: Integers
    mask: Integers
    tag: Integers


def inputs(config: DeviceConfig) -> list[str]:
    """The columns' ports that the unit has."""
    names = [field.name for field in fields(Columns)]
    return [name for name in names if config.dropout or name not in DROPOUT]


def expect(
    columns: Columns, *, sigmoid: bool, surrogate: bool = False, dropout: bool = False
) -> tuple[Integers, Integers]:
    """Results (N, L) and saturations (N,), from the golden units."""
    results = np.zeros_like(columns.accumulators)
    events = np.zeros_like(results)
    settings = np.stack([getattr(columns, name) for name in SETTINGS], axis=1)
    distinct, group = np.unique(settings, axis=0, return_inverse=True)
    order = np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group.ravel()))[:-1])
    for (opcode, number, shift, fraction, leak_shift, drop, scale, rate), rows in zip(
        distinct.tolist(), order, strict=True
    ):
        bits = GRADIENT_BITS if opcode == Opcode.GRADIENT else WORD_BITS
        value, saturated = units.narrow(columns.accumulators[rows], shift, bits)
        events[rows] = saturated
        linear = number not in list(Activation) or (number in CURVES and not sigmoid)
        linear |= number == Activation.SURROGATE and not surrogate
        activation = Activation.LINEAR if linear else Activation(number)
        drop, scale = drop & dropout, scale & dropout
        if opcode == Opcode.FORWARD:
            if scale:
                value = units.scaled(value, activation, fraction, leak_shift, rate)
            else:
                value = units.activate(value, activation, fraction, leak_shift)
            if drop:
                value = units.dropped(value, activation, columns.random[rows] < rate)
        elif opcode == Opcode.BACKWARD:
            gate = columns.gate[rows]
            value, saturated = units.gate(value, gate, activation, fraction, leak_shift)
            events[rows] += saturated
            value = np.where((gate == 0) & bool(drop), 0, value)
        results[rows] = value
    lanes = np.arange(results.shape[1])
    there = columns.mask[:, None] >> lanes & 1
    return results, (events * there).sum(axis=1)


def random_columns(random: np.random.Generator, count: int, dut_unit: Epilogue) -> Columns:
    """Settings of all kinds; accumulators of all magnitudes, many near the edges of saturation."""
    lanes, width = dut_unit.config.lanes, dut_unit.config.accumulator_width
    opcode = random.choice(OPCODES, count)
    activation = random.integers(0, 1 << FIELD_BITS["activation"], count)
    curved = np.isin(activation, CURVES)
    fraction = np.where(curved, random.integers(8, 15, count), random.integers(0, 16, count))
    shift = random.integers(0, np.where(random.random(count) < 0.2, 64, 33), count)
    size = (count, lanes)
    magnitude = random.integers(1, width, size)
    accumulators = random.integers(-(1 << 62), 1 << 62, size) >> (62 - magnitude)
    bits = np.where(opcode == Opcode.GRADIENT, GRADIENT_BITS, WORD_BITS)[:, None] - 1
    place = np.minimum(shift[:, None] + bits, width - 2)
    sign = random.choice([-1, 1], size)
    edge = (sign << place) + (random.integers(-4, 5, size) << np.maximum(shift, 1)[:, None] >> 1)
    accumulators = np.where(random.random(size) < 0.3, edge, accumulators)
    limit = 1 << (width - 1)
    whole = random.integers(WORD_MIN, WORD_MAX + 1, size)
    one = 1 << np.minimum(fraction, 14)[:, None]
    lowest = np.where(activation == Activation.SIGMOID, 0, -1)[:, None] * one
    possible = random.integers(lowest, one + 1, size)
    whole = np.where(random.random(size) < 0.2, 0, whole)
    rate = random.integers(0, 1 << DROPOUT_BITS, count)
    return Columns(
        opcode=opcode,
        activation=activation,
        shift=shift,
        fraction=fraction,
        leak_shift=random.integers(0, 16, count),
        drop=random.integers(0, 2, count),
        scale=random.integers(0, 2, count),
        rate=np.where(random.random(count) < 0.1, random.choice([0, 255], count), rate),
        mask=random.integers(0, 1 << lanes, count),
        tag=random.integers(0, 1 << dut_unit.tag_width, count),
        accumulators=np.clip(accumulators, -limit, limit - 1),
        gate=np.where(random.random(size) < 0.5, possible, whole),
        random=random.integers(0, 1 << DROPOUT_BITS, size),
    )


def edges(opcode: Opcode, shift: int, width: int) -> list[int]:
    """Sums of `width` bits around which rounding or saturation changes what comes out."""
    limit = 1 << (width - 1)
    bits = GRADIENT_BITS if opcode == Opcode.GRADIENT else WORD_BITS
    top = 1 << min(bits - 1 + shift, width - 1)
    half = (1 << shift) >> 1
    sums = [-limit, limit - 1, 0, -1, 1, -half, -half - 1, half, half - 1, -3 * half]
    sums += [top, top - 1, top - half, top - half - 1, -top, -top - half, -top - half - 1]
    return [min(max(total, -limit), limit - 1) for total in sums]


def corner_columns(dut_unit: Epilogue) -> Columns:
    """Edges of accumulators times edges of outputs, at the ends of the settings' ranges."""
    lanes, width = dut_unit.config.lanes, dut_unit.config.accumulator_width
    rows: list[tuple[Any, ...]] = []
    for opcode, activation in product(OPCODES, Activation):
        curved = activation in CURVES
        fractions: tuple[int, ...] = (8, 11, 14) if curved else (0,)
        leaks = (0, 1, 7, 15) if activation == Activation.LEAKY_RELU else (3,)
        if opcode == Opcode.GRADIENT:
            fractions, leaks = (9,), (3,)
        for fraction, leak, shift in product(fractions, leaks, (0, 1, 12, 31, 62, 63)):
            one = 1 << fraction
            outputs = [0, 1, -1, WORD_MIN, WORD_MAX, one, -one, one + 1, one >> 1]
            for total in edges(opcode, shift, width):
                rows.append((opcode, activation, shift, fraction, leak, total, outputs))
    # Lane by lane another gate: with as many turns, each sum meets each gate.
    columns = [row for row in rows for _ in range(1 if row[0] != Opcode.BACKWARD else 3)]
    count = len(columns)
    settings = np.array([column[:5] for column in columns], dtype=np.int64).T
    totals = np.array([column[5] for column in columns])
    gates = np.array([column[6] for column in columns])
    turn = (np.arange(count)[:, None] * lanes + np.arange(lanes)) % gates.shape[1]
    tag = np.arange(count) % (1 << dut_unit.tag_width)
    none = np.zeros(count, dtype=np.int64)
    return Columns(
        **dict(zip(SETTINGS, (*settings, none, none, none), strict=True)),
        mask=np.full(count, (1 << lanes) - 1),
        tag=tag,
        accumulators=np.repeat(totals[:, None], lanes, axis=1),
        gate=np.clip(np.take_along_axis(gates, turn, axis=1), WORD_MIN, WORD_MAX),
        random=np.zeros((count, lanes), dtype=np.int64),
    )


def dropout_columns(dut_unit: Epilogue) -> Iterator[Columns]:
    """Sums about 0 and at the rails, for each function; numbers about the rate, and rates' ends."""
    lanes, highest = dut_unit.config.lanes, (1 << DROPOUT_BITS) - 1
    sums = [0, -1, 1, -2, 2, 3, -3, WORD_MIN, WORD_MAX, WORD_MIN + 1, 255, -256, 511, -1000]
    kinds = product((Opcode.FORWARD, Opcode.BACKWARD), Activation, (0, 1), (0, 1))
    for opcode, activation, drop, scale in kinds:
        for rate, leak in product((0, 1, 51, 128, 255), (0, 3, 15)):
            about = np.array([rate, max(rate - 1, 0), min(rate + 1, highest), 0, highest])
            totals = np.resize(sums, (lanes, len(sums))).T
            count = len(sums)
            settings = (opcode, activation, 0, 9, leak, drop, scale, rate)
            columns = zip(SETTINGS, settings, strict=True)
            turn = np.arange(count)[:, None] + np.arange(lanes)
            yield Columns(
                **{name: np.full(count, setting) for name, setting in columns},
                mask=np.full(count, (1 << lanes) - 1),
                tag=np.zeros(count, dtype=np.int64),
                accumulators=totals,
                gate=np.array([0, 1, -1, 512, 0, 256])[turn % 6],
                random=about[turn % len(about)],
            )


def table_columns(dut_unit: Epilogue) -> Iterator[Columns]:
    """Every entry of the table, on both sides of 0, for each fraction, and the last words."""
    lanes = dut_unit.config.lanes
    for activation, fraction in product(CURVES, range(8, 15)):
        step = fraction - SIGMOID_STEP_BITS - (activation == Activation.TANH)
        entries = np.arange(len(SIGMOID) + 2 * lanes - 1) << step
        words = np.concatenate([entries, -entries, [WORD_MIN, WORD_MAX]])
        words = np.resize(np.clip(words, WORD_MIN, WORD_MAX), -(-len(words) // lanes) * lanes)
        words = words.reshape(-1, lanes)
        count = len(words)
        values = (Opcode.FORWARD, activation, 0, fraction, 0, 0, 0, 0)
        settings = dict(zip(SETTINGS, values, strict=True))
        yield Columns(
            **{name: np.full(count, setting) for name, setting in settings.items()},
            mask=np.full(count, (1 << lanes) - 1),
            tag=np.zeros(count, dtype=np.int64),
            accumulators=words,
            gate=np.zeros((count, lanes), dtype=np.int64),
            random=np.zeros((count, lanes), dtype=np.int64),
        )


def joined(parts: list[Columns]) -> Columns:
    """The columns of all parts, one after the other."""
    return Columns(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Columns)))


async def play(dut: Any, dut_unit: Epilogue, columns: Columns, starts: Integers) -> Results:
    """Give column n in cycle starts[n]; what came out until LATENCY cycles after the last one."""
    dut = Ports(dut)
    given = columns.ports(dut_unit.config)
    late = columns.later(dut_unit.config)
    column_at = {int(start): index for index, start in enumerate(starts)}
    rows: list[tuple[Any, ...]] = []
    for now in range(int(starts[-1]) + dut_unit.LATENCY + dut_unit.interval):
        if int(dut.o_valid.value):
            outputs = (dut.gradients, dut.words, dut.saturations, dut.o_mask, dut.o_tag)
            rows.append((now, *(int(output.value) for output in outputs)))
        column = column_at.get(now)
        dut.valid.value = column is not None
        for name, value in given[now % len(given) if column is None else column].items():
            getattr(dut, name).value = value
        gated = column_at.get(now - dut_unit.GATE_OFFSET)
        for name, value in late[now % len(late) if gated is None else gated].items():
            getattr(dut, name).value = value
        await cycle(dut)
    dut.valid.value = 0
    return _results(rows, columns, dut_unit.config.lanes)


def _results(rows: list[Any], columns: Columns, lanes: int) -> Results:
    """The rows as arrays; gradients or words, whatever the column's opcode has."""
    opcodes = columns.opcode.tolist()
    assert len(rows) == len(opcodes), f"{len(opcodes)} columns went in, {len(rows)} came out"
    results = [
        unpack(row[1], GRADIENT_BITS, lanes)
        if opcode == Opcode.GRADIENT
        else unpack(row[2], WORD_BITS, lanes)
        for row, opcode in zip(rows, opcodes, strict=True)
    ]
    rest = (np.array([row[place] for row in rows], dtype=np.int64) for place in (3, 4, 5))
    return Results(np.array([row[0] for row in rows]), np.stack(results), *rest)


async def check(dut: Any, dut_unit: Epilogue, columns: Columns, gaps: Integers) -> None:
    """Play the columns, each `gaps` cycles later than it could come, and compare with golden."""
    starts = np.cumsum(gaps + dut_unit.interval)
    got = await play(dut, dut_unit, columns, starts)
    config = dut_unit.config
    results, saturations = expect(
        columns, sigmoid=config.sigmoid, surrogate=config.spiking, dropout=config.dropout
    )
    wrong = np.argwhere(got.results != results)
    if len(wrong):
        column, lane = wrong[0]
        settings = {name: int(getattr(columns, name)[column]) for name in SETTINGS}
        raise AssertionError(
            f"{len(wrong)} results differ, first column {column}, lane {lane}: "
            f"got {got.results[column, lane]}, not {results[column, lane]}, for {settings}, "
            f"accumulator {columns.accumulators[column, lane]}, gate {columns.gate[column, lane]}"
        )
    assert np.array_equal(got.cycle, starts + dut_unit.LATENCY)
    for name, wanted in (
        ("saturations", saturations),
        ("mask", columns.mask),
        ("tag", columns.tag),
    ):
        differing = np.flatnonzero(getattr(got, name) != wanted).tolist()
        assert not differing, f"{name} of {len(differing)} columns differ: {differing[:5]} ..."


def no_gaps(columns: Columns) -> Integers:
    """Each column as soon as it may come."""
    return np.zeros(len(columns), dtype=np.int64)


async def begin(dut: Any) -> Epilogue:
    """Start the clock with all inputs at 0."""
    dut_unit = unit()
    await start(dut, **{name: 0 for name in ("valid", *inputs(dut_unit.config))})
    return dut_unit


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def corners(dut: Any) -> None:
    """Edges of every range, a column as often as one may come."""
    dut_unit = await begin(dut)
    columns = corner_columns(dut_unit)
    await check(dut, dut_unit, columns, no_gaps(columns))


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def dropout(dut: Any) -> None:
    """Corners of what is dropped, marked and scaled; without dropout none of it happens."""
    dut_unit = await begin(dut)
    columns = joined(list(dropout_columns(dut_unit)))
    await check(dut, dut_unit, columns, no_gaps(columns))


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def whole_table(dut: Any) -> None:
    """Every entry of the sigmoid table; without a table, words pass."""
    dut_unit = await begin(dut)
    columns = joined(list(table_columns(dut_unit)))
    if not dut_unit.config.sigmoid:
        columns = columns[:100]
    await check(dut, dut_unit, columns, no_gaps(columns))


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def random_stream(dut: Any) -> None:
    """Thousands of columns, each with settings of its own: at full rate, then with gaps."""
    dut_unit = await begin(dut)
    seed = parameters()["seed"]
    dut._log.info("seed %d", seed)
    random = np.random.default_rng(seed)
    columns = random_columns(random, 4000, dut_unit)
    gaps = np.where(random.random(4000) < 0.5, random.integers(0, 7, 4000), 0)
    gaps[:2000] = 0
    await check(dut, dut_unit, columns, gaps)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def reset_in_mid_stream(dut: Any) -> None:
    """A reset drops the columns under way, at whatever stage, and the next ones are unharmed."""
    dut_unit = await begin(dut)
    random = np.random.default_rng(parameters()["seed"])
    columns = random_columns(random, dut_unit.LATENCY, dut_unit)
    for column in columns.ports(dut_unit.config):
        for name, value in column.items():
            getattr(dut, name).value = value
        dut.valid.value = 1
        await cycle(dut)
        dut.valid.value = 0
        await cycle(dut, dut_unit.interval - 1)
    dut.rst.value = 1
    await cycle(dut)
    dut.rst.value = 0
    for _ in range(2 * dut_unit.LATENCY):
        assert not int(dut.o_valid.value), "a column survived the reset"
        await cycle(dut)
    await reset(dut)
    await check(dut, dut_unit, columns, no_gaps(columns))
