"""The golden loader: bytes of a batch into INPUT and TARGET tiles, two buffers in turn."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hw.config import DeviceConfig
from hw.isa import INPUT_BUFFERS, SAMPLE_SHIFT_LOW, Register, SampleFormat
from hw.layout import TensorLayout

Places = tuple[NDArray[np.int64], NDArray[np.bool_] | None, bool]


class GoldenLoader:
    """Two sample buffers and what fills them.

    A sample is `FEATURES` inputs and then `TARGETS` targets, each a byte or a little-endian word
    as SAMPLE_FORMAT says. A batch ends with `end`; its complete samples are counted; elements that
    would lie outside a buffer are dropped.

    Attributes
    ----------
    front: the buffer that programs read
    overflow: whether elements of the batch that was loaded last were dropped, or it had no words
    """

    def __init__(self, config: DeviceConfig, images: tuple[NDArray[np.int16], NDArray[np.int16]]):
        self._config = config
        self._input, self._target = images
        self._places: dict[tuple[int, ...], Places] = {}
        self.clear()

    def clear(self) -> None:
        """Forget all buffered samples."""
        self.front = 0
        self._fill = 0
        self._samples: list[int | None] = [None] * INPUT_BUFFERS
        self._bytes = bytearray()
        self.overflow = False

    @property
    def credits(self) -> int:
        """Buffers that are neither full nor in use."""
        return sum(samples is None for samples in self._samples)

    @property
    def front_samples(self) -> int | None:
        """Samples in the front buffer, None while it is not full."""
        return self._samples[self.front]

    def release(self) -> None:
        """The front buffer is empty again, and the other one is the front."""
        self._samples[self.front] = None
        self.front = (self.front + 1) % INPUT_BUFFERS

    def take(
        self, data: bytes | memoryview, *, end: bool, registers: Mapping[Register, int]
    ) -> bool:
        """Take bytes of a batch; False, and nothing happens, without a free buffer."""
        if self._samples[self._fill] is not None:
            return False
        self._bytes += data
        if end:
            self._samples[self._fill] = self._store(bytes(self._bytes), registers)
            self._bytes.clear()
            self._fill = (self._fill + 1) % INPUT_BUFFERS
        return True

    def _store(self, data: bytes, registers: Mapping[Register, int]) -> int:
        sample_format = registers[Register.SAMPLE_FORMAT]
        wide_input = sample_format >> SampleFormat.WIDE_INPUT & 1
        wide_target = sample_format >> SampleFormat.WIDE_TARGET & 1
        input_bytes = registers[Register.FEATURES] << wide_input
        size = input_bytes + (registers[Register.TARGETS] << wide_target)
        self.overflow = size == 0
        if size == 0:
            return 0
        count, leftover = divmod(len(data), size)
        # The elements of an incomplete sample are stored too, though it does not count.
        padded = data.ljust((count + 1) * size, b"\0") if leftover else data
        rows = np.frombuffer(padded, np.uint8).reshape(-1, size)

        inputs = self._words(rows[:, :input_bytes], wide_input)
        if not wide_input:
            if sample_format >> SampleFormat.SIGNED_INPUT & 1:
                inputs = inputs.astype(np.int8)
            inputs = inputs.astype(np.int16) << (sample_format >> SAMPLE_SHIFT_LOW & 15)
        kept = leftover >> wide_input
        stride = registers[Register.INPUT_STRIDE]
        self._write(self._input, inputs, stride, self._config.input_tiles, count, kept)
        targets = self._words(rows[:, input_bytes:], wide_target)
        kept = max(0, leftover - input_bytes) >> wide_target
        stride = registers[Register.TARGET_STRIDE]
        self._write(self._target, targets, stride, self._config.target_tiles, count, kept)
        return count

    @staticmethod
    def _words(rows: NDArray[np.uint8], wide: int) -> NDArray[np.integer]:
        return np.ascontiguousarray(rows).view("<i2") if wide else rows

    def _write(
        self,
        image: NDArray[np.int16],
        rows: NDArray[np.integer],
        stride: int,
        tiles: int,
        count: int,
        last: int,
    ) -> None:
        """Scatter `count` rows, and of one more the first `last` elements, into a buffer."""
        key = (*rows.shape, stride, tiles, count, last)
        if key not in self._places:
            self._places[key] = self._place(rows.shape, stride, tiles, count, last)
        places, keep, outside = self._places[key]
        self.overflow |= outside
        words: NDArray[np.int16] = image.reshape(INPUT_BUFFERS, -1)[self._fill]
        words[places] = rows if keep is None else rows[keep]

    def _place(
        self, shape: tuple[int, ...], stride: int, tiles: int, count: int, last: int
    ) -> Places:
        """Addresses in a buffer of the elements to be stored, which these are (None: all), and
        whether any that was sent lies outside."""
        batch_lanes, lanes = self._config.batch_lanes, self._config.lanes
        layout = TensorLayout(
            base=0,
            rows=shape[0],
            columns=shape[1],
            tile_rows=batch_lanes,
            lanes=lanes,
            stride=stride,
        )
        places = layout.addresses()
        s, f = np.ogrid[: shape[0], : shape[1]]
        inside = (s // batch_lanes) * stride + f // lanes < tiles
        sent = (s < count) | (f < last)
        keep = inside & sent
        outside = not inside[sent].all()
        return (places, None, outside) if keep.all() else (places[keep], keep, outside)
