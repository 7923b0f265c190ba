"""A data set as the bytes that the device's loader takes: one row of bytes a sample.

    row = n_0 inputs | targets        each a byte or a little-endian word, by SAMPLE_FORMAT

Encoded once; a batch is then a slice or a selection of rows, without work per element.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from host.fixed_point import RangeError, encode
from host.network import Network
from hw.isa import SAMPLE_SHIFT_LOW, Register, SampleFormat

MAX_SAMPLE_SHIFT = 15


@dataclass(frozen=True, eq=False)
class Samples:
    """Encoded samples.

    Attributes
    ----------
    rows: (N, bytes of a sample), contiguous
    registers: FEATURES, TARGETS and SAMPLE_FORMAT, as the loader needs them for these bytes
    """

    rows: NDArray[np.uint8]
    registers: Mapping[Register, int]

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def sample_bytes(self) -> int:
        """Bytes of a sample."""
        return self.rows.shape[1]

    def batch(self, start: int, stop: int) -> memoryview:
        """The bytes of samples start ... stop - 1, not copied."""
        return self.rows[start:stop].reshape(-1).data

    def batches(self, size: int) -> Sequence[memoryview]:
        """The bytes of all samples, `size` samples at a time; the rest last."""
        count = len(self)
        return [self.batch(s, min(s + size, count)) for s in range(0, count, size)]

    def first(self, count: int) -> "Samples":
        """The first samples alone."""
        return Samples(self.rows[:count], self.registers)

    def shuffled(
        self, order: NDArray[np.integer], out: "Samples | None" = None, *, epoch: int | None = None
    ) -> "Samples":
        """The samples in another order, in the memory of `out` where given.

        `epoch`, from 0, is that of training to which they go: some samples are others in each.
        """
        if out is None:
            return Samples(self.rows[order], self.registers)
        np.take(self.rows, order, axis=0, out=out.rows, mode="clip")
        return out


def encode_samples(
    network: Network, inputs: ArrayLike, targets: ArrayLike | None, *, wide: bool = False
) -> Samples:
    """A network's inputs (N, n_0) and targets as rows of bytes; no targets for prediction.

    Targets are N class indices or an (N, n_m) array. Inputs take a byte each where all of them are
    an unsigned or a two's complement byte shifted left and they need not be `wide`, else two.

    Raises RangeError (a ValueError) on shapes that do not fit, NaN, infinity, values outside the
    format and labels that are no class.
    """
    words = encode_inputs(network, inputs)
    if targets is None:
        return pack_samples(words)
    target_words = encode_targets(network, targets)
    if len(target_words) != len(words):
        raise RangeError(
            f"there must be a target for each of {len(words)} samples, not {len(target_words)}"
        )
    return pack_samples(words, target_words, wide=wide)


def pack_samples(
    inputs: NDArray[np.int16], targets: NDArray[np.int16] | None = None, *, wide: bool = False
) -> Samples:
    """Words of N samples, (N, features) and (N, width), in as few bytes as they need.

    `wide` takes whole words for the inputs in any case.
    """
    sample_format, pieces = 1 << SampleFormat.WIDE_INPUT, [_little_endian(inputs)]
    if not wide:
        sample_format, pieces = _input_bytes(inputs)
    width = 0
    if targets is not None:
        width = targets.shape[1]
        bits, tails = target_bytes(targets)
        sample_format |= bits
        pieces.append(tails)
    registers = sample_registers(inputs.shape[1], width, sample_format)
    return Samples(np.ascontiguousarray(np.concatenate(pieces, axis=1)), registers)


def sample_registers(features: int, width: int, sample_format: int) -> dict[Register, int]:
    """What the loader needs to know of samples."""
    return {
        Register.FEATURES: features,
        Register.TARGETS: width,
        Register.SAMPLE_FORMAT: sample_format,
    }


def target_bytes(targets: NDArray[np.int16]) -> tuple[int, NDArray[np.uint8]]:
    """SAMPLE_FORMAT's bits for words of targets (N, width), and their bytes."""
    if _is_byte(targets):
        return 0, targets.astype(np.uint8)
    return 1 << SampleFormat.WIDE_TARGET, _little_endian(targets)


def encode_inputs(network: Network, inputs: ArrayLike) -> NDArray[np.int16]:
    """Inputs as words of the network's input format; errors as of `encode_samples`."""
    real = np.asarray(inputs)
    if real.ndim != 2 or real.shape[1] != network.sizes[0] or not len(real):
        raise RangeError(
            f"inputs must be an array of N x {network.sizes[0]} with N >= 1, not {real.shape}"
        )
    return encode(real, network.formats.input, name="input")


def encode_targets(network: Network, targets: ArrayLike) -> NDArray[np.int16]:
    """Targets as (N, width) words: class indices, or words of the output format."""
    real = np.asarray(targets)
    outputs = network.sizes[-1]
    if not network.class_target:
        if real.ndim != 2 or real.shape[1] != outputs:
            raise RangeError(f"targets must be an array of N x {outputs}, not {real.shape}")
        return encode(real, network.output_format, name="target")
    if real.ndim != 1:
        raise RangeError(f"labels must be an array of N class indices, not {real.shape}")
    wrong = ~((real >= 0) & (real < outputs) & (real == np.floor(real)))
    if wrong.any():
        place = int(np.argmax(wrong))
        raise RangeError(
            f"labels must be whole numbers from 0 to {outputs - 1}, not {real[place]} "
            f"(sample {place}); number the classes from 0 or give the last layer more neurons"
        )
    return real.astype(np.int16)[:, None]


def _input_bytes(words: NDArray[np.int16]) -> tuple[int, list[NDArray[np.uint8]]]:
    """SAMPLE_FORMAT's bits for the inputs, and their bytes."""
    used = int(np.bitwise_or.reduce(words, axis=None)) & 0xFFFF
    shift = min(MAX_SAMPLE_SHIFT, (used & -used).bit_length() - 1) if used else 0
    small = words >> shift
    fields = shift << SAMPLE_SHIFT_LOW
    if _is_byte(small):
        return fields, [small.astype(np.uint8)]
    if small.min() >= -128 and small.max() <= 127:
        fields |= 1 << SampleFormat.SIGNED_INPUT
        return fields, [small.astype(np.int8).view(np.uint8)]
    return 1 << SampleFormat.WIDE_INPUT, [_little_endian(words)]


def _is_byte(words: NDArray[np.int16]) -> bool:
    return bool(words.min() >= 0 and words.max() <= 255)


def _little_endian(words: NDArray[np.int16]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(words, dtype="<i2").view(np.uint8)
