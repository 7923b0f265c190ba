"""stdp_literal's network and its spikes, as the modules beside this one give it to simulators."""

import numpy as np

STEPS, NEURONS, STRENGTH = 100, 100, 0.25
"""Steps of 1 ms of a sample, neurons, and the norm of a neuron's weights."""

THRESHOLD, INCREMENT = 0.45, 0.00366
"""Potential at which a neuron fires, and by how much that rises with each of its spikes."""

TAU, TAU_THRESHOLD = 20.0, 3e6
"""Of potentials and traces, and of the thresholds' rise, in ms."""

POTENTIATION, DEPRESSION = 0.01 * 0.1, 0.01 * 0.105
"""Change of a weight, from 0 to 1, at a trace of 1."""


def spikes(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Input and step of each spike, sample after sample: every 10 / x steps for a pixel x."""
    counts = np.floor(images * STEPS / 10).astype(int)
    sample, pixel = np.nonzero(counts)
    repeats = counts[sample, pixel]
    number = np.concatenate([np.arange(1, n + 1) for n in repeats])
    sample, pixel = np.repeat(sample, repeats), np.repeat(pixel, repeats)
    within = np.minimum(np.ceil(number * 10 / images[sample, pixel]), STEPS - 1)
    return pixel, sample * STEPS + within.astype(int)


def speed(simulator: str, samples: int, seconds: float) -> str:
    """What is printed of a measurement, `seconds` being processor time."""
    return f"{simulator}: {samples / seconds:.1f} samples/s over {samples}"
