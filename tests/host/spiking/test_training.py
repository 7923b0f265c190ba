"""Spiking networks learn on the golden device, and do what their rules say."""

import math
from dataclasses import replace

import numpy as np
import pytest

from host.compiler import write_registers
from host.devices.device import open_device
from host.spiking.compiler import compile_spiking
from host.spiking.curriculum import Curriculum, epoch_order
from host.spiking.labels import SILENT
from host.spiking.network import Encoding, Formats, Neurons, SpikingNetwork
from host.spiking.program import Phase
from host.spiking.rules import Metaplasticity, PairSTDP, Prototype
from host.spiking.samples import encode_samples
from host.spiking.spike_events import sample_of_events
from host.spiking.trainer import SpikingTrainer
from host.streaming import run_batches
from host.training.schedule import Piecewise
from hw.isa import Region
from hw.numbers import Format
from hw.spiking import Variable
from sim.compare import Lockstep
from tests.host.spiking.small_runs import (
    CONFIG,
    LATENCY,
    cerebellum,
    digits,
    hybrid,
    pairs,
    plan_of,
    prototypes,
    trained,
)

# Each protocol learns: thresholds are well below what these small runs reach.


def test_prototypes_learn():
    _, weights, (report,) = trained(plan_of(prototypes()))
    print(report)
    assert report.test_accuracy > 0.75 and report.train_accuracy > 0.75
    assert set(report.votes) == {"majority", "proportional"}
    assert len(report.labels) == 40 and SILENT not in report.labels
    norms = np.linalg.norm(weights["neurons"].astype(float) / 2**14, axis=1)
    np.testing.assert_allclose(norms, 3.0, atol=0.01)
    assert report.train["samples"] == 0 and report.samples == 200


def test_pairs_of_spikes_learn():
    plan = plan_of(pairs(), train=120, test=60, vote="proportional")
    _, weights, (report,) = trained(plan)
    print(report)
    assert report.test_accuracy > 0.55
    assert not np.array_equal(weights["neurons"], plan.weights["neurons"])
    norms = np.linalg.norm(weights["neurons"].astype(float) / 2**15, axis=1)
    np.testing.assert_allclose(norms, 0.25, atol=0.002)


def test_climbing_fibres_learn():
    _, weights, reports = trained(plan_of(cerebellum(), epochs=3))
    print(reports)
    assert reports[-1].test_accuracy > 0.8
    assert reports[-1].train_accuracy > reports[0].train_accuracy
    assert reports[-1].train["samples"] == 200 and not reports[-1].labels
    assert np.abs(weights["outputs"]).max() <= 128


def test_a_readout_of_prototypes_learns():
    _, _, reports = trained(plan_of(hybrid(), epochs=2))
    print(reports)
    assert [report.phase for report in reports] == [Phase.TRAIN, Phase.SUPERVISE]
    assert reports[0].train_accuracy is None and reports[1].test_accuracy > 0.7


def test_the_same_seed_gives_the_same_bits():
    states = [trained(plan_of(cerebellum(), seed=seed))[0] for seed in (1, 1, 2)]
    assert all(np.array_equal(states[0][region], states[1][region]) for region in states[0])
    assert not np.array_equal(states[0][Region.WEIGHT], states[2][Region.WEIGHT])


def test_two_devices_stay_equal():
    plan = plan_of(prototypes(), train=60, test=20)
    with open_device("golden", CONFIG) as left, open_device("golden", CONFIG) as right:
        memory = plan.compiled.memory
        pair = Lockstep(left, right, locate=memory.locate, extents=memory.extents())
        trainer = SpikingTrainer(pair, plan)
        trainer.load()
        (report,) = trainer.reports()
        pair.check("the whole run")
    assert report.test_accuracy > 0.4


# What a sample does.


def run_sample(network, sample, weights, *, phase=Phase.TRAIN, factor=1.0):
    """The compiled network and a device that has done `phase` with a sample of class 0."""
    compiled = compile_spiking(network, CONFIG)
    device = open_device("golden", CONFIG)
    compiled.load(device, weights, None)
    for region, address, words in compiled.constants(factor):
        device.write(region, address, words)
    samples = encode_samples(network, [sample], [0])
    write_registers(device, samples.registers)
    run_batches(device, compiled, phase, samples, 1)
    return compiled, device


def part(compiled, name):
    (found,) = (p for p in compiled.memory.parts if p.name == name)
    return found


