"""The instructions of one batch: training, evaluation or prediction.

    train      ACQUIRE  FORWARD...  FORWARD/LOSS  BACKWARD...  GRADIENT...  RELEASE  LOOP  END
    evaluate   ACQUIRE  FORWARD...  FORWARD/LOSS                            RELEASE  LOOP  END
    predict    ACQUIRE  FORWARD...                                          RELEASE  END

The last layer's FORWARD is cut into chunks of whole batch tiles, so that the loss unit works on
one while the array computes the next.
"""

from collections.abc import Iterator
from enum import Enum

from host.memory_map import CompileError, MemoryMap, Tensor
from host.network import Network
from hw.config import DeviceConfig
from hw.isa import (
    NO_WAIT,
    SATURATION_COUNTERS,
    Destination,
    Instruction,
    Loss,
    Opcode,
    Source,
)
from hw.layout import tiles
from hw.numbers import GRADIENT_GUARD_BITS, RESIDUAL_FRACTION_BITS

LAYER_STATISTICS = ("activation", "delta", "gradient", "momentum", "weight")
"""What each layer counts saturations of, in this order."""

MAX_SHIFT = 31
"""The accumulators leave room for the rounding constant of a shift of 31, 2**30."""


class Mode(Enum):
    """What a program does with a batch."""

    TRAIN = "train"
    EVALUATE = "evaluate"
    PREDICT = "predict"


