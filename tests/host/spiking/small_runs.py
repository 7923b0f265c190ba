"""Spiking runs of a second or two, for tests of whatever carries them out."""

from functools import cache

from host import data
from host.devices.device import open_device
from host.spiking.network import Encoding, Formats, Granules, Neurons, Scaling, SpikingNetwork
from host.spiking.plan import make_spiking_plan
from host.spiking.rules import ClimbingFibre, Hybrid, PairSTDP, Prototype
from host.spiking.trainer import SpikingTrainer
from hw.configurations import configuration
from hw.numbers import Format
from sim.compare import read_state

CONFIG = configuration("ecp5-8-spiking")
LATENCY = Encoding(kind="latency", steps=8)
WINNER = Scaling(norm="l2", target=3.0, rows="winner")


def prototypes(**changes):
    """100 pixels compete by latency."""
    parts = {
        "inputs": 64,
        "classes": 10,
        "rule": Prototype(),
        "encoding": LATENCY,
        "neurons": Neurons(count=40),
        "scaling": WINNER,
    }
    return SpikingNetwork(**{**parts, **changes})


def pairs(steps=20, **rule):
    """Pairs of spikes of regular trains."""
    return SpikingNetwork(
        inputs=64,
        classes=10,
        rule=PairSTDP(**rule),
        encoding=Encoding(kind="rate", steps=steps, max_rate=500.0),
        neurons=Neurons(
            count=30,
            tau_membrane=20.0,
            threshold=0.75,
            refractory=2.0,
            threshold_increment=0.01,
            tau_threshold=1e5,
        ),
        scaling=Scaling(norm="l2", target=0.25),
        formats=Formats(weight=Format(0, 15), potential=Format(3, 12)),
    )


def cerebellum(**rule):
    """Granule cells and climbing fibres, weights of 8 bits."""
    return SpikingNetwork(
        inputs=64,
        classes=10,
        rule=ClimbingFibre(**rule),
        granules=Granules(cells=500),
        formats=Formats(weight=Format(9, 6), potential=Format(9, 6)),
    )


def hybrid(**rule):
    """Prototypes and a readout of them."""
    return prototypes(rule=Hybrid(**{"stdp_epochs": 1, **rule}))


@cache
def digits(train=200, test=100):
    """The first samples of a split of the digits."""
    inputs, labels = data.SOURCES["digits"](0)
    found = data.prepare(inputs, labels, classes=True, scaling=16, test_size=0.2, seed=100)
    (x, y), (u, v) = found.train, found.test
    return (x[:train], y[:train]), (u[:test], v[:test])


def plan_of(network, *, epochs=1, train=200, test=100, config=CONFIG, **options):
    return make_spiking_plan(network, config, *digits(train, test), epochs=epochs, **options)


def trained(plan):
    """The device's state, its weights and the reports after a plan."""
    with open_device("golden", plan.compiled.config) as device:
        trainer = SpikingTrainer(device, plan)
        trainer.load()
        reports = list(trainer.reports())
        return read_state(device), plan.compiled.read_weights(device), reports
