"""The golden spiking half: what the commands RESET to SCALE do to STATE, EVENTS and WEIGHT.

Every lane of a population's last tile is computed like a neuron, also those that there is none
for; but these never fire, and no weight of theirs changes. All shifts floor; what does not fit a
word saturates.
"""

from collections.abc import Callable, Mapping
from math import isqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hw.config import DeviceConfig
from hw.isa import Instruction, Opcode, Region
from hw.layout import TensorLayout, tiles
from hw.numbers import UPDATE_FRACTION_BITS, WORD_BITS, WORD_MAX, WORD_MIN, shift_right_rounded
from hw.spiking import (
    ACTIVE,
    PARAMETER_WORDS,
    POPULATION_ROWS,
    SCALE_FRACTION_BITS,
    ClimbingParameter,
    EncodeFlag,
    EncoderParameter,
    Encoding,
    FireFlag,
    NeuronParameter,
    PlasticityFlag,
    ScaleFlag,
    SynapseParameter,
    Variable,
)
from sim.golden.lfsr import LfsrBank
from sim.golden.loader import GoldenLoader
from sim.golden.units import Integers, Mask

FACTOR_BITS = WORD_BITS - 1
"""Binary point of decays."""
ONE_SPIKE = 1 << FACTOR_BITS
"""The rate of a spike a step."""


class Counted(NamedTuple):
    """What a command adds to the counters of these names; saturations to its `statistic`."""

    busy: int = 0
    samples: int = 0
    correct: int = 0
    saturations: int = 0


def limited(value: Integers, low: int = WORD_MIN, high: int = WORD_MAX) -> Integers:
    """`value`, but at least `low` and at most `high`."""
    return np.minimum(np.maximum(value, low), high)


def decayed(value: Integers, decay: int) -> Integers:
    """x + (x decay >> 15): towards 0, as decays are negative."""
    return value + (value * decay >> FACTOR_BITS)


def neuron_step(
    current: Integers, potential: Integers, refractory: Integers, leak: int
) -> Integers:
    """The potential before any spike; it stays where the neuron rests."""
    moved = limited(decayed(potential, leak) + current)
    return np.where(refractory > 0, potential, moved)


def changed_weights(
    weights: Integers,
    traces: Integers,
    coefficients: Integers | int,
    random: Integers,
    *,
    flags: int,
    lower: int,
    upper: int,
) -> Integers:
    """w' = clamp(((w << 16) + change + r) >> 16, w_min, w_max), of arrays of one shape.

    u = trace, or sat(trace - w) with DIFFERENCE
    change = k u, or with a soft bound sat(k u >> 15) m, m = clamp(w_max - w, 0, 32767) with
    TO_UPPER and clamp(w - w_min, 0, 32767) with TO_LOWER

    `random`: r, 16 bits, uniform: stochastic rounding.
    """
    operand = limited(traces - weights) if flags & PlasticityFlag.DIFFERENCE else traces
    change = coefficients * operand
    if flags & (PlasticityFlag.TO_UPPER | PlasticityFlag.TO_LOWER):
        distance = upper - weights if flags & PlasticityFlag.TO_UPPER else weights - lower
        change = limited(change >> FACTOR_BITS) * limited(distance, 0)
    moved = (weights << UPDATE_FRACTION_BITS) + change + random >> UPDATE_FRACTION_BITS
    return limited(moved, lower, upper)