class BatchProgram:
    """Writes the instructions for batches of one size.

    Parameters
    ----------
    network, config, memory: what is computed, on what, and where its tensors lie
    samples: samples of the batch
    momentum: whether GRADIENT keeps a momentum
    chunks: most chunks of the last layer
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
    ):
        self._network, self._config, self._memory = network, config, memory
        self._samples, self._momentum, self._chunks = samples, momentum, chunks
        self._log2_samples = samples.bit_length() - 1

    def instructions(self, mode: Mode, start: int) -> list[Instruction]:
        """The program of `mode`, to stand at index `start` of the program memory."""
        last = self._network.layers
        program = [Instruction(opcode=Opcode.ACQUIRE, columns=self._samples)]
        program += [self._forward(layer, 0, self._samples) for layer in range(1, last)]
        if mode == Mode.PREDICT:
            program.append(self._forward(last, 0, self._samples))
        else:
            program += self._output_and_loss()
        if mode == Mode.TRAIN:
            program += [self._backward(layer) for layer in range(last, 1, -1)]
            program += [self._gradient(layer) for layer in range(last, 0, -1)]
        program.append(Instruction(opcode=Opcode.RELEASE))
        if mode != Mode.PREDICT:
            program.append(Instruction(opcode=Opcode.LOOP, rows=start))
        program.append(Instruction(opcode=Opcode.END))
        return program

    def _output_and_loss(self) -> Iterator[Instruction]:
        """F(0), then F(c+1), L(c) for every chunk, so that the array is one chunk ahead."""
        last = self._network.layers
        chunks = list(self._cut())
        yield self._forward(last, *chunks[0])
        for index, chunk in enumerate(chunks):
            ahead = chunks[index + 1 : index + 2]
            for following in ahead:
                yield self._forward(last, *following)
            yield self._loss(*chunk, wait_array=len(ahead))

    def _cut(self) -> Iterator[tuple[int, int]]:
        """(first batch tile, samples) of each chunk."""
        batch_lanes = self._config.batch_lanes
        batch_tiles = tiles(self._samples, batch_lanes)
        count = min(self._chunks, batch_tiles)
        edges = [batch_tiles * index // count for index in range(count + 1)]
        for first, end in zip(edges, edges[1:], strict=False):
            yield first, min(end * batch_lanes, self._samples) - first * batch_lanes

    def _forward(self, layer: int, first: int, samples: int) -> Instruction:
        network, memory = self._network, self._memory
        w, x = memory.weights[layer - 1], self._activation(layer - 1)
        y = self._activation(layer)
        hidden = layer < network.layers
        return Instruction(
            opcode=Opcode.FORWARD,
            wait_array=0 if first == 0 else NO_WAIT,
            wait_loss=1 if layer == 1 and first == 0 else 0,
            activation=network.activations[layer - 1],
            source=Source.INPUT if layer == 1 else Source.ACTIVATION,
            destination=Destination.ACTIVATION if hidden else Destination.OUTPUT,
            shift=self._shift("FORWARD", layer, w.fmt.fraction + x.fmt.fraction - y.fmt.fraction),
            leak_shift=network.leak_shift,
            fraction=y.fmt.fraction,
            statistic=self._statistic(layer, "activation"),
            rows=network.sizes[layer],
            columns=samples,
            depth=network.sizes[layer - 1] + 1,
            left_base=w.layout.base,
            left_inner=w.layout.stride,
            left_depth=1,
            right_base=x.layout.base + first * x.layout.stride,
            right_outer=x.layout.stride,
            right_depth=1,
            dest_base=y.layout.base + first * y.layout.stride,
            dest_outer=y.layout.stride,
            dest_inner=1,
        )

    def _loss(self, first: int, samples: int, *, wait_array: int) -> Instruction:
        network, memory = self._network, self._memory
        y, target, delta = memory.output, memory.targets[0], memory.deltas[-1]
        if network.loss == Loss.CROSS_ENTROPY:
            shift = RESIDUAL_FRACTION_BITS + 16 - delta.fmt.fraction
        else:
            shift = RESIDUAL_FRACTION_BITS + y.fmt.fraction - delta.fmt.fraction
        one = 1 << RESIDUAL_FRACTION_BITS
        return Instruction(
            opcode=Opcode.LOSS,
            wait_array=wait_array,
            wait_loss=1,
            activation=network.loss,
            class_target=int(network.class_target),
            shift=shift,
            fraction=y.fmt.fraction,
            statistic=self._statistic(network.layers, "delta"),
            rows=network.sizes[-1],
            columns=samples,
            left_base=target.layout.base + first * target.layout.stride,
            left_depth=target.layout.stride,
            right_base=y.layout.base + first * y.layout.stride,
            right_outer=y.layout.stride,
            dest_base=delta.layout.base + first * delta.layout.stride,
            dest_outer=delta.layout.stride,
            gate=round(one * (1 << self._log2_samples) / self._samples),
        )

    def _backward(self, layer: int) -> Instruction:
        """The delta of layer - 1."""
        network, memory = self._network, self._memory
        w, d = memory.weights[layer - 1], memory.deltas[layer - 1]
        x, result = self._activation(layer - 1), memory.deltas[layer - 2]
        return Instruction(
            opcode=Opcode.BACKWARD,
            wait_array=0,
            wait_loss=1,
            activation=network.activations[layer - 2],
            shift=self._shift("BACKWARD", layer, w.fmt.fraction),
            leak_shift=network.leak_shift,
            fraction=x.fmt.fraction,
            statistic=self._statistic(layer - 1, "delta"),
            rows=network.sizes[layer - 1],
            columns=self._samples,
            depth=network.sizes[layer],
            left_base=w.layout.base,
            left_inner=1,
            left_depth=w.layout.stride,
            right_base=d.layout.base,
            right_outer=d.layout.stride,
            right_depth=1,
            dest_base=result.layout.base,
            dest_outer=result.layout.stride,
            dest_inner=1,
            gate=x.layout.base,
        )

    def _gradient(self, layer: int) -> Instruction:
        network, memory = self._network, self._memory
        w, d = memory.weights[layer - 1], memory.deltas[layer - 1]
        x = self._activation(layer - 1)
        target = network.formats.momentum.fraction + GRADIENT_GUARD_BITS
        shift = d.fmt.fraction + x.fmt.fraction + self._log2_samples - target
        first = layer == network.layers
        return Instruction(
            opcode=Opcode.GRADIENT,
            wait_array=0 if first else NO_WAIT,
            wait_loss=1 if first else 0,
            source=Source.INPUT if layer == 1 else Source.ACTIVATION,
            use_momentum=int(self._momentum),
            shift=self._shift("GRADIENT", layer, shift),
            statistic=self._statistic(layer, "gradient"),
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
