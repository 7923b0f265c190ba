"""Bench of PLASTICITY and SCALE: weights, LFSRs and cycles, against the golden spiking half.

Parameters: `config` (fields of a DeviceConfig), `empty` and `overhead` (cycles), `rows` (cycles of
SCALE for a row, by "vectors,euclidean,shift", and "empty,vectors"), `seed`.
"""

from itertools import product
from typing import Any

import cocotb
import numpy as np
from numpy.typing import NDArray

from hw.isa import Instruction, Opcode, Region
from hw.layout import TensorLayout, tiles
from hw.numbers import WORD_MAX, WORD_MIN
from hw.spiking import (
    PARAMETER_WORDS,
    PlasticityFlag,
    ScaleFlag,
    SynapseParameter,
    Variable,
)
from sim.bench import parameters
from sim.bench.synapses import CORNERS, SynapseBench

GIVEN = parameters()

BOUNDS = (PlasticityFlag(0), PlasticityFlag.TO_UPPER, PlasticityFlag.TO_LOWER)

class Bench(SynapseBench):
    """A matrix anywhere in WEIGHT, its list, parameters, traces and population anywhere."""

    def instruction(
        self,
        opcode: Opcode,
        rows: int,
        columns: int,
        *,
        lines: Any = (),
        values: dict[SynapseParameter, int] | None = None,
        **fields: int,
    ) -> Instruction:
        """With random bases, the list of `lines` in EVENTS and parameters in STATE.

        Parameters and populations do not overlap, though traces may lie anywhere.
        """
        random, lanes = self.random, self.lanes
        across, down = tiles(columns, lanes), tiles(rows, lanes)
        stride = fields.pop("left_inner", across)
        base = random.integers(0, self.config.weight_tiles - (down - 1) * stride - across + 1)
        block = tiles(PARAMETER_WORDS, lanes)
        population = self.population_rows(rows)
        spacing = int(random.integers(0, 4)) if opcode == Opcode.PLASTICITY else 0
        span = (max(across, down) - 1 << spacing) + 1
        free = self.config.state_rows - block - population - span
        places = np.sort(random.integers(0, free + 1, 3)) + [0, block, block + population]
        gate = int(random.integers(0, self.config.event_words - len(lines)))
        self.list_at(gate, lines)
        self.parameters_at(int(places[0]), {int(k): v for k, v in (values or {}).items()})
        return Instruction(
            opcode=opcode,
            rows=rows,
            columns=columns,
            left_base=int(base),
            left_inner=stride,
            leak_shift=spacing,
            right_depth=int(places[0]),
            dest_base=int(places[1]),
            right_base=int(places[2]),
            gate=gate,
            **fields,
        )

    def addresses(self, i: Instruction) -> NDArray[np.int64]:
        """Where the matrix of an instruction lies in WEIGHT, flat."""
        return TensorLayout(
            base=i.left_base,
            rows=i.rows,
            columns=i.columns,
            tile_rows=self.lanes,
            lanes=self.lanes,
            stride=i.left_inner,
        ).addresses()

    def listed(self, i: Instruction) -> NDArray[np.int16]:
        events = self.images[Region.EVENTS].reshape(-1)[i.gate :]
        return events[1 : 1 + int(events[0])]

    # PLASTICITY

    def plasticity(
        self,
        rows: int,
        columns: int,
        lines: int,
        flags: int,
        values: dict[SynapseParameter, int] | None = None,
        **fields: int,
    ) -> Instruction:
        """Of as many different lines; limits are in order unless `values` says otherwise."""
        by_row = flags & PlasticityFlag.BY_ROW
        lower, upper = sorted(self.noise(2).tolist())
        limits = {SynapseParameter.LOWER: lower, SynapseParameter.UPPER: upper}
        chosen = self.random.permutation(self.some(lines, rows if by_row else columns))
        if self.random.random() < 0.5:
            chosen.sort()
        return self.instruction(
            Opcode.PLASTICITY,
            rows,
            columns,
            lines=chosen,
            values={**limits, **(values or {})},
            flags=int(flags),
            **fields,
        )

    async def change(self, i: Instruction) -> None:
        """Check a PLASTICITY command, and its cycles: L synapses in each."""
        ran, counted = await self.check(i)
        lines = len(self.listed(i))
        if not lines:
            assert ran.cycles == GIVEN["empty"] and not ran.reads
            return
        by_row = i.flags & PlasticityFlag.BY_ROW
        vectors = tiles(i.columns if by_row else i.rows, self.lanes)
        announced = 1 if by_row and i.flags & PlasticityFlag.OWN_COEFFICIENT else 0
        assert ran.cycles == lines * (vectors + announced) + GIVEN["overhead"]
        assert len(ran.reads) == lines * vectors == counted.busy
        gaps = np.diff(ran.reads) - 1
        expected = np.zeros(len(gaps), int)
        expected[vectors - 1 :: vectors] = announced
        assert np.array_equal(gaps, expected), "a vector must be read in every other cycle"
        assert np.array_equal(ran.writes, np.array(ran.reads) + ran.writes[0] - ran.reads[0])

    # SCALE

    def scale(
        self,
        rows: int,
        columns: int,
        lines: Any = None,
        *,
        euclidean: bool = False,
        shift: int = 0,
        values: dict[SynapseParameter, int] | None = None,
        **fields: int,
    ) -> Instruction:
        """Of all rows, or of the `lines` in the list; without limits unless `values` has them."""
        flags = ScaleFlag.EUCLIDEAN * euclidean | ScaleFlag.LISTED * (lines is not None)
        limits = {SynapseParameter.LOWER: WORD_MIN, SynapseParameter.UPPER: WORD_MAX}
        norm = {SynapseParameter.NORM: int(self.random.integers(1, WORD_MAX + 1))}
        return self.instruction(
            Opcode.SCALE,
            rows,
            columns,
            lines=() if lines is None else lines,
            values={**limits, **norm, **(values or {})},
            flags=int(flags),
            shift=shift,
            **fields,
        )

    async def bring(self, i: Instruction) -> None:
        """Check a SCALE command, and its cycles."""
        rows = self.listed(i) if i.flags & ScaleFlag.LISTED else np.arange(i.rows)
        matrix = self.images[Region.WEIGHT].reshape(-1)[self.addresses(i)][rows]
        zero = ~matrix.any(axis=1)
        ran, _ = await self.check(i)
        vectors = tiles(i.columns, self.lanes)
        euclidean = bool(i.flags & ScaleFlag.EUCLIDEAN)
        cycles = GIVEN["rows"][f"{vectors},{euclidean},{i.shift}"]
        expected = cycles * int((~zero).sum()) + GIVEN["rows"][f"empty,{vectors}"] * int(zero.sum())
        assert ran.cycles == GIVEN["empty"] + expected
        assert len(ran.reads) == vectors * int((1 + ~zero).sum())


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def sizes_and_flags(dut: Any) -> None:
    """Every combination of flags on one neuron, ragged tiles, lists of one, of all, and of none."""
    bench = Bench(dut)
    await bench.begin()
    lanes = bench.lanes
    sizes = [(1, 1), (lanes, lanes + 1), (2 * lanes + 1, lanes - 1), (lanes - 1, 3 * lanes)]
    own = PlasticityFlag.BY_ROW | PlasticityFlag.OWN_COEFFICIENT
    for (rows, columns), bound in product(sizes, BOUNDS):
        for base in (PlasticityFlag(0), PlasticityFlag.BY_ROW, own, PlasticityFlag.OWN_COEFFICIENT):
            for difference in (PlasticityFlag(0), PlasticityFlag.DIFFERENCE):
                flags = base | bound | difference
                length = rows if base & PlasticityFlag.BY_ROW else columns
                for lines in sorted({0, 1, length}):
                    await bench.change(bench.plasticity(rows, columns, lines, flags))


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def extremes(dut: Any) -> None:
    """The most extreme weights, traces, coefficients and limits, with every rule."""
    bench = Bench(dut)
    await bench.begin()
    lanes = bench.lanes
    limits = [(WORD_MIN, WORD_MAX), (0, WORD_MAX), (-5, 5), (7, -7), (WORD_MAX, WORD_MIN)]
    for coefficient, (lower, upper) in product(CORNERS.tolist(), limits):
        for bound in (*BOUNDS, PlasticityFlag.TO_UPPER | PlasticityFlag.TO_LOWER):
            bench.fill_corners(Region.WEIGHT)
            bench.fill_corners(Region.STATE)
            base = PlasticityFlag(int(bench.random.choice([0, PlasticityFlag.BY_ROW])))
            chosen = int(bench.random.choice([0, PlasticityFlag.DIFFERENCE]))
            values = {
                SynapseParameter.COEFFICIENT: coefficient,
                SynapseParameter.LOWER: lower,
                SynapseParameter.UPPER: upper,
            }
            flags = base | bound | PlasticityFlag(chosen)
            await bench.change(bench.plasticity(2 * lanes, 2 * lanes, 4, flags, values))


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def most_negative_squared(dut: Any) -> None:
    """-32768 times -32768, the only product that saturates before a soft bound."""
    bench = Bench(dut)
    await bench.begin()
    for bound, weight in product(BOUNDS, (WORD_MIN, -1, 0, WORD_MAX)):
        bench.fill(Region.WEIGHT, weight, weight)
        bench.fill(Region.STATE, WORD_MIN, WORD_MIN)
        values = {
            SynapseParameter.COEFFICIENT: WORD_MIN,
            SynapseParameter.LOWER: WORD_MIN,
            SynapseParameter.UPPER: WORD_MAX,
        }
        i = bench.plasticity(bench.lanes, bench.lanes, bench.lanes, bound, values)
        await bench.change(i)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def rounding_is_stochastic(dut: Any) -> None:
    """A change of half a bit moves a weight about every other time, as the LFSRs say."""
    bench = Bench(dut)
    await bench.begin()
    moved = []
    for _ in range(4):
        bench.fill(Region.WEIGHT, 100, 100)
        bench.fill(Region.STATE, 1 << 10, 1 << 10)
        values = {
            SynapseParameter.COEFFICIENT: 1 << 5,
            SynapseParameter.LOWER: 0,
            SynapseParameter.UPPER: WORD_MAX,
        }
        size = 2 * bench.lanes
        i = bench.plasticity(size, size, size, PlasticityFlag(0), values)
        await bench.change(i)
        moved.append(bench.images[Region.WEIGHT].reshape(-1)[bench.addresses(i)] - 100)
    assert set(np.unique(moved)) == {0, 1}
    assert 0.3 < np.mean(moved) < 0.7


