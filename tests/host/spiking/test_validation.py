"""Figures of biological validation: right, judged by their ranges, and counted into a score."""

import numpy as np
import pytest

from host.spiking.activity import Activity
from host.spiking.recording import Spikes
from host.spiking.validation import RANGES, skewness, validate


def activity(counts, steps=10, dt=2.0):
    return Activity(counts=np.asarray(counts), cells="neurons", spikes={}, steps=steps, dt=dt)


def figures(found):
    return {key: row for key, own in RANGES.items() for row in found["figures"]
            if row["name"] == own.name}  # fmt: skip


def test_figures_are_what_they_say():
    counts = [[1, 0, 0, 4], [1, 0, 2, 0]]
    weights = {"neurons": np.array([[0.0, 1.0, 0.05], [0.0, 0.0, 0.0], [0.5, -0.5, 0.2]])}
    own = figures(validate(activity(counts), weights, fan_in=4))
    assert own["mean_rate"]["value"] == 1 / 0.02 and not own["mean_rate"]["within"]
    assert own["active_share"]["value"] == 0.5 and own["silent_share"]["value"] == 0.25
    means = np.array([1, 0, 1, 2])
    assert own["rate_skewness"]["value"] == pytest.approx(skewness(means)) == pytest.approx(0)
    strengths = np.abs(weights["neurons"])
    expected = strengths.std() / strengths.mean()
    assert own["weight_variation"]["value"] == pytest.approx(expected)
    # Of the three inputs the second one has synapses of both signs.
    assert own["one_sign"]["value"] == pytest.approx(2 / 3) and not own["one_sign"]["within"]
    # 1.0, 0.5, -0.5 and 0.2 reach a tenth of the largest; the second neuron has none.
    assert own["density"]["value"] == pytest.approx(4 / 9)
    assert own["unconnected"]["value"] == pytest.approx(1 / 3)
    assert own["granule_inputs"]["value"] == 4 and own["granule_inputs"]["within"]


def test_the_score_is_the_mean_of_the_groups_shares():
    found = validate(activity([[1, 0], [0, 1]]), {"a": np.array([[1.0, 0.0], [0.2, 1.0]])})
    for group, share in found["groups"].items():
        own = [row["within"] for row in found["figures"] if row["group"] == group]
        assert share == np.mean(own)
    assert found["score"] == pytest.approx(np.mean(list(found["groups"].values())))
    assert all(row["source"] for row in found["figures"])


def test_skewness_equals_its_definition():
    values = np.random.default_rng(0).lognormal(size=1000)
    z = (values - values.mean()) / values.std()
    assert skewness(values) == pytest.approx(np.mean(z**3)) and skewness(values) > 1


def test_silence_is_judged_too():
    found = validate(activity(np.zeros((3, 4), int)), {"a": np.zeros((4, 2))})
    own = figures(found)
    assert own["silent_share"]["value"] == 1 and not own["silent_share"]["within"]
    assert "rate_skewness" not in own and "weight_variation" not in own
    assert own["density"]["value"] == 0 and own["unconnected"]["value"] == 1


def test_activity_comes_back_as_it_was(tmp_path):
    spikes = {"input spikes": Spikes(np.array([0, 1]), np.array([2, 3]), 5)}
    given = Activity(counts=np.eye(3, dtype=int), cells="winners", spikes=spikes, steps=7, dt=0.5)
    given.save(tmp_path / "a.npz")
    back = Activity.load(tmp_path / "a.npz")
    assert np.array_equal(back.counts, given.counts) and back.cells == "winners"
    assert (back.steps, back.dt) == (7, 0.5)
    own = back.spikes["input spikes"]
    assert own.times.tolist() == [0, 1] and own.neurons.tolist() == [2, 3] and own.size == 5
