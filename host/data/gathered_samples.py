"""Samples whose batches are put together when they are asked for: stored, or augmented, or both.

    rows of inputs --index, order--> batch --augmentation--> bytes
    targets -------------- order---->
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from host.data.augmentation import Augmentation, Augmenter, Draws
from host.data.samples import Samples, encode_targets, sample_registers, target_bytes
from host.data.stored_inputs import WORD_BYTES, StoredInputs
from host.fixed_point import RangeError
from host.network import Network
from hw.isa import Register, SampleFormat

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False, kw_only=True)
class GatheredSamples(Samples):
    """See Samples.

    Attributes
    ----------
    rows: bytes of inputs, (M, bytes of a sample's inputs)
    registers: as of Samples
    take: copies the rows of these numbers
    index: the row of each of N samples
    tails: bytes of their targets, (N, bytes of a target)
    order: in which the samples come
    augmenter: what changes them from epoch to epoch, or None
    draws: what it has drawn for this epoch, where there is one
    """

    rows: Bytes
    registers: Mapping[Register, int]
    take: Callable[[NDArray[np.int64]], Bytes]
    index: NDArray[np.int64]
    tails: Bytes
    order: NDArray[np.int64]
    augmenter: Augmenter | None = None
    draws: Draws | None = None

    def __len__(self) -> int:
        return len(self.order)

    @property
    def sample_bytes(self) -> int:
        """Bytes of a sample."""
        return self.rows.shape[1] + self.tails.shape[1]

    def batch(self, start: int, stop: int) -> memoryview:
        """The bytes of samples start ... stop - 1."""
        places = self.order[start:stop]
        inputs, tails = self.take(self.index[places]), self.tails[places]
        if self.augmenter is not None and self.draws is not None:
            some = self.draws[start:stop]
            inputs, tails = self.augmenter.augment(inputs, tails, some, self._partners)
        return np.concatenate([inputs, tails], axis=1).reshape(-1).data

    def _partners(self, places: NDArray[np.int64]) -> tuple[Bytes, Bytes]:
        return self.take(self.index[places]), self.tails[places]

    def batches(self, size: int) -> Sequence[memoryview]:
        """See Samples; put together one by one."""
        return _Batches(self, size)

    def first(self, count: int) -> "GatheredSamples":
        """See Samples."""
        draws = None if self.draws is None else self.draws[:count]
        return replace(self, order=self.order[:count], draws=draws)

    def shuffled(
        self, order: NDArray[np.integer], out: Samples | None = None, *, epoch: int | None = None
    ) -> "GatheredSamples":
        """See Samples; `out` is not needed."""
        draws = None
        if self.augmenter is not None and epoch is not None:
            draws = self.augmenter.draw(len(order), epoch)
        return replace(self, order=self.order[order], draws=draws)


class _Batches(Sequence[memoryview]):
    def __init__(self, samples: Samples, size: int) -> None:
        self._samples, self._size = samples, size

    def __len__(self) -> int:
        return -(-len(self._samples) // self._size)

    @overload
    def __getitem__(self, number: int) -> memoryview: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[memoryview]: ...
    def __getitem__(self, number: int | slice) -> memoryview | Sequence[memoryview]:
        if isinstance(number, slice):
            return [self[k] for k in range(*number.indices(len(self)))]
        if not 0 <= number < len(self):
            raise IndexError(number)
        start = number * self._size
        return self._samples.batch(start, min(start + self._size, len(self._samples)))


def stored_samples(
    network: Network, inputs: StoredInputs, targets: ArrayLike
) -> GatheredSamples:
    """Stored inputs and their targets; RangeError where they are not those of the network."""
    if inputs.shape[1] != network.sizes[0] or inputs.fmt != network.formats.input:
        raise RangeError(
            f"stored inputs must be {network.sizes[0]} words of {network.formats.input} a sample, "
            f"not {inputs.shape[1]} of {inputs.fmt}"
        )
    words = encode_targets(network, targets)
    if len(words) != len(inputs):
        raise RangeError(
            f"there must be a target for each of {len(inputs)} samples, not {len(words)}"
        )
    bits, tails = target_bytes(words)
    bits |= 1 << SampleFormat.WIDE_INPUT
    return GatheredSamples(
        rows=inputs.file.rows,
        registers=sample_registers(inputs.shape[1], words.shape[1], bits),
        take=inputs.file.take,
        index=inputs.index,
        tails=tails,
        order=np.arange(len(inputs)),
    )


def augmented(
    network: Network, samples: Samples, what: Augmentation, *, seed: int
) -> GatheredSamples:
    """Training samples that are others in every epoch; see Augmentation.

    Where it mixes samples, they must be encoded wide. Raises ValueError as `of_shape`.
    """
    found = samples if isinstance(samples, GatheredSamples) else _gathered(samples)
    sample_format = samples.registers[Register.SAMPLE_FORMAT]
    assert not what.mixes or sample_format >> SampleFormat.WIDE_INPUT & 1, "mixtures need words"
    augmenter = Augmenter(
        what,
        what.of_shape((network.sizes[0],), uniform=True),
        inputs=_type(sample_format, SampleFormat.WIDE_INPUT, SampleFormat.SIGNED_INPUT),
        targets=_type(sample_format, SampleFormat.WIDE_TARGET),
        classes=network.class_target,
        seed=seed,
    )
    return replace(found, augmenter=augmenter)


def _gathered(samples: Samples) -> GatheredSamples:
    """Samples in memory, their rows taken apart into inputs and targets."""
    sample_format = samples.registers[Register.SAMPLE_FORMAT]
    width = WORD_BYTES if sample_format >> SampleFormat.WIDE_INPUT & 1 else 1
    border = width * samples.registers[Register.FEATURES]
    rows = np.ascontiguousarray(samples.rows[:, :border])
    everything = np.arange(len(samples))
    return GatheredSamples(
        rows=rows,
        registers=samples.registers,
        take=partial(np.take, rows, axis=0),
        index=everything,
        tails=np.ascontiguousarray(samples.rows[:, border:]),
        order=everything,
    )


def _type(sample_format: int, wide: SampleFormat, signed: SampleFormat | None = None) -> str:
    """How numpy calls the words of a sample's bytes."""
    if sample_format >> wide & 1:
        return "<i2"
    return "i1" if signed is not None and sample_format >> signed & 1 else "u1"
