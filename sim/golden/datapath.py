"""The golden datapath: the device's memories and what the array and LOSS commands do to them.

Arithmetic is in `sim.golden.units`. A command is carried out on whole matrices, gathered from the
images of the tile memories.
"""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from hw.config import DeviceConfig, region_words
from hw.isa import (
    ARRAY_OPCODES,
    MEMORY_REGIONS,
    SATURATION_COUNTERS,
    SPIKING_OPCODES,
    Destination,
    DropoutFlag,
    GradientFlag,
    Instruction,
    Loss,
    Opcode,
    Region,
    Register,
    Source,
)
from hw.layout import TensorLayout, tiles
from hw.numbers import (
    CLIP_FRACTION_BITS,
    DROPOUT_BITS,
    GRADIENT_BITS,
    LFSR_LEAP,
    SUM_BITS,
    WORD_MAX,
    lfsr_seed,
)
from sim.golden import units
from sim.golden.lfsr import LfsrBank
from sim.golden.loader import GoldenLoader
from sim.golden.spiking import GoldenSpiking

Image = NDArray[np.int16]

DATAPATH_OPCODES = (*ARRAY_OPCODES, Opcode.LOSS)


class GoldenDatapath:
    """Memories, registers, LFSRs, counters and units of the device, in numpy.

    Parameters
    ----------
    config: the device's configuration

    Attributes
    ----------
    images: the image of each tile memory, shape (words, L)
    registers: the value of each register
    randomness: the lanes' LFSRs
    loader: what fills INPUT and TARGET
    step: the time step, as REPEAT counts it
    squares: of gradients, summed since the last CLIP, or since the program started
    factor: of the last CLIP of the program, 2**16 for 1
    totals: the counters by name, and `saturations`, one a statistic
    """

    def __init__(self, config: DeviceConfig):
        self.config = config
        words = region_words(config)
        self.images: dict[Region, Image] = {
            region: np.zeros((words[region] // config.lanes, config.lanes), np.int16)
            for region in MEMORY_REGIONS
        }
        self.registers = {register: 0 for register in Register}
        self.randomness = LfsrBank(
            np.array([lfsr_seed(lane) for lane in range(config.lanes)], np.uint32)
        )
        self.loader = GoldenLoader(config, (self.images[Region.INPUT], self.images[Region.TARGET]))
        # Flat views of the images; `take` and assignment by index are fastest on these.
        self._flat = {region: image.reshape(-1) for region, image in self.images.items()}
        self._indices: dict[tuple[int, ...], NDArray[np.intp]] = {}
        # A sum is the word pair with twice the address of its weight.
        self._sums = self._flat[Region.GRADIENT].view("<i4")
        self.forget()
        self._spiking = GoldenSpiking(config, self.images, self.loader, self.randomness)
        self.clear_counters()

    @property
    def lfsr(self) -> NDArray[np.uint32]:
        """The 32-bit state of each lane's LFSR (read-only)."""
        return self.randomness.state

    def forget(self) -> None:
        """Forget what lasts for a program only."""
        self.step = 0
        self.squares, self.factor = 0, 1 << CLIP_FRACTION_BITS

    def clear_counters(self) -> None:
        """Set every counter to 0."""
        self.totals = dict.fromkeys(("busy", "samples", "correct", "loss", "norm"), 0)
        self.saturations = np.zeros(SATURATION_COUNTERS, np.uint32)

    def _count_saturations(self, statistic: int, saturated: units.Mask) -> None:
        self.saturations[statistic % SATURATION_COUNTERS] += np.uint32(np.count_nonzero(saturated))

    # Matrices

    def _samples(self, base: int, rows: int, columns: int, stride: int) -> NDArray[np.intp]:
        """Addresses of `rows` samples by `columns` features."""
        return self._addresses(base, rows, columns, stride, self.config.batch_lanes)

    def _addresses(
        self, base: int, rows: int, columns: int, stride: int, tile_rows: int
    ) -> NDArray[np.intp]:
        key = (base, rows, columns, stride, tile_rows)
        addresses = self._indices.get(key)
        if addresses is None:
            layout = TensorLayout(
                base=base,
                rows=rows,
                columns=columns,
                tile_rows=tile_rows,
                lanes=self.config.lanes,
                stride=stride,
            )
            addresses = self._indices[key] = layout.addresses()
        return addresses

    def _words(self, region: Region, addresses: NDArray[np.intp]) -> Image:
        return self._flat[region].take(addresses)

    def _read(self, region: Region, addresses: NDArray[np.intp]) -> units.Integers:
        return self._words(region, addresses).astype(np.int64)

    def _write(self, region: Region, addresses: NDArray[np.intp], values: units.Integers) -> None:
        self._flat[region][addresses] = values

    def _source(self, i: Instruction) -> tuple[Region, int]:
        """Memory of the right operand and its first tile, in the buffer that is in front."""
        if i.source == Source.ACTIVATION:
            return Region.ACTIVATION, i.right_base
        return Region.INPUT, i.right_base + self.loader.front * self.config.input_tiles

    def _count_busy(self, i: Instruction) -> None:
        lanes, batch_lanes = self.config.lanes, self.config.batch_lanes
        self.totals["busy"] += tiles(i.rows, lanes) * tiles(i.columns, batch_lanes) * i.depth

    # Commands

    def command(self, i: Instruction) -> None:
        """Carry out one of DATAPATH_OPCODES or SPIKING_OPCODES, or CLIP."""
        match i.opcode:
            case Opcode.FORWARD:
                self._forward(i)
            case Opcode.BACKWARD:
                self._backward(i)
            case Opcode.GRADIENT:
                self._gradient(i)
            case Opcode.LOSS:
                self._loss(i)
            case Opcode.CLIP:
                self._clip(i)
            case Opcode.RESPOND:
                self._respond(i)
            case _ if i.opcode in SPIKING_OPCODES:
                self._spike(i)

    def _spike(self, i: Instruction) -> None:
        counted = self._spiking.command(i, self.step)
        for name in ("busy", "samples", "correct"):
            self.totals[name] += getattr(counted, name)
        self.saturations[i.statistic] += np.uint32(counted.saturations)

    def _has(self, i: Instruction, flag: DropoutFlag) -> bool:
        """Whether a flag is set, on a device that looks at it."""
        return self.config.dropout and bool(i.flags >> flag & 1)

    def _forward(self, i: Instruction) -> None:
        """Y = f(W X): rows outputs, columns samples, depth inputs."""
        w = self._addresses(i.left_base, i.rows, i.depth, i.left_inner, self.config.lanes)
        region, base = self._source(i)
        x = self._samples(base, i.columns, i.depth, i.right_outer)
        accumulator = units.product(self._words(region, x), self._words(Region.WEIGHT, w).T)
        z, saturated = units.narrow(accumulator, i.shift)
        rate = i.gate % (1 << DROPOUT_BITS)
        if self._has(i, DropoutFlag.SCALE):
            y = units.scaled(z, i.activation, i.fraction, i.leak_shift, rate)
        else:
            y = units.activate(z, i.activation, i.fraction, i.leak_shift)
        if self._has(i, DropoutFlag.DROP):
            # Rows of outputs leave the array as columns of weights do.
            random = self._draw(i.rows, i.columns, LFSR_LEAP).T & ((1 << DROPOUT_BITS) - 1)
            y = units.dropped(y, i.activation, random < rate)
        to_output = i.destination == Destination.OUTPUT
        destination = Region.OUTPUT if to_output else Region.ACTIVATION
        self._write(destination, self._samples(i.dest_base, i.columns, i.rows, i.dest_outer), y)
        self._count_saturations(i.statistic, saturated)
        self._count_busy(i)

    def _backward(self, i: Instruction) -> None:
        """dX = (W^T dY) f'(X): rows inputs, columns samples, depth outputs."""
        w = self._addresses(i.left_base, i.depth, i.rows, i.left_depth, self.config.lanes)
        d = self._samples(i.right_base, i.columns, i.depth, i.right_outer)
        accumulator = units.product(self._words(Region.DELTA, d), self._words(Region.WEIGHT, w))
        delta, saturated = units.narrow(accumulator, i.shift)
        outputs = self._samples(i.gate, i.columns, i.rows, i.dest_outer)
        gated, gate_saturated = units.gate(
            delta,
            self._read(Region.ACTIVATION, outputs),
            i.activation,
            i.fraction,
            i.leak_shift,
        )
        if self._has(i, DropoutFlag.DROP):
            gated = np.where(self._words(Region.ACTIVATION, outputs) == 0, 0, gated)
        self._write(
            Region.DELTA, self._samples(i.dest_base, i.columns, i.rows, i.dest_outer), gated
        )
        self._count_saturations(i.statistic, saturated)
        self._count_saturations(i.statistic, gate_saturated)
        self._count_busy(i)

    def _gradient(self, i: Instruction) -> None:
        """dW = dY X^T and the update: rows outputs, columns inputs, depth samples."""
        d = self._samples(i.left_base, i.depth, i.rows, i.left_depth)
        region, base = self._source(i)
        x = self._samples(base, i.depth, i.columns, i.right_depth)
        accumulator = units.product(self._words(Region.DELTA, d).T, self._words(region, x))
        self._count_busy(i)
        w = self._addresses(i.dest_base, i.rows, i.columns, i.dest_inner, self.config.lanes)
        flags = [flag for flag in GradientFlag if i.flags >> flag & self.config.accumulation]
        if flags:
            accumulator = self._accumulated(i, accumulator, w, flags)
        gradient, saturated = units.narrow(accumulator, i.shift, GRADIENT_BITS)
        if GradientFlag.HOLD in flags:
            if GradientFlag.NORM in flags:
                self.squares = units.add_squares(self.squares, gradient)
            return
        if GradientFlag.CLIP in flags:
            gradient = units.clip(gradient, self.factor)
        self._count_saturations(i.statistic, saturated)
        self._update(i, w, gradient)

    def _accumulated(
        self,
        i: Instruction,
        accumulator: units.Integers,
        w: NDArray[np.intp],
        flags: Collection[GradientFlag],
    ) -> units.Integers:
        """What the epilogue gets of a product: alone, added to the sums in GRADIENT, or these."""
        if GradientFlag.CLIP in flags:
            accumulator = np.zeros_like(accumulator)
        if flags != [GradientFlag.NORM]:
            if GradientFlag.ADD in flags or GradientFlag.CLIP in flags:
                accumulator = accumulator + self._sums[w]
            accumulator, saturated = units.saturate(accumulator, SUM_BITS)
            self._count_saturations(i.statistic, saturated)
        if GradientFlag.HOLD in flags:
            self._sums[w] = accumulator
        return accumulator

    def _update(self, i: Instruction, w: NDArray[np.intp], gradient: units.Integers) -> None:
        """The weights at the addresses `w`, and their momentum."""
        updated = units.update(
            weight=self._read(Region.WEIGHT, w),
            momentum=self._read(Region.MOMENTUM, w) if i.use_momentum else np.zeros_like(gradient),
            gradient=gradient,
            random=self._draw(i.rows, i.columns),
            factor=self.registers[Register.MOMENTUM_FACTOR],
            rate=(self.registers[Register.RATE], self.registers[Register.RATE_SHIFT]),
            decay=(self.registers[Register.DECAY], self.registers[Register.DECAY_SHIFT]),
        )
        self._write(Region.WEIGHT, w, updated.weight)
        if i.use_momentum:
            self._write(Region.MOMENTUM, w, updated.momentum)
        self._count_saturations(i.statistic + 1, updated.momentum_saturated)
        self._count_saturations(i.statistic + 2, updated.weight_saturated)

    def _clip(self, i: Instruction) -> None:
        """The norm, and the factor of GRADIENT with the flag CLIP until the next one."""
        norm, self.factor = units.clip_factor(
            self.squares, self.registers[Register.CLIP_THRESHOLD]
        )
        self.squares = 0
        self.totals["norm"] += norm
        self.saturations[i.statistic] += np.uint32(self.factor < 1 << CLIP_FRACTION_BITS)

    def _draw(self, rows: int, columns: int, steps: int = 1) -> NDArray[np.uint32]:
        """An LFSR state for each weight, in the order in which the columns leave the array.

        Outer loop over blocks of B columns, inner over tiles of L rows, then the columns of the
        block; each such vector of L rows takes `steps` steps of every lane's LFSR.
        """
        lanes, batch_lanes = self.config.lanes, self.config.batch_lanes
        row_tiles = tiles(rows, lanes)
        order = self._indices.get((rows, columns))
        if order is None:
            r = np.arange(rows)[:, None]
            c = np.arange(columns)[None, :]
            block = c // batch_lanes
            width = np.minimum(columns - block * batch_lanes, batch_lanes)
            vector = block * batch_lanes * row_tiles + (r // lanes) * width + c % batch_lanes
            order = self._indices[rows, columns] = vector * lanes + r % lanes
        states = self.randomness.advance(row_tiles * columns * steps)[::steps]
        return states.reshape(-1).take(order)

    def _respond(self, i: Instruction) -> None:
        """Words of `rows` neurons, `columns` samples: min(count << shift, 32767) from tile
        dest_base on, min(slope << fraction, 32767) from tile left_base on, spaced likewise."""
        places = self._samples(i.right_base, i.columns, i.rows, i.right_outer)
        results = units.respond(
            self._read(Region.ACTIVATION, places),
            steps=i.depth,
            leak_shift=i.leak_shift,
            threshold=i.gate,
        )
        for base, shift, value in zip(
            (i.dest_base, i.left_base), (i.shift, i.fraction), results, strict=True
        ):
            words = np.minimum(value << shift, WORD_MAX)
            self._write(
                Region.ACTIVATION, self._samples(base, i.columns, i.rows, i.dest_outer), words
            )

    def _loss(self, i: Instruction) -> None:
        """Loss, statistics and DELTA of `columns` samples of `rows` outputs."""
        y = self._read(Region.OUTPUT, self._samples(i.right_base, i.columns, i.rows, i.right_outer))
        base = i.left_base + self.loader.front * self.config.target_tiles
        width = 1 if i.class_target else i.rows
        target = self._read(Region.TARGET, self._samples(base, i.columns, width, i.left_depth))
        label = target[:, 0] if i.class_target else None
        if i.activation == Loss.CROSS_ENTROPY:
            result = units.softmax_cross_entropy(y, target[:, 0], residual=i.gate, shift=i.shift)
        else:
            if label is not None:
                one = 1 << i.fraction
                target = (np.arange(i.rows)[None, :] == label[:, None]) * one
            result = units.mean_squared_error(
                y, target, label=label, residual=i.gate, shift=i.shift
            )
        self._write(
            Region.DELTA, self._samples(i.dest_base, i.columns, i.rows, i.dest_outer), result.delta
        )
        self._count_saturations(i.statistic, result.saturated)
        self.totals["samples"] += i.columns
        self.totals["correct"] += result.correct
        self.totals["loss"] += result.loss
