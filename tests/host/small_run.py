"""A run that takes milliseconds, for tests of whatever carries runs out."""

import numpy as np

from host.devices.device import open_device
from host.layers import Dense, build_network
from host.plan import make_plan
from host.trainer import Trainer
from host.training.rules import SGD
from hw.configurations import configuration
from sim.compare import read_state

CONFIG = configuration("ecp5-8x8")


def classes_data(samples=50, seed=3):
    """Three classes that a line tells apart almost."""
    rng = np.random.default_rng(seed)
    labels = np.arange(samples) % 3
    return rng.normal(0, 0.4, (samples, 5)) + np.eye(3, 5)[labels], labels


def small_plan(*, optimizer=None, epochs=3, batch_size=8, seed=0, samples=50, loss="cross_entropy"):
    network = build_network(5, [Dense(7, "relu"), Dense(3)], loss=loss, classes=True)
    return make_plan(
        network,
        optimizer or SGD(2**-4),
        CONFIG,
        classes_data(samples),
        classes_data(20, seed=4),
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
    )


def trained(plan):
    """The device's state and the reports after a plan."""
    with open_device("golden", CONFIG) as device:
        trainer = Trainer(device, plan)
        trainer.load()
        reports = list(trainer.reports())
        return read_state(device), reports