def test_the_winner_moves_towards_the_sample():
    network = SpikingNetwork(
        inputs=3,
        classes=2,
        rule=Prototype(learning_rate=0.25),
        encoding=LATENCY,
        neurons=Neurons(count=2),
    )
    before = np.array([[0.5, 0.25, 0.0], [0.25, 0.0, 0.5]])
    words = np.round(before * 2**14).astype(np.int16)
    # Traces after 8 steps are 1, 3/7 and 0; sums 0.607 and 0.25.
    sample = [1.0, 3 / 7, 0.0]
    compiled, device = run_sample(network, sample, {"neurons": words})
    after = compiled.read_weights(device)["neurons"]
    moved = before[0] + 0.25 * (np.array([1, 3 / 7, 0]) - before[0])
    # A trace is up to 7 roundings of 1/7, a weight's change one.
    np.testing.assert_allclose(after[0] / 2**14, moved, rtol=0, atol=(7 / 2 / 4 + 1) * 2**-14)
    assert np.array_equal(after[1], words[1])
    assert part(compiled, "winners").read(device).tolist() == [0]


def test_potentials_are_sums_of_weights_and_traces():
    network = prototypes(inputs=64, neurons=Neurons(count=30), scaling=None)
    rng = np.random.default_rng(0)
    words = rng.integers(0, 2**12, (30, 64), dtype=np.int16)
    (x, _), _ = digits()
    compiled, device = run_sample(network, x[0], {"neurons": words}, phase=Phase.RESPOND)
    potential = part(compiled, "neurons").read(device, Variable.POTENTIAL)
    sums = words / 2**14 @ np.floor(7 * x[0] + 0.5)
    winner = int(sums.argmax())
    assert potential[winner] == -32768
    others = np.arange(30) != winner
    # The current of each of 8 steps is rounded to 1/256 and flows for up to 7 steps.
    np.testing.assert_allclose(
        potential[others] / 2**8, sums[others], rtol=0, atol=7 * 8 / 2 * 2**-9
    )
    assert part(compiled, "answers").read(device).tolist() == [winner]


def test_several_winners_answer():
    network = prototypes(neurons=Neurons(count=30, winners=3), scaling=None)
    rank = np.random.default_rng(1).permutation(30)
    words = np.repeat(50 * rank[:, None], 64, axis=1).astype(np.int16)
    (x, _), _ = digits()
    compiled, device = run_sample(network, x[1], {"neurons": words}, phase=Phase.RESPOND)
    spikes = part(compiled, "answers").read(device).tolist()
    assert [rank[neuron] for neuron in spikes] == [29, 28, 27]
    responses = compiled.circuit.responses
    assert responses.read(device, 1).tolist() == [[int(n in spikes) for n in range(30)]]


@pytest.mark.parametrize("kind", ["rate", "poisson"])
def test_spikes_are_as_many_as_the_rate_says(kind):
    encoding = Encoding(kind=kind, steps=400, dt=0.5, max_rate=500.0)
    intensity = np.repeat([0.0, 0.25, 0.5, 1.0], 16)
    network = prototypes(encoding=encoding, neurons=Neurons(count=1), scaling=None)
    words = {"neurons": np.zeros((1, 64), np.int16)}
    compiled, device = run_sample(network, intensity, words)
    spikes = part(compiled, "inputs").read(device, Variable.COUNT).reshape(4, 16)
    expected = np.array([0, 25, 50, 100])  # in 0.2 s at up to 500 Hz
    if kind == "rate":
        assert (spikes == expected[:, None]).all()
    else:
        # Binomial with a variance of at most 400 / 4 * 3 / 4 = 75, and 16 of each: 5 deviations.
        assert (np.abs(spikes.mean(axis=1) - expected) <= 5 * 75**0.5 / 4).all()
        assert not spikes[0].any() and len(np.unique(spikes[3])) > 3
    trace = part(compiled, "inputs").read(device, Variable.TRACE).reshape(4, 16) / 2**14
    if kind == "rate":
        # A trace's mean is w_max = 1 at max_rate; a spike, every 4 steps, adds 0.099 to it.
        assert (np.abs(trace[3] - 1) < 0.15).all() and (np.abs(trace[1] - 0.25) < 0.15).all()


WINDOW = Encoding(kind="level", steps=30)
"""Two inputs: 0 makes the neuron fire at step 15, 1 spikes some time before or after."""


