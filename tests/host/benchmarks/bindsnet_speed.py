"""What BindsNET makes of stdp_literal's network on one core of this machine, in samples a second.

    pip install bindsnet
    python -m tests.host.benchmarks.bindsnet_speed [--samples 200]

The network of `brian_speed` beside this one, of BindsNET's own parts: inputs, Diehl and Cook's
neurons with their adaptive thresholds, a connection between them with the rule PostPre, and one
from each neuron to the others that inhibits. It is trained sample by sample; the first one is not
counted, and the figure is of processor time. What BindsNET does in its own way:

- PostPre multiplies whole matrices, all 6,400 synapses twice a step however few neurons spike;
  products of weights and spikes are whole ones too. Its numbers are float32.
- Of the neurons above their thresholds one, drawn at random, spikes, but all of them start anew,
  with raised thresholds. In Brian2's network all of them spike.
- Inhibition comes with the next step's inputs, as a large negative weight: potentials have 0 as
  their lower bound. Traces too start anew with each sample, as the device's do.
- A normalisation of its own keeps the sum of weights; rows are brought to the same norm here.
"""

import argparse
import time

import numpy as np
import torch
from bindsnet.learning import PostPre
from bindsnet.network import Network
from bindsnet.network.nodes import DiehlAndCookNodes, Input
from bindsnet.network.topology import Connection
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


def network(pixels: int) -> Network:
    """The network; its layers are called inputs and neurons."""
    traces = {"traces": True, "traces_additive": True, "tc_trace": TAU}
    inputs = Input(pixels, **traces)
    neurons = DiehlAndCookNodes(
        NEURONS,
        **traces,
        thresh=THRESHOLD,
        rest=0.0,
        reset=0.0,
        lbound=0.0,
        refrac=0,
        tc_decay=TAU,
        theta_plus=INCREMENT,
        tc_theta_decay=TAU_THRESHOLD,
    )
    plastic = Connection(
        inputs,
        neurons,
        nu=(DEPRESSION, POTENTIATION),
        update_rule=PostPre,
        w=0.3 * torch.rand(pixels, NEURONS) / 8,
        wmin=0.0,
        wmax=1.0,
    )
    inhibition = Connection(neurons, neurons, w=torch.eye(NEURONS) - 1)
    made = Network(dt=1.0)
    made.add_layer(inputs, "inputs")
    made.add_layer(neurons, "neurons")
    made.add_connection(plastic, "inputs", "neurons")
    made.add_connection(inhibition, "neurons", "neurons")
    return made


def train(net: Network, samples: torch.Tensor) -> None:
    """Learn samples, (samples, steps, 1, inputs)."""
    weights = net.connections["inputs", "neurons"].w
    for sample in samples:
        # In one step, inputs reach the neurons in the step in which they spike.
        net.run({"inputs": sample}, time=STEPS, one_step=True)
        weights.mul_(STRENGTH / weights.norm(dim=0))
        net.reset_state_variables()


def dense(images: np.ndarray) -> torch.Tensor:
    """Spikes as BindsNET takes them, (samples, steps, 1, inputs)."""
    pixel, step = spikes(images)
    there = torch.zeros(len(images) * STEPS, images.shape[1], dtype=torch.bool)
    there[step, pixel] = True
    return there.reshape(len(images), STEPS, 1, -1)


def main() -> None:
    """Print samples a second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=200)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    samples = dense(load_digits().data[: options.samples + 1] / 16)
    net = network(samples.shape[-1])
    train(net, samples[:1])
    started = time.process_time()
    train(net, samples[1:])
    print(speed("BindsNET", options.samples, time.process_time() - started))


if __name__ == "__main__":
    main()
