"""The golden device: executes programs on memory images, command by command.

It has the memories, registers and counters of the device and follows `hw/isa.py`; arithmetic is
in `sim.golden.units`. A command is carried out on whole matrices, gathered from the images.
"""

import numpy as np
from numpy.typing import NDArray

from hw.config import DeviceConfig, region_words
from hw.isa import (
    COUNTERS,
    INSTRUCTION_WORDS,
    SATURATION_COUNTERS,
    TILE_REGIONS,
    Activation,
    Control,
    Destination,
    Error,
    Instruction,
    Loss,
    Opcode,
    Region,
    Register,
    Source,
    State,
)
from hw.layout import TensorLayout, tiles
from hw.numbers import GRADIENT_BITS, lfsr_seed
from sim.golden import units
from sim.golden.loader import GoldenLoader

Image = NDArray[np.int16]


class GoldenExecutor:
    """Memories, registers and sequencer of the device, in numpy.

    Parameters
    ----------
    config: the device's configuration

    Attributes
    ----------
    images: the image of each tile memory, shape (words, L)
    registers: the value of each register
    lfsr: the 32-bit state of each lane's LFSR
    totals: the counters by name, and `saturations`, one a statistic
    """

    def __init__(self, config: DeviceConfig):
        self.config = config
        words = region_words(config)
        self.images: dict[Region, Image] = {
            region: np.zeros((words[region] // config.lanes, config.lanes), np.int16)
            for region in TILE_REGIONS
        }
        self.program = np.zeros((config.program_length, INSTRUCTION_WORDS), np.uint16)
        self.registers = {register: 0 for register in Register}
        self.lfsr = np.array([lfsr_seed(lane) for lane in range(config.lanes)], np.uint32)
        self.loader = GoldenLoader(config, (self.images[Region.INPUT], self.images[Region.TARGET]))
        self.state = State.IDLE
        self.error = Error.NONE
        self.position = 0
        self.remaining = 0
        self._stepping = False
        self._layouts: dict[tuple[int, ...], NDArray[np.int64]] = {}
        self._decoded: dict[bytes, Instruction] = {}
        self.clear_counters()

    # Counters

    def clear_counters(self) -> None:
        """Set every counter to 0."""
        self.totals = dict.fromkeys(("busy", "samples", "correct", "loss"), 0)
        self.saturations = np.zeros(SATURATION_COUNTERS, np.uint32)

    def counter_words(self) -> NDArray[np.uint16]:
        """The COUNTERS region; clock counters read 0."""
        values = {
            "state": self.state,
            "error": self.error,
            "position": self.position,
            "remaining": self.remaining,
            **self.totals,
        }
        words = np.zeros(sum(c.words for c in COUNTERS.values()) + 4, np.uint16)
        for name, value in values.items():
            counter = COUNTERS[name]
            for place in range(counter.words):
                words[counter.address + place] = value >> (16 * place) & 0xFFFF
        first = COUNTERS["saturations"].address
        words[first : first + 2 * SATURATION_COUNTERS] = self.saturations.view(np.uint16)
        return words

    def _count_saturations(self, statistic: int, saturated: units.Mask) -> None:
        if statistic < SATURATION_COUNTERS:
            self.saturations[statistic] += np.uint32(np.count_nonzero(saturated))

    # Sequencer

    def control(self, value: int) -> None:
        """Do what a write of `value` to CONTROL does."""
        match value:
            case Control.RUN:
                self._begin()
                self._stepping = False
            case Control.STEP:
                if self.state == State.HALTED:
                    self.state = State.RUNNING
                else:
                    self._begin()
                self._stepping = True
            case Control.STOP:
                self.state, self.error = State.IDLE, Error.NONE
                self.loader.clear()
            case Control.CLEAR:
                self.clear_counters()
        self.advance()

    def _begin(self) -> None:
        self.state, self.error = State.RUNNING, Error.NONE
        self.position = self.registers[Register.START]
        self.remaining = self.registers[Register.COUNT]

    def advance(self) -> None:
        """Run until the program ends, halts, fails or waits for samples."""
        while self.state == State.RUNNING:
            if self.position >= self.config.program_length:
                self._fail(Error.PROGRAM_END)
                return
            words = self.program[self.position]
            instruction = self._decoded.get(words.tobytes())
            if instruction is None:
                try:
                    instruction = Instruction.decode(words.tolist())
                except ValueError:
                    self._fail(Error.UNKNOWN_OPCODE)
                    return
                self._decoded[words.tobytes()] = instruction
            if not self._execute(instruction):
                return
            if self._stepping and self.state == State.RUNNING:
                self.state = State.HALTED

    def _fail(self, error: Error) -> None:
        self.state, self.error = State.FAILED, error

    def _execute(self, i: Instruction) -> bool:
        """Carry an instruction out; False when it stays where it is."""
        match i.opcode:
            case Opcode.END:
                self.state = State.IDLE
                return False
            case Opcode.LOOP:
                if self.remaining > 1:
                    self.remaining -= 1
                    self.position = i.rows
                    return True
                self.remaining = 0
            case Opcode.ACQUIRE:
                if self.loader.front_samples is None:
                    return False
                if self.loader.front_samples != i.columns:
                    self._fail(Error.BATCH_SIZE)
                    return False
            case Opcode.RELEASE:
                self.loader.release()
            case Opcode.FORWARD:
                self._forward(i)
            case Opcode.BACKWARD:
                self._backward(i)
            case Opcode.GRADIENT:
                self._gradient(i)
            case Opcode.LOSS:
                self._loss(i)
        self.position += 1
        return True

    # Matrices

    def _samples(self, base: int, rows: int, columns: int, stride: int) -> NDArray[np.int64]:
        """Addresses of `rows` samples by `columns` features."""
        return self._addresses(base, rows, columns, stride, self.config.batch_lanes)

    def _addresses(
        self, base: int, rows: int, columns: int, stride: int, tile_rows: int
    ) -> NDArray[np.int64]:
        key = (base, rows, columns, stride, tile_rows)
        if key not in self._layouts:
            self._layouts[key] = TensorLayout(
                base=base,
                rows=rows,
                columns=columns,
                tile_rows=tile_rows,
                lanes=self.config.lanes,
                stride=stride,
            ).addresses()
        return self._layouts[key]

    def _read(self, region: Region, addresses: NDArray[np.int64]) -> units.Integers:
        return self.images[region].reshape(-1)[addresses].astype(np.int64)

    def _write(self, region: Region, addresses: NDArray[np.int64], values: units.Integers) -> None:
        self.images[region].reshape(-1)[addresses] = values

    def _source(self, i: Instruction) -> tuple[Region, int]:
        """Memory of the right operand and its first tile, in the buffer that is in front."""
        if i.source == Source.ACTIVATION:
            return Region.ACTIVATION, i.right_base
        return Region.INPUT, i.right_base + self.loader.front * self.config.input_tiles

    def _count_busy(self, i: Instruction) -> None:
        lanes, batch_lanes = self.config.lanes, self.config.batch_lanes
        self.totals["busy"] += tiles(i.rows, lanes) * tiles(i.columns, batch_lanes) * i.depth

    # Commands

    def _forward(self, i: Instruction) -> None:
        """Y = f(W X): rows outputs, columns samples, depth inputs."""
        w = self._addresses(i.left_base, i.rows, i.depth, i.left_inner, self.config.lanes)
        region, base = self._source(i)
        x = self._samples(base, i.columns, i.depth, i.right_outer)
        accumulator = units.product(self._read(region, x), self._read(Region.WEIGHT, w).T)
        z, saturated = units.narrow(accumulator, i.shift)
        y = units.activate(z, Activation(i.activation), i.fraction, i.leak_shift)
        to_output = i.destination == Destination.OUTPUT
        destination = Region.OUTPUT if to_output else Region.ACTIVATION
        self._write(destination, self._samples(i.dest_base, i.columns, i.rows, i.dest_outer), y)
        self._count_saturations(i.statistic, saturated)
        self._count_busy(i)

    def _backward(self, i: Instruction) -> None:
        """dX = (W^T dY) f'(X): rows inputs, columns samples, depth outputs."""
        w = self._addresses(i.left_base, i.depth, i.rows, i.left_depth, self.config.lanes)
        d = self._samples(i.right_base, i.columns, i.depth, i.right_outer)
        accumulator = units.product(self._read(Region.DELTA, d), self._read(Region.WEIGHT, w))
        delta, saturated = units.narrow(accumulator, i.shift)
        outputs = self._samples(i.gate, i.columns, i.rows, i.dest_outer)
        gated, gate_saturated = units.gate(
            delta,
            self._read(Region.ACTIVATION, outputs),
            Activation(i.activation),
            i.fraction,
            i.leak_shift,
        )
        self._write(
            Region.DELTA, self._samples(i.dest_base, i.columns, i.rows, i.dest_outer), gated
        )
        self._count_saturations(i.statistic, saturated)
        self._count_saturations(i.statistic, gate_saturated)
        self._count_busy(i)

    def _gradient(self, i: Instruction) -> None:
        """dW = dY X^T and the update: rows outputs, columns inputs, depth samples."""
        lanes, batch_lanes = self.config.lanes, self.config.batch_lanes
        d = self._samples(i.left_base, i.depth, i.rows, i.left_depth)
        region, base = self._source(i)
        x = self._samples(base, i.depth, i.columns, i.right_depth)
        accumulator = units.product(self._read(Region.DELTA, d).T, self._read(region, x))
        gradient, saturated = units.narrow(accumulator, i.shift, GRADIENT_BITS)

        w = self._addresses(i.dest_base, i.rows, i.columns, i.dest_inner, lanes)
        updated = units.update(
            weight=self._read(Region.WEIGHT, w),
            momentum=self._read(Region.MOMENTUM, w) if i.use_momentum else np.zeros_like(gradient),
            gradient=gradient,
            random=self._draw(i.rows, i.columns, batch_lanes),
            factor=self.registers[Register.MOMENTUM_FACTOR],
            rate=(self.registers[Register.RATE], self.registers[Register.RATE_SHIFT]),
            decay=(self.registers[Register.DECAY], self.registers[Register.DECAY_SHIFT]),
        )
        self._write(Region.WEIGHT, w, updated.weight)
        if i.use_momentum:
            self._write(Region.MOMENTUM, w, updated.momentum)
        self._count_saturations(i.statistic, saturated)
        self._count_saturations(i.statistic + 1, updated.momentum_saturated)
        self._count_saturations(i.statistic + 2, updated.weight_saturated)
        self._count_busy(i)

    def _draw(self, rows: int, columns: int, batch_lanes: int) -> NDArray[np.uint32]:
        """An LFSR state for each weight, in the order in which the columns leave the array.

        Outer loop over blocks of B columns, inner over tiles of L rows, then the columns of the
        block; each such vector of L rows takes one step of every lane's LFSR.
        """
        lanes = self.config.lanes
        row_tiles = tiles(rows, lanes)
        r = np.arange(rows)[:, None]
        c = np.arange(columns)[None, :]
        block = c // batch_lanes
        width = np.minimum(columns - block * batch_lanes, batch_lanes)
        vector = block * batch_lanes * row_tiles + (r // lanes) * width + c % batch_lanes
        states = units.lfsr_sequence(self.lfsr, row_tiles * columns)
        self.lfsr = states[-1].copy()
        return states[vector, r % lanes]

    def _loss(self, i: Instruction) -> None:
        """Loss, statistics and DELTA of `columns` samples of `rows` outputs."""
        y = self._read(
            Region.OUTPUT, self._samples(i.right_base, i.columns, i.rows, i.right_outer)
        )
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


