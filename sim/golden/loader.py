"""The golden loader: bytes of a batch into INPUT and TARGET tiles, two buffers in turn."""

import numpy as np
from numpy.typing import NDArray

from hw.config import DeviceConfig
from hw.isa import INPUT_BUFFERS, SAMPLE_SHIFT_LOW, Register, SampleFormat


class GoldenLoader:
    """Two sample buffers and what fills them.

    A sample is `FEATURES` inputs and then `TARGETS` targets, each a byte or a little-endian word
    as SAMPLE_FORMAT says. A batch ends with `end`; its complete samples are counted; elements that
    would lie outside a buffer are dropped.
    """

    def __init__(self, config: DeviceConfig, images: tuple[NDArray[np.int16], NDArray[np.int16]]):
        self._config = config
        self._input, self._target = images
        self.clear()

    def clear(self) -> None:
        """Forget all buffered samples."""
        self.front = 0
        self._fill = 0
        self._samples: list[int | None] = [None] * INPUT_BUFFERS
        self._bytes = bytearray()

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

    def take(self, data: bytes, *, end: bool, registers: dict[Register, int]) -> bool:
        """Take bytes of a batch; False, and nothing happens, without a free buffer."""
        if self._samples[self._fill] is not None:
            return False
        self._bytes += data
        if end:
            self._samples[self._fill] = self._store(bytes(self._bytes), registers)
            self._bytes.clear()
            self._fill = (self._fill + 1) % INPUT_BUFFERS
        return True

    def _store(self, data: bytes, registers: dict[Register, int]) -> int:
        sample_format = registers[Register.SAMPLE_FORMAT]
        features, targets = registers[Register.FEATURES], registers[Register.TARGETS]
        wide_input = sample_format >> SampleFormat.WIDE_INPUT & 1
        wide_target = sample_format >> SampleFormat.WIDE_TARGET & 1
        input_bytes, target_bytes = features << wide_input, targets << wide_target
        size = input_bytes + target_bytes
        count = len(data) // size
        padded = np.frombuffer(data.ljust((count + 1) * size, b"\0"), np.uint8)
        rows = padded.reshape(count + 1, size)
        leftover = len(data) - count * size

        inputs = self._words(rows[:, :input_bytes], wide_input)
        if not wide_input:
            shift = sample_format >> SAMPLE_SHIFT_LOW & 15
            if sample_format >> SampleFormat.SIGNED_INPUT & 1:
                inputs = inputs.astype(np.int8)
            inputs = (inputs.astype(np.int64) << shift).astype(np.int16)
        stride = registers[Register.INPUT_STRIDE]
        self._write(self._input, inputs, stride, self._config.input_tiles, leftover >> wide_input)
        words = self._words(rows[:, input_bytes:], wide_target).astype(np.int16)
        stride = registers[Register.TARGET_STRIDE]
        leftover = max(0, leftover - input_bytes) >> wide_target
        self._write(self._target, words, stride, self._config.target_tiles, leftover)
        return count

    @staticmethod
    def _words(rows: NDArray[np.uint8], wide: int) -> NDArray[np.generic]:
        return np.ascontiguousarray(rows).view("<i2") if wide else rows

    def _write(
        self, image: NDArray[np.int16], rows: NDArray[np.int16], stride: int, tiles: int, last: int
    ) -> None:
        """Scatter all rows, of the last one only its first `last` elements."""
        batch_lanes, lanes = self._config.batch_lanes, self._config.lanes
        s, f = np.indices(rows.shape)
        tile = (s // batch_lanes) * stride + f // lanes
        keep = (tile < tiles) & ((s < len(rows) - 1) | (f < last))
        word = (self._fill * tiles + tile) * batch_lanes + s % batch_lanes
        address = word * lanes + (s % batch_lanes + f) % lanes
        image.reshape(-1)[address[keep]] = rows[keep]
