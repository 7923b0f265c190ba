"""Votes against cases computed by hand."""

import numpy as np
import pytest

from host.spiking.labels import SILENT, Labels

# Four neurons, two samples of class 0, two of class 1, one of class 2; neuron 3 never responds.
TRAINED = np.array([[4, 0, 1, 0], [2, 0, 1, 0], [0, 3, 2, 0], [1, 1, 2, 0], [1, 2, 0, 0]])
LABELS = np.array([0, 0, 1, 1, 2])


def labels():
    return Labels.assign(TRAINED, LABELS, 3)


def test_mean_responses():
    assert labels().means.tolist() == [[3, 0.5, 1], [0, 2, 2], [1, 2, 0], [0, 0, 0]]


def test_neurons_get_the_class_they_respond_to_most():
    # Neuron 1 responds to classes 1 and 2 alike: the lower one.
    assert labels().neurons.tolist() == [0, 1, 1, SILENT]


def test_majority():
    # Class 0 has neuron 0; class 1 the mean of neurons 1 and 2; class 2 has none.
    assert labels().weights("majority").tolist() == [[1, 0, 0], [0, 0.5, 0], [0, 0.5, 0], [0, 0, 0]]
    tested = np.array([[3, 2, 2, 0], [2, 3, 2, 9], [1, 1, 1, 0], [0, 0, 0, 0]])
    # 3 to 2; 2 to 2.5; 1 to 1, the lower class; nothing at all, the lowest class.
    assert labels().predict(tested, "majority").tolist() == [0, 1, 0, 0]


def test_proportional():
    share = labels().weights("proportional")
    np.testing.assert_array_equal(share[1], [0, 0.5, 0.5])
    np.testing.assert_array_equal(share[3], [0, 0, 0])
    np.testing.assert_allclose(share[0], [3 / 4.5, 0.5 / 4.5, 1 / 4.5], rtol=1e-15)
    # Neuron 1 alone says 1 or 2 alike; with neuron 0 once, class 2 gains 2/9 and 1 only 1/9.
    tested = np.array([[0, 2, 0, 0], [1, 4, 0, 0], [0, 1, 1, 0]])
    assert labels().predict(tested, "proportional").tolist() == [1, 2, 1]


def test_accuracy():
    tested = np.array([[3, 2, 2, 0], [2, 3, 2, 9], [1, 1, 1, 0], [0, 0, 0, 0]])
    assert labels().accuracy(tested, np.array([0, 1, 2, 2]), "majority") == 0.5


@pytest.mark.parametrize("vote", ["majority", "proportional"])
def test_a_class_without_samples_gets_nothing(vote):
    found = Labels.assign(np.array([[1, 0], [0, 1]]), np.array([0, 2]), 4)
    assert found.neurons.tolist() == [0, 2]
    assert found.predict(np.array([[1, 0], [0, 1]]), vote).tolist() == [0, 2]
