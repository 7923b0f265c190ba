"""The instructions of one batch: training, evaluation or prediction.

    train      ACQUIRE  FORWARD and LOSS  BACKWARD...  GRADIENT...  RELEASE  LOOP  END
    evaluate   ACQUIRE  FORWARD and LOSS                            RELEASE  LOOP  END
    predict    ACQUIRE  FORWARD...                                  RELEASE  END

Where an update takes several batches, or clips the gradient, `host.update_program` makes one
program of them.

The results of an array command can be read about 40 cycles after its last operands. To keep the
array at work meanwhile, FORWARD is cut into chunks of whole batch tiles, c, and the layers go over
them one behind the other; so does the loss unit, which works beside the array:

    F1(0) | F1(1) F2(0) | F1(2) L(0) F2(1) | F1(3) L(1) F2(2) | F2(3) L(2) L(3)

BACKWARD of three layers and more goes in the same way. A layer that is frozen has no GRADIENT, and
BACKWARD ends at the first layer that learns. A layer l that spikes ends such a row:
RESPOND has the device to itself, from when all before it has finished to its own end, and turns
the currents of the whole batch into activity and slopes; the layers behind it are another row:

    F1 | RESPOND | F2(0) | F2(1) | F2(2) L(0) | F2(3) L(1) | L(2) L(3)

Of a layer with dropout, FORWARD drops outputs to train and scales them otherwise, and BACKWARD
stops at what was dropped.

Why a command waits, and for what:

    first FORWARD   no array command open: while GRADIENT updates weights it reads WEIGHT too, and
                    draws from the LFSRs that dropout draws from
    F(l, c)         F(l - 1, c), whose ACTIVATION it reads; after RESPOND, nothing
    L(c)            the FORWARD whose OUTPUT it reads; and for the loss unit
    B(last, c)      the loss unit, not only for its result: both read and write DELTA; and every
                    FORWARD, whose ACTIVATION gates it
    B(l, c)         B(l + 1, c), whose DELTA it reads
    first GRADIENT  every BACKWARD, for DELTA; and because it reads ACTIVATION by the port by which
                    their gates do, and they WEIGHT by that of its updates; without any, LOSS
    others          nothing: array commands read their operands in order

Array commands finish in order. To wait for one is therefore to start when no more are open than
were started after it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from enum import Enum
from typing import NamedTuple

from host.memory_map import CompileError, MemoryMap, Tensor
from host.network import Network, dropout_rate, threshold_word
from hw.config import DeviceConfig
from hw.isa import (
    ARRAY_OPCODES,
    NO_WAIT,
    SATURATION_COUNTERS,
    Activation,
    Destination,
    DropoutFlag,
    GradientFlag,
    Instruction,
    Loss,
    Opcode,
    Source,
)
from hw.layout import tiles
from hw.numbers import GRADIENT_GUARD_BITS, RESIDUAL_FRACTION_BITS

LAYER_STATISTICS = ("activation", "delta", "gradient", "momentum", "weight")
"""What each layer counts saturations of, in this order."""

CLIP_STATISTIC = SATURATION_COUNTERS - 1
"""Counts the updates whose gradient was clipped; no layer counts there."""

MAX_SHIFT = 31
"""The accumulators leave room for the rounding constant of a shift of 31, 2**30."""


class Mode(Enum):
    """What a program does with a batch."""

    TRAIN = "train"
    EVALUATE = "evaluate"
    PREDICT = "predict"


class Chunk(NamedTuple):
    """Samples of a batch that are computed by one command, from batch tile `first` on."""

    first: int
    samples: int


class Schedule:
    """Instructions in the order of their start, with what each of them waits for.

    Attributes
    ----------
    instructions: what was added
    """

    def __init__(self) -> None:
        self.instructions: list[Instruction] = []
        self._started = 0

    def add(self, instruction: Instruction, *, after: int | None = None) -> int:
        """Append an instruction that waits for the array command `after`, a number or None.

        Returns the number of the array command that was added last.
        """
        wait = NO_WAIT if after is None else min(self._started - 1 - after, NO_WAIT - 1)
        self.instructions.append(replace(instruction, wait_array=wait))
        self._started += instruction.opcode in ARRAY_OPCODES
        return self._started - 1


def wave(layers: Sequence[int], chunks: Sequence[Chunk]) -> Iterator[tuple[int, Chunk]]:
    """Every layer of every chunk, each layer one chunk behind the one before."""
    for slot in range(len(chunks) + len(layers) - 1):
        for behind, layer in enumerate(layers):
            if 0 <= slot - behind < len(chunks):
                yield layer, chunks[slot - behind]


class BatchProgram:
    """Writes the instructions for batches of one size.

    Parameters
    ----------
    network, config, memory: what is computed, on what, and where its tensors lie
    samples: samples of the batch
    momentum: whether GRADIENT keeps a momentum
    chunks: most chunks that FORWARD is cut into
    update: samples of the update that the batch is a part of, whose mean gradient is computed; the
        batch's if left out
    """

    def __init__(
        self,
        network: Network,
        config: DeviceConfig,
        memory: MemoryMap,
        *,
        samples: int,
        momentum: bool,
        chunks: int,
        update: int | None = None,
    ):
        self._network, self._config, self._memory = network, config, memory
        self._samples, self._momentum, self._chunks = samples, momentum, chunks
        self._update = update or samples
        self._log2_update = self._update.bit_length() - 1

    def instructions(self, mode: Mode, start: int) -> list[Instruction]:
        """The program of `mode`, to stand at index `start` of the program memory."""
        instructions = self.batch(mode)
        if mode != Mode.PREDICT:
            instructions.append(Instruction(opcode=Opcode.LOOP, rows=start))
        return [*instructions, Instruction(opcode=Opcode.END)]

    def batch(self, mode: Mode, flags: int = 0) -> list[Instruction]:
        """What `mode` does with the batch; `flags` are those of GRADIENT."""
        schedule = Schedule()
        schedule.add(Instruction(opcode=Opcode.ACQUIRE, columns=self._samples))
        computed = self._add_forward(schedule, mode)
        if mode == Mode.TRAIN:
            self._add_learning(schedule, computed, flags)
        schedule.add(Instruction(opcode=Opcode.RELEASE))
        return schedule.instructions

    def clipped(self) -> list[Instruction]:
        """The update with the accumulated gradients, clipped: it reads nothing else of the batch.

        A GRADIENT without a product goes through the sums at a depth of 1.
        """
        flags = 1 << GradientFlag.CLIP
        return [
            Instruction(opcode=Opcode.CLIP, statistic=CLIP_STATISTIC),
            *(
                replace(self._gradient(layer, flags), depth=1, wait_loss=0)
                for layer in reversed(self._network.learning)
            ),
        ]

    def _add_forward(self, schedule: Schedule, mode: Mode) -> int:
        """FORWARD of all layers, and LOSS of a chunk one array command behind its output.

        Returns the number of the last array command.
        """
        command, first = -1, 1
        for layer in range(1, self._network.layers):
            if self._network.neurons[layer - 1]:
                row = range(first, layer + 1)
                command = self._add_row(schedule, row, self._even_chunks(len(row)), command, mode)
                schedule.add(self._respond(layer))
                first = layer + 1
        row = range(first, self._network.layers + 1)
        loss = mode != Mode.PREDICT
        return self._add_row(schedule, row, self._forward_chunks(), command, mode, loss=loss)

    def _add_row(
        self,
        schedule: Schedule,
        row: range,
        chunks: Sequence[Chunk],
        command: int,
        mode: Mode,
        *,
        loss: bool = False,
    ) -> int:
        """FORWARD of some layers, behind the array command `command`; the number of the last."""
        done: dict[Chunk, int] = {}
        outputs: list[Chunk] = []
        for layer, chunk in wave(row, chunks):
            after = done.get(chunk, -1 if command < 0 else None)
            command = schedule.add(self._forward(layer, chunk, mode), after=after)
            done[chunk] = command
            while loss and outputs:
                ready = outputs.pop(0)
                schedule.add(self._loss(ready), after=done[ready])
            if layer == row[-1]:
                outputs.append(chunk)
        for ready in outputs if loss else ():
            schedule.add(self._loss(ready), after=done[ready])
        return command

    def _add_learning(self, schedule: Schedule, computed: int, flags: int) -> None:
        """BACKWARD down to the first layer that learns, then GRADIENT of all that do.

        `computed` ends FORWARD; `flags` are those of GRADIENT.
        """
        last, learning = self._network.layers, self._network.learning
        done: dict[Chunk, int] = {}
        command = computed
        chunks = self._even_chunks(last - learning[0])
        for layer, chunk in wave(range(last, learning[0], -1), chunks):
            after = done.get(chunk, computed if layer == last else None)
            command = schedule.add(self._backward(layer, chunk), after=after)
            done[chunk] = command
        for layer in reversed(learning):
            after = command if layer == learning[-1] else None
            schedule.add(self._gradient(layer, flags), after=after)

    def _forward_chunks(self) -> list[Chunk]:
        """The last two are single batch tiles, as the array has to wait for the last LOSS."""
        batch_tiles = tiles(self._samples, self._config.batch_lanes)
        count = min(self._chunks, batch_tiles)
        single = min(2, count - 1)
        return self._cut((*spread(batch_tiles - single, count - single), *(1,) * single))

    def _even_chunks(self, layers: int) -> list[Chunk]:
        """Two are enough for one to be computed while the other's results are written."""
        batch_tiles = tiles(self._samples, self._config.batch_lanes)
        useful = 2 if layers > 1 else 1
        return self._cut(spread(batch_tiles, min(useful, self._chunks, batch_tiles)))

    def _cut(self, sizes: Iterable[int]) -> list[Chunk]:
        """Chunks of so many batch tiles each."""
        batch_lanes = self._config.batch_lanes
        chunks, first = [], 0
        for size in sizes:
            samples = min((first + size) * batch_lanes, self._samples) - first * batch_lanes
            chunks.append(Chunk(first, samples))
            first += size
        return chunks

    def _forward(self, layer: int, chunk: Chunk, mode: Mode) -> Instruction:
        network, memory = self._network, self._memory
        w, x = memory.weights[layer - 1], self._activation(layer - 1)
        y = self._activation(layer)
        hidden, spikes = layer < network.layers, network.neurons[layer - 1] is not None
        fmt = network.formats.current if spikes else y.fmt
        flag = 1 << (DropoutFlag.DROP if mode == Mode.TRAIN else DropoutFlag.SCALE)
        rate = dropout_rate(network.dropout[layer - 1])
        return Instruction(
            opcode=Opcode.FORWARD,
            activation=Activation.LINEAR if spikes else network.activations[layer - 1],
            source=Source.INPUT if layer == 1 else Source.ACTIVATION,
            destination=Destination.ACTIVATION if hidden else Destination.OUTPUT,
            shift=self._shift("FORWARD", layer, w.fmt.fraction + x.fmt.fraction - fmt.fraction),
            leak_shift=network.leak_shift,
            fraction=fmt.fraction,
            statistic=self._statistic(layer, "activation"),
            flags=flag if rate else 0,
            gate=rate,
            rows=network.sizes[layer],
            columns=chunk.samples,
            depth=network.sizes[layer - 1] + 1,
            left_base=w.layout.base,
            left_inner=w.layout.stride,
            left_depth=1,
            right_base=x.layout.base + chunk.first * x.layout.stride,
            right_outer=x.layout.stride,
            right_depth=1,
            dest_base=y.layout.base + chunk.first * y.layout.stride,
            dest_outer=y.layout.stride,
            dest_inner=1,
        )

    def _respond(self, layer: int) -> Instruction:
        """Activity in place of the layer's currents, and its slopes."""
        network, y, slope = self._network, self._activation(layer), self._memory.slopes[layer]
        neuron = network.neurons[layer - 1]
        assert neuron is not None
        return Instruction(
            opcode=Opcode.RESPOND,
            shift=y.fmt.fraction - neuron.exponent,
            leak_shift=neuron.leak_shift,
            fraction=slope.fmt.fraction - neuron.exponent,
            rows=network.sizes[layer],
            columns=self._samples,
            depth=neuron.steps,
            left_base=slope.layout.base,
            right_base=y.layout.base,
            right_outer=y.layout.stride,
            dest_base=y.layout.base,
            dest_outer=y.layout.stride,
            gate=threshold_word(neuron, network.formats.current),
        )

    def _loss(self, chunk: Chunk) -> Instruction:
        network, memory = self._network, self._memory
        y, target, delta = memory.output, memory.targets[0], memory.deltas[-1]
        if network.loss == Loss.CROSS_ENTROPY:
            shift = RESIDUAL_FRACTION_BITS + 16 - delta.fmt.fraction
        else:
            shift = RESIDUAL_FRACTION_BITS + y.fmt.fraction - delta.fmt.fraction
        one = 1 << RESIDUAL_FRACTION_BITS
        return Instruction(
            opcode=Opcode.LOSS,
            wait_loss=1,
            activation=network.loss,
            class_target=int(network.class_target),
            shift=shift,
            fraction=y.fmt.fraction,
            statistic=self._statistic(network.layers, "delta"),
            rows=network.sizes[-1],
            columns=chunk.samples,
            left_base=target.layout.base + chunk.first * target.layout.stride,
            left_depth=target.layout.stride,
            right_base=y.layout.base + chunk.first * y.layout.stride,
            right_outer=y.layout.stride,
            dest_base=delta.layout.base + chunk.first * delta.layout.stride,
            dest_outer=delta.layout.stride,
            gate=round(one * (1 << self._log2_update) / self._update),
        )

    def _backward(self, layer: int, chunk: Chunk) -> Instruction:
        """The delta of layer - 1."""
        network, memory = self._network, self._memory
        w, d = memory.weights[layer - 1], memory.deltas[layer - 1]
        x, result = self._activation(layer - 1), memory.deltas[layer - 2]
        gate = memory.slopes.get(layer - 1, x)
        return Instruction(
            opcode=Opcode.BACKWARD,
            wait_loss=1,
            activation=network.activations[layer - 2],
            shift=self._shift("BACKWARD", layer, w.fmt.fraction),
            leak_shift=network.leak_shift,
            fraction=x.fmt.fraction,
            statistic=self._statistic(layer - 1, "delta"),
            flags=1 << DropoutFlag.DROP if network.dropout[layer - 2] else 0,
            rows=network.sizes[layer - 1],
            columns=chunk.samples,
            depth=network.sizes[layer],
            left_base=w.layout.base,
            left_inner=1,
            left_depth=w.layout.stride,
            right_base=d.layout.base + chunk.first * d.layout.stride,
            right_outer=d.layout.stride,
            right_depth=1,
            dest_base=result.layout.base + chunk.first * result.layout.stride,
            dest_outer=result.layout.stride,
            dest_inner=1,
            gate=gate.layout.base + chunk.first * gate.layout.stride,
        )

    def _gradient(self, layer: int, flags: int) -> Instruction:
        network, memory = self._network, self._memory
        w, d = memory.weights[layer - 1], memory.deltas[layer - 1]
        x = self._activation(layer - 1)
        target = network.formats.momentum.fraction + GRADIENT_GUARD_BITS
        shift = d.fmt.fraction + x.fmt.fraction + self._log2_update - target
        return Instruction(
            opcode=Opcode.GRADIENT,
            wait_loss=int(layer == network.layers),
            source=Source.INPUT if layer == 1 else Source.ACTIVATION,
            use_momentum=int(self._momentum),
            shift=self._shift("GRADIENT", layer, shift),
            statistic=self._statistic(layer, "gradient"),
            flags=flags,
            rows=network.sizes[layer],
            columns=network.sizes[layer - 1] + 1,
            depth=self._samples,
            left_base=d.layout.base,
            left_inner=1,
            left_depth=d.layout.stride,
            right_base=x.layout.base,
            right_outer=1,
            right_depth=x.layout.stride,
            dest_base=w.layout.base,
            dest_outer=1,
            dest_inner=w.layout.stride,
        )

    def _activation(self, layer: int) -> Tensor:
        """y of a layer; the inputs for 0."""
        if layer == 0:
            return self._memory.inputs[0]
        if layer == self._network.layers:
            return self._memory.output
        return self._memory.activations[layer - 1]

    def _shift(self, command: str, layer: int, shift: int) -> int:
        if not 0 <= shift <= MAX_SHIFT:
            formats = self._network.formats
            raise CompileError(
                f"{command} of layer {layer} needs a right shift of {shift}, the device has 0 to "
                f"{MAX_SHIFT}: choose other formats than input {formats.input}, activation "
                f"{formats.activation}, output {self._network.output_format}, weight "
                f"{formats.weight}, delta {formats.delta}, momentum {formats.momentum}"
            )
        return shift

    @staticmethod
    def _statistic(layer: int, name: str) -> int:
        return statistic_index(layer, name)


def spread(total: int, count: int) -> list[int]:
    """`count` whole numbers, as equal as can be, that make `total`; the larger ones first."""
    return [(total + count - 1 - index) // count for index in range(count)]


def statistic_index(layer: int, name: str) -> int:
    """Index of the saturation counter of a layer (1 to m) for one of LAYER_STATISTICS."""
    return len(LAYER_STATISTICS) * (layer - 1) + LAYER_STATISTICS.index(name)


def check_statistics(network: Network) -> None:
    """Raise CompileError where the network has more layers than the device can count for."""
    most = SATURATION_COUNTERS // len(LAYER_STATISTICS)
    if network.layers > most:
        raise CompileError(
            f"network needs saturation counters for {network.layers} layers, devices have them for "
            f"{most}: take fewer layers"
        )