@cocotb.test(timeout_time=3, timeout_unit="ms")
async def changes_at_random(dut: Any) -> None:
    bench = Bench(dut)
    await bench.begin()
    for _ in range(120):
        rows, columns = (int(n) for n in bench.random.integers(1, 4 * bench.lanes, 2))
        flags = PlasticityFlag(int(bench.random.integers(0, 32)))
        length = rows if flags & PlasticityFlag.BY_ROW else columns
        stride = tiles(columns, bench.lanes) + int(bench.random.integers(0, 3))
        lines = int(bench.random.integers(0, length + 1))
        i = bench.plasticity(rows, columns, lines, flags, left_inner=stride)
        # Coefficients of all sizes, so that not every weight reaches a limit.
        coefficients = bench.variable(i.dest_base, rows, Variable.COEFFICIENT)
        coefficients >>= bench.random.integers(0, 16, coefficients.shape).astype(np.int16)
        await bench.change(i)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def own_coefficients(dut: Any) -> None:
    """Rows of one vector, so that a coefficient is needed in every other cycle."""
    bench = Bench(dut)
    await bench.begin()
    for bound in BOUNDS:
        flags = PlasticityFlag.BY_ROW | PlasticityFlag.OWN_COEFFICIENT | bound
        for columns in (1, bench.lanes, bench.lanes + 1):
            rows = 4 * bench.lanes
            bench.fill(Region.WEIGHT, -1000, 1000)
            bench.fill(Region.STATE, -1 << 9, 1 << 9)
            values = {SynapseParameter.LOWER: WORD_MIN, SynapseParameter.UPPER: WORD_MAX}
            await bench.change(bench.plasticity(rows, columns, rows, flags, values))


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def scale_sizes(dut: Any) -> None:
    """All rows or some, of one weight, of ragged tiles; rows of zeros stay; no row at all."""
    bench = Bench(dut)
    await bench.begin()
    lanes = bench.lanes
    for rows, columns in [(1, 1), (lanes + 1, 2), (3, lanes + 1), (2, 3 * lanes - 1)]:
        for euclidean, listed in product((False, True), (False, True)):
            lines = bench.some(int(bench.random.integers(0, rows + 1)), rows) if listed else None
            shift = int(bench.random.choice([0, 3]))
            i = bench.scale(rows, columns, lines, euclidean=euclidean, shift=shift)
            matrix = bench.addresses(i)
            weights = bench.images[Region.WEIGHT].reshape(-1)
            weights[matrix] = bench.random.integers(-300, 301, matrix.shape)
            weights[matrix[int(bench.random.integers(0, rows))]] = 0
            await bench.bring(i)


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def scale_norms(dut: Any) -> None:
    """Factors from 0 to the largest, norms from 1 to the largest, limits, and negative NORM."""
    bench = Bench(dut)
    await bench.begin()
    lanes = bench.lanes
    cases = [(value, value) for value in (WORD_MIN, -1, 1, WORD_MAX)] + [(-1, 1), (-40, 40)]
    for (low, high), euclidean in product(cases, (False, True)):
        for norm, shift in [(1, 0), (WORD_MAX, 0), (WORD_MAX, 3), (0, 0), (WORD_MIN, 0), (9, 33)]:
            bench.fill(Region.WEIGHT, low, high)
            values = {SynapseParameter.NORM: norm}
            if bench.random.random() < 0.3:
                values |= {SynapseParameter.LOWER: -7, SynapseParameter.UPPER: 30}
            i = bench.scale(2, 2 * lanes, euclidean=euclidean, shift=shift, values=values)
            await bench.bring(i)


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def scale_by_about_one(dut: Any) -> None:
    """Quotients around the point where a factor stops fitting; exact roots and their neighbours."""
    bench = Bench(dut)
    await bench.begin()
    weights = bench.images[Region.WEIGHT].reshape(-1)
    for first in (3, 100, 4095):
        for extra in (-1, 0, 1):
            for norm in (2 * first - 1, 2 * first, 2 * first + 1, first, first + 1):
                i = bench.scale(
                    2, 2, euclidean=extra != 0, shift=0, values={SynapseParameter.NORM: norm}
                )
                weights[bench.addresses(i)] = [[first, 0], [-first, extra]]
                await bench.bring(i)