def window(spike, **rule):
    """By how much the weight of input 1 changes."""
    network = SpikingNetwork(
        inputs=2,
        classes=2,
        rule=PairSTDP(**{"learning_rate": 0.5, **rule}),
        encoding=WINDOW,
        neurons=Neurons(count=1, threshold=0.75),
        formats=Formats(weight=Format(0, 15), potential=Format(3, 12)),
    )
    events = sorted([(15, 0), (spike, 1)])
    sample = sample_of_events(
        [neuron for _, neuron in events],
        [time for time, _ in events],
        inputs=2,
        encoding=WINDOW,
    )
    words = np.array([[0.8 * 2**15, 0.25 * 2**15]]).astype(np.int16)
    compiled, device = run_sample(network, sample, {"neurons": words})
    assert part(compiled, "neurons").read(device, Variable.COUNT).tolist() == [1]
    assert part(compiled, "inputs").read(device, Variable.COUNT).tolist() == [1, 1]
    after = compiled.read_weights(device)["neurons"].astype(float)
    return (after - words)[0, 1] / 2**15


@pytest.mark.parametrize("spike", [2, 10, 14, 15, 16, 20, 28])
@pytest.mark.parametrize("bounds", ["additive", "soft"])
def test_the_stdp_window(spike, bounds):
    after = spike - 15
    if after > 0:
        expected = -0.5 * 0.105 * math.exp(-after / 20)
        distance = 0.25
    else:
        expected = 0.5 * 0.1 * math.exp(after / 20)
        distance = 0.75
    if bounds == "soft":
        expected *= distance
    # The trace loses up to 2**-12 to each flooring, its constant is one of 1598; the coefficient
    # is rounded to one of about 1640, the weight to 2**-15.
    trace = abs(after) * (2**-12 + 0.5 / 32768)
    tolerance = 0.0525 * (trace + 0.5 / 1600) + 2**-15
    assert abs(window(spike, bounds=bounds) - expected) < tolerance


def test_metaplasticity_weakens_active_neurons():
    rule = {"tau_post": 20.0, "metaplasticity": Metaplasticity(tau_meta=10.0)}
    # One spike in 10 ms makes the activity 0.095 at once, below the threshold of 0.1.
    assert abs(window(10, **rule) - window(10)) <= 2**-15
    eager = Metaplasticity(tau_meta=10.0, activity_threshold=0.05, scaling_factor=1.5)
    weakened = window(10, metaplasticity=eager)
    assert abs(weakened - window(10) / 1.5) < 2**-13
    strengthened = window(20, metaplasticity=eager)
    assert abs(strengthened - 1.5 * window(20)) < 2**-13


def test_amplitudes_of_0_leave_that_half_out():
    assert window(20, a_minus=0.0) == 0 and window(10, a_minus=0.0) > 0
    assert window(10, a_plus=0.0) == 0 and window(20, a_plus=0.0) < 0


# Order and rate.


def test_a_curriculum_goes_from_easy_to_hard():
    inputs = np.array([[0.0], [1.0], [0.4], [5.0], [5.5], [8.0]])
    labels = np.array([0, 0, 0, 1, 1, 1])
    # Means 0.467 and 6.167; distances 0.22, 0.28, 0.004, 1.36, 0.44, 3.4
    stage = Curriculum(stages=3).stage(inputs, labels)
    assert stage.tolist() == [0, 1, 0, 2, 1, 2]
    order = epoch_order(stage, np.random.default_rng(0))
    assert stage[order].tolist() == [0, 0, 1, 1, 2, 2] and sorted(order) == list(range(6))
    random = epoch_order(np.zeros(6, np.int64), np.random.default_rng(0))
    assert np.array_equal(random, np.random.default_rng(0).permutation(6))


def test_a_schedule_changes_the_coefficients():
    plan = plan_of(prototypes(), epochs=2, schedule=Piecewise((0.5,), (1.0, 0.5)))
    synapses = part(plan.compiled, "the neurons' synapses")
    written = [
        words for writes in plan.constants for _, start, words in writes if start == synapses.start
    ]
    assert [int(words[0]) for words in written] == [6554, 3277]


def test_epochs_without_evaluation():
    plan = replace(plan_of(cerebellum(), epochs=3, train=50, test=20), evaluate_every=2)
    _, _, reports = trained(plan)
    assert [report.test_accuracy is None for report in reports] == [True, False, False]
