"""Events for TensorBoard: scalars, histograms and images, by tensorboardX, the extra `monitor`.

The step is the number of training batches since the run began, so that lines of batches and of
epochs lie over each other.
"""

import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FLUSH_SECONDS = 2.0
"""From one time that what was written is shown to the next."""

BINS = 30
"""Of a histogram."""


class EventsFile:
    """Writes events into a folder, a file for every time a run begins or goes on.

    Parameters
    ----------
    folder: which; made where it is missing

    Raises ValueError where tensorboardX is missing.
    """

    def __init__(self, folder: Path):
        try:
            from tensorboardX.event_file_writer import EventsWriter
            from tensorboardX.proto import event_pb2, summary_pb2
        except ImportError:
            raise ValueError(
                "events for TensorBoard need tensorboardX, which is not installed: "
                "pip install 'synaptile[monitor]', or leave --tensorboard out"
            ) from None
        self._event, self._summary = event_pb2, summary_pb2
        folder.mkdir(parents=True, exist_ok=True)
        # The library names a file after the second alone.
        self._flushed = time.monotonic()
        self._writer = EventsWriter(str(folder / "events"), f".{time.time_ns()}")

    def begin(self, step: int) -> None:
        """What was written of later steps before no longer counts."""
        if step:
            log = self._event.SessionLog(status=self._event.SessionLog.START)
            self._add(step + 1, session_log=log)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Numbers by name."""
        value = self._summary.Summary.Value
        own = [value(tag=name, simple_value=float(number)) for name, number in values.items()]
        self._add(step, summary=self._summary.Summary(value=own))

    def histogram(self, name: str, values: NDArray[Any], step: int) -> None:
        """How values spread."""
        real = np.asarray(values, np.float64).reshape(-1)
        counts, edges = np.histogram(real, bins=BINS)
        proto = self._summary.HistogramProto(
            min=real.min(),
            max=real.max(),
            num=real.size,
            sum=real.sum(),
            sum_squares=(real**2).sum(),
            # A bucket without an upper limit of its own begins at the lowest number there is.
            bucket_limit=[edges[0], *edges[1:]],
            bucket=[0, *counts],
        )
        self._add_value(step, tag=name, histo=proto)

    def image(self, name: str, png: bytes, step: int) -> None:
        """A PNG file's bytes."""
        # Width and height are the first two numbers of the first chunk, behind 16 bytes.
        width, height = struct.unpack(">II", png[16:24])
        image = self._summary.Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=png
        )
        self._add_value(step, tag=name, image=image)

    def flush(self) -> None:
        """Let other processes see what was written, unless that was done a moment ago.

        The library brings the file to the disk each time, which takes as long as some batches.
        """
        now = time.monotonic()
        if now - self._flushed >= FLUSH_SECONDS:
            self._writer.flush()
            self._flushed = now

    def close(self) -> None:
        """Bring what was written to the file."""
        self._writer.close()

    def _add_value(self, step: int, **fields: Any) -> None:
        value = self._summary.Summary.Value(**fields)
        self._add(step, summary=self._summary.Summary(value=[value]))

    def _add(self, step: int, **fields: Any) -> None:
        self._writer.write_event(self._event.Event(wall_time=time.time(), step=step, **fields))
