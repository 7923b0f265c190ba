"""Bad input of spiking runs is refused at the edge: one message, nothing changed."""

import copy
import tomllib
from pathlib import Path

import numpy as np
import pytest

from host.fixed_point import RangeError
from host.memory_map import CompileError
from host.run_config import ConfigError, parse_config
from host.spiking.network import Encoding, Formats, Granules, Neurons, Scaling, SpikingNetwork
from host.spiking.rules import ClimbingFibre, Hybrid, Metaplasticity, PairSTDP, Prototype
from host.spiking.samples import encode_samples
from host.spiking.spike_events import sample_of_events
from hw.isa import Register
from hw.numbers import Format
from tests.host.spiking.small_runs import plan_of, prototypes

LEVEL = Encoding(kind="level", steps=4, dt=0.5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Encoding(kind="burst"), "kind must be one of rate, poisson.*, not 'burst'"),
        (lambda: Encoding(steps=0), "steps must be from 1 to 32767, not 0"),
        (lambda: Encoding(kind="latency", steps=1), "steps must be from 2"),
        (lambda: Encoding(dt=-1.0), "dt must be above 0 and finite, not -1.0"),
        (lambda: Encoding(dt=2.0, max_rate=600.0), "max_rate must be .* a spike a step, 500"),
        (lambda: Neurons(count=0), "count must be at least 1"),
        (lambda: Neurons(count=5, winners=6), "winners must be from 1 to the 5 neurons, not 6"),
        (lambda: Neurons(count=5, tau_membrane=-20.0), "tau_membrane must be above 0"),
        (lambda: Neurons(count=5, refractory=-1.0), "refractory must be at least 0"),
        (lambda: Scaling(target=0.0), "target must be above 0"),
        (lambda: Granules(sparsity=1.0), "sparsity must be above 0 and below 1, not 1.0"),
        (lambda: PairSTDP(tau_pre=-20.0), "tau_pre must be above 0 and finite, not -20.0"),
        (lambda: PairSTDP(tau_post=0.0), "tau_post must be above 0"),
        (lambda: PairSTDP(w_min=1.0, w_max=0.0), "w_min must be below w_max = 0.0"),
        (lambda: PairSTDP(a_plus=0.0, a_minus=0.0), "a_plus must be above 0 where a_minus is 0"),
        (lambda: PairSTDP(bounds="hard"), "bounds must be additive or soft, not 'hard'"),
        (lambda: Metaplasticity(tau_meta=-1.0), "tau_meta must be above 0"),
        (lambda: Metaplasticity(scaling_factor=0.5), "scaling_factor must be at least 1"),
        (lambda: Prototype(learning_rate=0.5), "learning_rate must be at least 0 and below 0.5"),
        (lambda: ClimbingFibre(margin=-1.0), "margin must be at least 0"),
        (lambda: Hybrid(stdp_weight=0.0), "stdp_weight must be above 0"),
        (lambda: Formats(potential=Format(0, 15)), "at most the fraction bits of weights, Q1.14"),
    ],
)
def test_wrong_parts(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoding": None}, "encoding must be given under the rule Prototype"),
        ({"granules": Granules()}, "granules must be left out under the rule Prototype"),
        ({"rule": PairSTDP()}, "threshold of the neurons must be given under the rule PairSTDP"),
        ({"neurons": Neurons(count=4, threshold=1.0)}, "threshold of the neurons must be left out"),
        (
            {"neurons": Neurons(count=4, refractory=2.0)},
            "refractory of the neurons must be left out .* fire when a sample ends, not 2.0",
        ),
        (
            {"rule": PairSTDP(), "neurons": Neurons(count=4, threshold=1.0, winners=2)},
            "winners of the neurons must be left out .* whenever they reach a threshold, not 2",
        ),
        (
            {"rule": PairSTDP(), "neurons": Neurons(count=4, threshold=1.0)},
            "rows of the scaling must be all",
        ),
        ({"classes": 1}, "classes must be at least 2"),
    ],
)
def test_parts_that_do_not_go_together(changes, message):
    with pytest.raises(ValueError, match=message):
        prototypes(**changes)


def test_constants_that_no_word_holds():
    rule = PairSTDP(learning_rate=1e-6)
    network = SpikingNetwork(
        inputs=64,
        classes=10,
        rule=rule,
        encoding=Encoding(),
        neurons=Neurons(count=10, threshold=1.0),
    )
    with pytest.raises(CompileError, match="a_plus of 1e-07 rounds to 0"):
        plan_of(network)
    with pytest.raises(CompileError, match="tau_membrane of 1e.06 ms is too long for steps of 1"):
        plan_of(prototypes(neurons=Neurons(count=10, tau_membrane=1e6)))
    with pytest.raises(ValueError, match="at most the 200 training samples .* not 300; or take"):
        plan_of(prototypes(neurons=Neurons(count=300)))


def test_wrong_samples():
    network = prototypes(inputs=3)
    for inputs, labels, message in (
        ([[0.0, 0.5, 1.5]], [0], r"from 0 to 1 under latency .* not 1.5 \(sample 0, column 2\)"),
        ([[0.0, np.nan, 1.0]], [0], "nan stands in column 1"),
        ([[0.0, 0.5]], [0], r"N x 3 with N >= 1, not \(1, 2\)"),
        ([[0.0, 0.5, 1.0]], [10], "labels must be whole numbers from 0 to 9, not 10"),
        ([[0.0, 0.5, 1.0]], [0, 1], "a class for each of 1 samples"),
    ):
        with pytest.raises(RangeError, match=message):
            encode_samples(network, inputs, labels)
    level = prototypes(inputs=3, encoding=LEVEL)
    with pytest.raises(RangeError, match="must be 0 or 1, a spike, under level encoding, not 0.5"):
        encode_samples(level, [[0.0, 0.5, 1.0] * 4], [0])


