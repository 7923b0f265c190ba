"""What was learned of digits 0 to 4 helps a deep network to learn 5 to 9 from 50 samples.

Three sigmoid layers hardly begin to learn from 50 samples in 30 epochs, as their deltas vanish on
the way down; behind layers that have learned already they do. (One ReLU layer learns these digits
from scratch as well as from any other start.)
"""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from synaptile import SGD, Dense, Sequential

HIDDEN = [Dense(32, "sigmoid"), Dense(24, "sigmoid"), Dense(16, "sigmoid")]


def network(weights=None, head="xavier"):
    return Sequential(
        [*HIDDEN, Dense(5, init=head)],
        optimizer=SGD(2**-5, momentum=0.9),
        device="golden",
        init="xavier",
        weights=weights,
    )


def few_and_rest(labels, seed):
    """Ten samples of each class, and all the others."""
    order = np.random.default_rng(seed).permutation(len(labels))
    few = np.concatenate([order[labels[order] == c][:10] for c in range(5)])
    return few, np.setdiff1d(order, few)


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.demand) for seed in range(1, 5))]
)
def test_fine_tuning_beats_learning_from_scratch(seed):
    x, y = load_digits(return_X_y=True)
    low, x = y < 5, x / 16
    new_x, new_y = x[~low], y[~low] - 5
    few, rest = few_and_rest(new_y, seed)
    learned = network().fit(x[low], y[low], epochs=30, batch_size=16, seed=seed)
    shares = []
    for weights in (None, learned.weights_):
        model = network(weights).fit(new_x[few], new_y[few], epochs=30, batch_size=10, seed=seed)
        shares.append(model.score(new_x[rest], new_y[rest]))
    print(f"seed {seed}: from scratch {shares[0]:.4f}, tuned {shares[1]:.4f}")
    assert learned.score(x[low], y[low]) > 0.95
    assert shares[1] > shares[0] + 0.2
