"""Samples for spiking networks as the bytes that the device's loader takes, a batch for each.

A sample is a row of intensities; under level encoding a row for every time step, of 0 and 1.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from host.data.samples import Samples, pack_samples
from host.fixed_point import RangeError, encode
from host.spiking.network import SpikingNetwork


def sample_width(network: SpikingNetwork) -> int:
    """Values of a sample."""
    encoding = network.encoding
    level = encoding is not None and encoding.kind == "level"
    return network.inputs * (encoding.steps if level and encoding else 1)


def encode_samples(network: SpikingNetwork, inputs: ArrayLike, labels: ArrayLike) -> Samples:
    """Inputs (N, values of a sample) and N classes; a row of bytes is a batch.

    Raises RangeError as `encode_intensities`, and on labels that are no class.
    """
    words = encode_intensities(network, inputs)
    classes = _check_labels(np.asarray(labels), len(words), network.classes)
    rows = words.reshape(-1, network.inputs)
    steps = len(rows) // len(words)
    packed = pack_samples(rows, np.repeat(classes, steps)[:, None])
    return Samples(packed.rows.reshape(len(words), -1), packed.registers)


def encode_intensities(network: SpikingNetwork, inputs: ArrayLike) -> NDArray[np.int16]:
    """Inputs (N, values of a sample) as words.

    Raises RangeError on another shape, NaN, infinity, intensities outside 0 to 1, and levels that
    are neither.
    """
    real = np.asarray(inputs, np.float64)
    width = sample_width(network)
    if real.ndim != 2 or real.shape[1] != width or not len(real):
        raise RangeError(f"inputs must be an array of N x {width} with N >= 1, not {real.shape}")
    words = encode(real, network.formats.input, name="input")
    if network.encoding is None:
        return words
    level = network.encoding.kind == "level"
    wrong = ~((real == 0) | (real == 1)) if level else (real < 0) | (real > 1)
    if wrong.any():
        sample, column = (int(place) for place in np.argwhere(wrong)[0])
        expected = "0 or 1, a spike," if level else "from 0 to 1"
        raise RangeError(
            f"every intensity must be {expected} under {network.encoding.kind} encoding, not "
            f"{real[sample, column]:g} (sample {sample}, column {column}); [data] scaling divides "
            "by a number"
        )
    return words


def _check_labels(labels: NDArray[Any], samples: int, classes: int) -> NDArray[np.int16]:
    if labels.shape != (samples,):
        raise RangeError(f"there must be a class for each of {samples} samples, not {labels.shape}")
    if labels.dtype.kind not in "biu" or labels.min() < 0 or labels.max() >= classes:
        raise RangeError(
            f"labels must be whole numbers from 0 to {classes - 1}, not {labels.min()} to "
            f"{labels.max()}"
        )
    return labels.astype(np.int16)