def test_samples_of_a_level_encoding_are_rows_of_steps():
    network = prototypes(inputs=3, encoding=LEVEL)
    raster = np.array([[1, 0, 0], [0, 0, 0], [0, 1, 1], [0, 0, 1]])
    samples = encode_samples(network, [raster.reshape(-1)] * 2, [4, 7])
    assert len(samples) == 2 and samples.registers[Register.FEATURES] == 3
    # Inputs are words of Q6.9 in a byte each, shifted; then the class in every step.
    rows = samples.rows.reshape(2, 4, 4)
    assert np.array_equal(rows[0, :, :3] > 0, raster > 0)
    assert rows[:, :, 3].tolist() == [[4] * 4, [7] * 4]


def events(neurons, times, **options):
    return sample_of_events(neurons, times, inputs=3, **{"encoding": LEVEL, **options})


def test_events_become_steps():
    sample = events([0, 2, 1, 2], [0.0, 1.0, 1.4, 1.9]).reshape(4, 3)
    assert sample.tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 1], [0, 0, 1]]
    assert not events([], []).any()


@pytest.mark.parametrize(
    ("neurons", "times", "message"),
    [
        ([0, 1], [1.0, 0.5], r"must ascend, but 0.5 ms \(spike 1\) comes after 1 ms; sort"),
        ([0], [2.0], r"from 0 to below the duration of 2 ms, not 2 \(spike 0\)"),
        ([0], [-0.1], "from 0 to below the duration"),
        ([0], [np.nan], "from 0 to below the duration"),
        ([0, 3], [0.0, 1.0], r"neurons must be from 0 to 2, not 3 \(spike 1\)"),
        ([-1], [0.0], "neurons must be from 0 to 2, not -1"),
        ([0.5], [0.0], "neurons must be whole numbers, not float64"),
        ([0, 1], [0.0], "arrays of one length"),
        ([1, 1], [0.6, 0.7], "neuron 1 spikes 2 times in step 1; take a smaller dt"),
    ],
)
def test_wrong_events(neurons, times, message):
    with pytest.raises(ValueError, match=message):
        events(neurons, times)
    with pytest.raises(ValueError, match="must have a level encoding, not 'rate'"):
        events([0], [0.0], encoding=Encoding())


TABLES = tomllib.loads((Path(__file__).parents[3] / "examples" / "stdp_literal.toml").read_text())


def changed(place, value):
    """The tables of the literal example with another value at a.b.c; None: without it."""
    tables = copy.deepcopy(TABLES)
    *path, key = place.split(".")
    inner = tables
    for step in path:
        inner = inner.setdefault(step, {})
    if value is None:
        del inner[key]
    else:
        inner[key] = value
    return tables


def test_the_tables_have_the_specified_names_and_defaults():
    config = parse_config(changed("training.stdp", {"metaplasticity": {}}))
    rule = config.rule()
    assert rule == PairSTDP(metaplasticity=Metaplasticity())
    assert (rule.learning_rate, rule.a_plus, rule.a_minus) == (0.01, 0.1, 0.105)
    assert (rule.tau_pre, rule.tau_post, rule.w_min, rule.w_max) == (20, 20, 0, 1)
    assert rule.metaplasticity == Metaplasticity(
        activity_threshold=0.1, tau_meta=1000, scaling_factor=1.2
    )
    hybrid = Hybrid()
    assert (hybrid.stdp_weight, hybrid.supervised_weight) == (0.7, 0.3)
    assert [hybrid.supervised(epoch) for epoch in range(8)] == [False] * 5 + [True] + [False] * 2


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("spiking.rule", "hebb", "rule should be 'stdp', 'prototype', .*, not 'hebb'"),
        ("spiking.rule", None, "spiking.rule is missing"),
        ("spiking.neuron", {}, "unknown key 'spiking.neuron'; did you mean 'neurons'"),
        ("spiking.encoding.step", 3, "unknown key 'spiking.encoding.step'; did you mean 'steps'"),
        ("spiking.neurons.count", 2.5, "spiking.neurons.count should be a valid integer"),
        ("training.stdp.tau_pre", -20, "training.stdp tau_pre must be above 0 and finite, not -20"),
        ("training.stdp.w_min", 2, "training.stdp w_min must be below w_max"),
        ("training.stdp.metaplasticity.tau_met", 1, "metaplasticity.tau_met'; did you mean 'tau_m"),
        ("training.stdp.metaplasticity", {"tau_meta": -1}, "tau_meta must be above 0"),
        ("training.prototype", {}, "training: prototype must be left out where .* is 'stdp'"),
        ("formats.weights", "Q3.9", "formats: .*must make 15"),
        ("formats.potentials", "Q0.16", "formats: "),
        ("network", {}, "either .network. or .spiking., not both"),
        ("training.epochs", 0, "training.epochs should be greater"),
    ],
)
def test_wrong_tables(place, value, message):
    with pytest.raises(ConfigError, match=message) as caught:
        parse_config(changed(place, value))
    assert len(str(caught.value).splitlines()) == 1