class GoldenSpiking:
    """The spiking half on the images of a device.

    Parameters
    ----------
    config: the device's configuration
    images: of WEIGHT, INPUT, TARGET, STATE and EVENTS
    loader: which buffer of INPUT and TARGET is in front
    randomness: the lanes' LFSRs
    """

    def __init__(
        self,
        config: DeviceConfig,
        images: Mapping[Region, NDArray[np.int16]],
        loader: GoldenLoader,
        randomness: LfsrBank,
    ):
        self._config = config
        self._images = images
        self._flat = {region: image.reshape(-1) for region, image in images.items()}
        self._state = images[Region.STATE]
        self._events = self._flat[Region.EVENTS]
        self._loader = loader
        self._randomness = randomness
        self._places: dict[tuple[int, ...], NDArray[np.intp]] = {}
        self._commands: dict[Opcode, Callable[[Instruction, int], Counted]] = {
            Opcode.RESET: self._reset,
            Opcode.ENCODE: self._encode,
            Opcode.EXPAND: self._expand,
            Opcode.INTEGRATE: self._integrate,
            Opcode.FIRE: self._fire,
            Opcode.CLIMB: self._climb,
            Opcode.PLASTICITY: self._plasticity,
            Opcode.SCALE: self._scale,
        }

    def command(self, i: Instruction, step: int) -> Counted:
        """Carry out one of SPIKING_OPCODES in the time step `step`."""
        return self._commands[i.opcode](i, step)

    # Memories

    def _population(self, base: int, neurons: int) -> NDArray[np.int16]:
        """A view of a population, shape (tiles, POPULATION_ROWS, L)."""
        count = tiles(neurons, self._config.lanes)
        rows = self._state[base : base + count * POPULATION_ROWS]
        return rows.reshape(count, POPULATION_ROWS, self._config.lanes)

    def _vector(self, base: int, length: int, spacing: int) -> NDArray[np.int16]:
        """A view of a vector whose rows are 2**spacing apart, shape (tiles, L)."""
        count = tiles(length, self._config.lanes)
        return self._state[base : base + ((count - 1) << spacing) + 1 : 1 << spacing]

    def _parameters(self, i: Instruction) -> list[int]:
        """The block of parameters of a command."""
        rows = tiles(PARAMETER_WORDS, self._config.lanes)
        words = self._state[i.right_depth : i.right_depth + rows].reshape(-1)
        return words[:PARAMETER_WORDS].tolist()

    def _list(self, i: Instruction) -> NDArray[np.intp]:
        """The neurons in the list `gate`."""
        events = self._events[i.gate :].view(np.uint16)
        return events[1 : 1 + int(events[0])].astype(np.intp)

    def _record(self, i: Instruction, spikes: Mask, *, append: bool = False) -> None:
        """Write the numbers of the neurons that fire, lowest first, into the list `gate`."""
        neurons = np.flatnonzero(spikes)
        held = int(self._events[i.gate]) if append else 0
        self._events[i.gate] = held + len(neurons)
        self._events[i.gate + 1 + held : i.gate + 1 + held + len(neurons)] = neurons

    def _within(self, count: int, neurons: int) -> Mask:
        """Which lanes of so many tiles are neurons, shape (tiles, L)."""
        lanes = self._config.lanes
        return np.arange(count * lanes).reshape(count, lanes) < neurons

    def _sample(self, i: Instruction, length: int, sample: int = 0) -> Integers:
        """Whole tiles of a sample of the buffer in front, shape (tiles, L)."""
        lanes, batch_lanes = self._config.lanes, self._config.batch_lanes
        count = tiles(length, lanes)
        base = i.left_base + sample // batch_lanes * i.left_inner
        places = self._addresses(
            base + self._loader.front * self._config.input_tiles,
            sample % batch_lanes + 1,
            count * lanes,
            count,
            batch_lanes,
        )[-1]
        return self._flat[Region.INPUT].take(places).reshape(count, lanes).astype(np.int64)

    def _addresses(
        self, base: int, rows: int, columns: int, stride: int, tile_rows: int
    ) -> NDArray[np.intp]:
        key = (base, rows, columns, stride, tile_rows)
        if key not in self._places:
            self._places[key] = TensorLayout(
                base=base,
                rows=rows,
                columns=columns,
                tile_rows=tile_rows,
                lanes=self._config.lanes,
                stride=stride,
            ).addresses()
        return self._places[key]

    def _columns(self, i: Instruction, listed: NDArray[np.intp], count: int) -> NDArray[np.intp]:
        """Places of whole columns of `count` tiles of weights, shape (columns, L count)."""
        lanes = self._config.lanes
        r = np.arange(count * lanes)[None, :]
        c = listed[:, None]
        tile = i.left_base + r // lanes * i.left_inner + c // lanes
        return (tile * lanes + r % lanes) * lanes + (r + c) % lanes

    def _rows(self, i: Instruction, listed: NDArray[np.intp], count: int) -> NDArray[np.intp]:
        """Places of whole rows of `count` tiles of weights, shape (rows, L count)."""
        lanes = self._config.lanes
        r = listed[:, None]
        c = np.arange(count * lanes)[None, :]
        tile = i.left_base + r // lanes * i.left_inner + c // lanes
        return (tile * lanes + r % lanes) * lanes + (r + c) % lanes

    # Commands

    def _reset(self, i: Instruction, step: int) -> Counted:
        population = self._population(i.dest_base, i.rows)
        for variable in Variable:
            if i.flags >> variable & 1:
                population[:, variable] = 0
        return Counted()

    def _encode(self, i: Instruction, step: int) -> Counted:
        """Spikes of a time step, and their traces.

        RATE: p' = p + r, less 32768 and a spike where it reaches that. POISSON: a spike where the
        upper 15 bits of the lane's LFSR are below r; it takes a step for each tile.
        """
        parameters = self._parameters(i)
        gain, last_step = parameters[EncoderParameter.GAIN], parameters[EncoderParameter.LAST_STEP]
        increment = parameters[EncoderParameter.TRACE_INCREMENT]
        x = self._sample(i, i.rows, step if i.flags & EncodeFlag.EACH_STEP else 0)
        population = self._population(i.dest_base, i.rows)
        trace = population[:, Variable.TRACE].astype(np.int64)
        rate = limited(x * gain >> i.shift, 0)
        match i.activation:
            case Encoding.RATE:
                due = population[:, Variable.POTENTIAL] + rate
                spikes = due >= ONE_SPIKE
                population[:, Variable.POTENTIAL] = due & (ONE_SPIKE - 1)
            case Encoding.POISSON:
                states = self._randomness.advance(len(x))
                spikes = (states >> np.uint32(WORD_BITS + 1)).astype(np.int64) < rate
            case Encoding.LATENCY:
                since = step - last_step + limited(
                    shift_right_rounded(x * gain, i.shift), WORD_MIN, last_step
                )
                spikes = (x > 0) & (since == 0)
            case _:
                spikes = x > 0
        within = self._within(len(x), i.rows)
        spikes &= within
        if i.activation == Encoding.LATENCY:
            trace = np.where((x > 0) & (since > 0), limited(trace + increment), 0)
        else:
            trace = decayed(trace, parameters[EncoderParameter.TRACE_DECAY])
            trace = _struck(trace, spikes, increment, i.flags & EncodeFlag.SET_TRACE)
        population[:, Variable.TRACE] = trace
        population[:, Variable.COUNT] = limited(
            population[:, Variable.COUNT].astype(np.int64) + spikes
        )
        self._record(i, spikes)
        return Counted()

    def _expand(self, i: Instruction, step: int) -> Counted:
        """Cell g fires where the sum of its inputs, each +x or -x, is at least its threshold.

        Row q of the table in WEIGHT, from tile `dest_inner` on, is row q mod L of tile q // L:
        depth + 1 rows for the L cells of a tile, first the inputs, as 2 index + (1 for -x), then
        the thresholds.
        """
        lanes = self._config.lanes
        count = tiles(i.rows, lanes)
        x = self._sample(i, i.columns).reshape(-1)
        height = count * (i.depth + 1)
        places = self._addresses(i.dest_inner, tiles(height, lanes) * lanes, lanes, 1, lanes)
        table = self._flat[Region.WEIGHT].take(places[:height])
        table = table.reshape(count, i.depth + 1, lanes).astype(np.int64)
        inputs, thresholds = table[:, :-1].astype(np.uint16), table[:, -1]
        drawn = x.take(inputs >> 1, mode="clip")
        sums = np.where(inputs & 1, -drawn, drawn).sum(axis=1)
        spikes = (sums >= thresholds) & self._within(count, i.rows)
        self._vector(i.dest_base, i.rows, i.leak_shift)[:] = np.where(spikes, ACTIVE, 0)
        self._record(i, spikes)
        return Counted()

    def _integrate(self, i: Instruction, step: int) -> Counted:
        """current' = sat(current + round(sum of w over the list >> shift)); nothing is done where
        the list is empty."""
        listed = self._list(i)
        if not len(listed):
            return Counted()
        population = self._population(i.dest_base, i.rows)
        columns = self._columns(i, listed, len(population))
        total = self._flat[Region.WEIGHT].take(columns).sum(axis=0, dtype=np.int64)
        total = shift_right_rounded(total, i.shift).reshape(population[:, 0].shape)
        total += population[:, Variable.CURRENT]
        current = limited(total)
        population[:, Variable.CURRENT] = current
        saturated = (current != total) & self._within(len(population), i.rows)
        return Counted(
            busy=len(listed) * len(population), saturations=int(np.count_nonzero(saturated))
        )

    def _fire(self, i: Instruction, step: int) -> Counted:
        """A time step of leaky integrate-and-fire neurons.

        u = sat(v + (v leak >> 15) + current), or v while the neuron rests
        it fires where it does not rest and u - threshold_of_its_own >= THRESHOLD; with WINNER only
        the first of those with the largest difference
        """
        p = self._parameters(i)
        population = self._population(i.dest_base, i.rows)
        values = population.astype(np.int64)
        current, potential, own, resting, trace, count, activity, _ = (
            values[:, variable] for variable in Variable
        )
        moved = neuron_step(current, potential, resting, p[NeuronParameter.LEAK])
        above = moved - own
        spikes = (resting <= 0) & (above >= p[NeuronParameter.THRESHOLD])
        spikes &= self._within(len(population), i.rows)
        if i.flags & FireFlag.WINNER and spikes.any():
            first = np.where(spikes, above, 2 * WORD_MIN).argmax()
            spikes = np.arange(spikes.size).reshape(spikes.shape) == first
        inhibited = spikes.any() if i.flags & FireFlag.INHIBIT else False

        if i.flags & FireFlag.ADAPT:
            own = decayed(own, p[NeuronParameter.THRESHOLD_DECAY])
        own = limited(own + spikes * p[NeuronParameter.THRESHOLD_INCREMENT])
        activity = decayed(activity, p[NeuronParameter.ACTIVITY_DECAY])
        activity = limited(activity + spikes * p[NeuronParameter.ACTIVITY_INCREMENT])
        active = activity > p[NeuronParameter.ACTIVITY_THRESHOLD]
        increment = np.where(
            active,
            p[NeuronParameter.TRACE_INCREMENT_ACTIVE],
            p[NeuronParameter.TRACE_INCREMENT],
        )
        trace = decayed(trace, p[NeuronParameter.TRACE_DECAY])
        if not i.flags & FireFlag.HOLD:
            population[:, Variable.CURRENT] = 0
        population[:, Variable.POTENTIAL] = np.where(
            spikes | inhibited, p[NeuronParameter.RESET], moved
        )
        population[:, Variable.THRESHOLD] = own
        population[:, Variable.REFRACTORY] = np.where(
            spikes, p[NeuronParameter.REFRACTORY], np.maximum(resting - 1, 0)
        )
        population[:, Variable.TRACE] = _struck(
            trace, spikes, increment, i.flags & FireFlag.SET_TRACE
        )
        population[:, Variable.COUNT] = limited(count + spikes)
        population[:, Variable.ACTIVITY] = activity
        population[:, Variable.COEFFICIENT] = np.where(
            active, p[NeuronParameter.COEFFICIENT_ACTIVE], p[NeuronParameter.COEFFICIENT]
        )
        self._record(i, spikes, append=bool(i.flags & FireFlag.APPEND))
        return Counted()

    def _climb(self, i: Instruction, step: int) -> Counted:
        """A climbing fibre fires where t y < MARGIN, t = 1 for the class and -1 for others.

        Its output's coefficient is POTENTIATION for the class and DEPRESSION for others, without a
        climbing spike TONIC. The list names the outputs whose coefficient is not 0. The answer is
        the first of the largest currents y.
        """
        p = self._parameters(i)
        population = self._population(i.dest_base, i.rows)
        y = population[:, Variable.CURRENT].reshape(-1).astype(np.int64)
        tile = i.left_base + self._loader.front * self._config.target_tiles
        label = int(self._images[Region.TARGET][tile * self._config.batch_lanes, 0])
        own = np.arange(len(y)) == label
        climbs = np.where(own, y, -y) < p[ClimbingParameter.MARGIN]
        sign = np.where(own, p[ClimbingParameter.POTENTIATION], p[ClimbingParameter.DEPRESSION])
        coefficients = np.where(climbs, sign, p[ClimbingParameter.TONIC])
        coefficients[i.rows :] = 0
        population[:, Variable.COEFFICIENT] = coefficients.reshape(population[:, 0].shape)
        self._record(i, coefficients != 0)
        return Counted(samples=1, correct=int(y[: i.rows].argmax() == label))

    def _plasticity(self, i: Instruction, step: int) -> Counted:
        """Row after row or column after column, tile by tile; the LFSRs step for each of these."""
        lanes = self._config.lanes
        p = self._parameters(i)
        listed = self._list(i)
        by_row = i.flags & PlasticityFlag.BY_ROW
        length = i.columns if by_row else i.rows
        count = tiles(length, lanes)
        if not len(listed):
            return Counted()
        places = (self._rows if by_row else self._columns)(i, listed, count)
        coefficients: Integers | int = p[SynapseParameter.COEFFICIENT]
        if by_row and i.flags & PlasticityFlag.OWN_COEFFICIENT:
            own = self._population(i.dest_base, i.rows)[:, Variable.COEFFICIENT]
            coefficients = own.reshape(-1).take(listed).astype(np.int64)[:, None]
        random = self._randomness.advance(len(listed) * count) >> np.uint32(WORD_BITS)
        traces = self._vector(i.right_base, length, i.leak_shift).reshape(1, -1)
        weights = changed_weights(
            self._flat[Region.WEIGHT].take(places).astype(np.int64),
            traces.astype(np.int64),
            coefficients,
            random.reshape(len(listed), -1).astype(np.int64),
            flags=i.flags,
            lower=p[SynapseParameter.LOWER],
            upper=p[SynapseParameter.UPPER],
        )
        self._flat[Region.WEIGHT][places[:, :length]] = weights[:, :length]
        return Counted(busy=len(listed) * count)

    def _scale(self, i: Instruction, step: int) -> Counted:
        """w' = clamp(round(w s >> 14), w_min, w_max), s = min(32767, (NORM << shift + 14) // norm).

        The norm of a row is the sum of |w|, or floor(sqrt(sum of w^2)); a row of norm 0 stays.
        """
        p = self._parameters(i)
        listed = self._list(i) if i.flags & ScaleFlag.LISTED else np.arange(i.rows)
        if not len(listed):
            return Counted()
        places = self._rows(i, listed, tiles(i.columns, self._config.lanes))[:, : i.columns]
        weights = self._flat[Region.WEIGHT].take(places).astype(np.int64)
        if i.flags & ScaleFlag.EUCLIDEAN:
            squares = (weights * weights).sum(axis=1)
            norms = np.array([isqrt(square) for square in squares.tolist()])
        else:
            norms = np.abs(weights).sum(axis=1)
        wanted = p[SynapseParameter.NORM] << (i.shift + SCALE_FRACTION_BITS)
        factors = limited(wanted // np.maximum(norms, 1), 0)
        scaled = limited(
            shift_right_rounded(weights * factors[:, None], SCALE_FRACTION_BITS),
            p[SynapseParameter.LOWER],
            p[SynapseParameter.UPPER],
        )
        kept = np.where(norms[:, None] > 0, scaled, weights)
        self._flat[Region.WEIGHT][places] = kept
        return Counted()


def _struck(trace: Integers, spikes: Mask, increment: Integers | int, sets: int) -> Integers:
    """A decayed trace after spikes."""
    if sets:
        return np.where(spikes, increment, trace)
    return limited(trace + spikes * increment)
