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

from tests.host.benchmarks.literal_network import (
    DEPRESSION,
    INCREMENT,
    NEURONS,
    POTENTIATION,
    STEPS,
    STRENGTH,
    TAU,
    TAU_THRESHOLD,
    THRESHOLD,
    speed,
    spikes,
)

NEURON = f"""
dv/dt = -v / ({TAU}*ms) : 1
dtheta/dt = -theta / ({TAU_THRESHOLD}*ms) : 1
"""
SYNAPSE = f"""
w : 1
dx/dt = -x / ({TAU}*ms) : 1 (event-driven)
dy/dt = -y / ({TAU}*ms) : 1 (event-driven)
"""


def network(images: np.ndarray) -> b2.Network:
    """The network, with all samples' spikes; rows are normalised behind each sample."""
    pixels = images.shape[1]
    pixel, step = spikes(images)
    inputs = b2.SpikeGeneratorGroup(pixels, pixel, step * b2.ms)
    neurons = b2.NeuronGroup(
        NEURONS,
        NEURON,
        threshold=f"v > {THRESHOLD} + theta",
        reset=f"v = 0; theta += {INCREMENT}",
        method="exact",
    )
    neurons.run_regularly("v = 0", dt=STEPS * b2.ms)
    plastic = b2.Synapses(
        inputs,
        neurons,
        SYNAPSE,
        on_pre=f"v_post += w; x += 1; w = clip(w - {DEPRESSION}*y, 0, 1)",
        on_post=f"y += 1; w = clip(w + {POTENTIATION}*x, 0, 1)",
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
    print(speed(options.target, options.samples, time.process_time() - started))


if __name__ == "__main__":
    main()
