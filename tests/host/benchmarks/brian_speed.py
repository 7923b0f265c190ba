"""What Brian2 makes of stdp_literal's network on one core of this machine, in samples a second.

    python -m tests.host.benchmarks.brian_speed [--samples 200] [--target cython]

64 inputs that fire at regular intervals by their pixels' rates, 100 neurons with leak, threshold,
its adaptation and inhibition, additive pair STDP with accumulating traces on 6,400 synapses, 100
steps of 1 ms a sample, and the rows brought to the same norm after each: the work of a training
sample. Compilation and the first sample are not counted; the figure is of processor time.
"""

import argparse
import time

import brian2 as b2
import numpy as np
from sklearn.datasets import load_digits

STEPS, NEURONS, STRENGTH = 100, 100, 0.25
"""Steps of a sample, neurons, and the norm of a neuron's weights."""

NEURON = """
dv/dt = -v / (20*ms) : 1
dtheta/dt = -theta / (3e6*ms) : 1
"""
SYNAPSE = """
w : 1
dx/dt = -x / (20*ms) : 1 (event-driven)
dy/dt = -y / (20*ms) : 1 (event-driven)
"""


def spikes(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Input and step of each spike, sample after sample: every 10 / x steps for a pixel x."""
    counts = np.floor(images * STEPS / 10).astype(int)
    sample, pixel = np.nonzero(counts)
    repeats = counts[sample, pixel]
    number = np.concatenate([np.arange(1, n + 1) for n in repeats])
    sample, pixel = np.repeat(sample, repeats), np.repeat(pixel, repeats)
    within = np.minimum(np.ceil(number * 10 / images[sample, pixel]), STEPS - 1)
    return pixel, sample * STEPS + within.astype(int)


def network(images: np.ndarray) -> b2.Network:
    """The network, with all samples' spikes; rows are normalised behind each sample."""
    pixels = images.shape[1]
    pixel, step = spikes(images)
    inputs = b2.SpikeGeneratorGroup(pixels, pixel, step * b2.ms)
    neurons = b2.NeuronGroup(
        NEURONS,
        NEURON,
        threshold="v > 0.45 + theta",
        reset="v = 0; theta += 0.00366",
        method="exact",
    )
    neurons.run_regularly("v = 0", dt=STEPS * b2.ms)
    plastic = b2.Synapses(
        inputs,
        neurons,
        SYNAPSE,
        on_pre="v_post += w; x += 1; w = clip(w - 0.01*0.105*y, 0, 1)",
        on_post="y += 1; w = clip(w + 0.01*0.1*x, 0, 1)",
    )
    plastic.connect()
    plastic.w = "0.3 * rand() / 8"
    inhibition = b2.Synapses(neurons, neurons, on_pre="v_post = 0")
    inhibition.connect(condition="i != j")

    @b2.network_operation(dt=STEPS * b2.ms)
    def normalise() -> None:
        weights = np.array(plastic.w).reshape(pixels, NEURONS)
        plastic.w = (weights * STRENGTH / np.linalg.norm(weights, axis=0)).reshape(-1)

    return b2.Network(inputs, neurons, plastic, inhibition, normalise)


def main() -> None:
    """Print samples a second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--target", choices=("cython", "numpy"), default="cython")
    options = parser.parse_args()
    b2.prefs.codegen.target = options.target
    b2.defaultclock.dt = 1 * b2.ms
    b2.seed(0)
    net = network(load_digits().data[: options.samples + 1] / 16)
    net.run(STEPS * b2.ms)
    started = time.process_time()
    net.run(options.samples * STEPS * b2.ms)
    seconds = time.process_time() - started
    print(f"{options.target}: {options.samples / seconds:.1f} samples/s over {options.samples}")


if __name__ == "__main__":
    main()