@cocotb.test(timeout_time=8, timeout_unit="ms")
async def scale_the_longest_row(dut: Any) -> None:
    """The most negative weights over all tiles of WEIGHT do not overflow a norm."""
    bench = Bench(dut)
    await bench.begin()
    tiles_there = bench.config.weight_tiles
    bench.fill(Region.WEIGHT, WORD_MIN, WORD_MIN)
    for euclidean in (False, True):
        i = bench.scale(1, tiles_there * bench.lanes, euclidean=euclidean, shift=16)
        await bench.check(i)
        matrix = bench.images[Region.WEIGHT].reshape(-1)
        matrix[:] = WORD_MIN


@cocotb.test(timeout_time=8, timeout_unit="ms")
async def scale_at_random(dut: Any) -> None:
    bench = Bench(dut)
    await bench.begin()
    for _ in range(40):
        rows = int(bench.random.integers(1, 3 * bench.lanes))
        columns = int(bench.random.integers(1, 4 * bench.lanes))
        size = int(bench.random.integers(1, 1 << int(bench.random.integers(1, 16))))
        bench.fill(Region.WEIGHT, -size, size)
        shift = int(bench.random.integers(0, 8))
        stride = tiles(columns, bench.lanes) + int(bench.random.integers(0, 3))
        lines = None
        if bench.random.random() < 0.5:
            lines = bench.random.permutation(bench.some(min(rows, 3), rows))
        euclidean = bool(bench.random.random() < 0.5)
        i = bench.scale(
            rows, columns, lines, euclidean=euclidean, shift=shift, left_inner=stride
        )
        await bench.bring(i)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def commands_in_turn(dut: Any) -> None:
    """Nothing of a command reaches into the next one, of whatever kind."""
    bench = Bench(dut)
    await bench.begin()
    for turn in range(30):
        rows, columns = (int(n) for n in bench.random.integers(1, 2 * bench.lanes, 2))
        if turn % 3:
            flags = PlasticityFlag(int(bench.random.integers(0, 32)))
            length = rows if flags & PlasticityFlag.BY_ROW else columns
            lines = int(bench.random.integers(0, length + 1))
            await bench.change(bench.plasticity(rows, columns, lines, flags))
        else:
            await bench.bring(bench.scale(rows, columns, euclidean=turn % 2 == 0))


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def reset_in_mid_command(dut: Any) -> None:
    bench = Bench(dut)
    await bench.begin()
    size = bench.lanes + 1
    for after in range(1, 60, 4):
        flags = PlasticityFlag.BY_ROW | PlasticityFlag.OWN_COEFFICIENT
        first = bench.plasticity(size, size, 4, flags)
        if after % 8 == 1:
            first = bench.scale(size, size, euclidean=True)
        await bench.interrupt(first, after)
        await bench.change(bench.plasticity(size, size, 2, PlasticityFlag.TO_UPPER))
        await bench.interrupt(bench.scale(size, size), 2 * after)
        await bench.bring(bench.scale(2, size))
