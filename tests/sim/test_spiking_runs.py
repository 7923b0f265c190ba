"""Runs of the spiking examples on the gateware are golden's, in every word after every epoch.

Here are those with the most neurons; others take minutes (`make test-all`).
`synaptile train CONFIG --device sim --verify` does it for whole runs.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from host.devices.device import Device, open_device
from host.devices.golden_device import GoldenDevice
from host.run import prepare, train
from host.run_config import read_config
from host.spiking.network import Neurons
from host.spiking.trainer import SpikingTrainer
from hw.configurations import configuration
from sim.compare import Every, Lockstep
from tests.host.spiking.small_runs import hybrid, pairs, plan_of, prototypes

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CONFIG = configuration("ecp5-8-spiking")
SMALL = configuration("up5k-2-spiking")
RULES = {
    "prototypes": prototypes(neurons=Neurons(count=20)),
    "pairs": pairs(steps=8, bounds="soft"),
    "hybrid": replace(hybrid(), neurons=Neurons(count=12)),
}
"""Networks that fit the smallest device; of prototypes, pairs of spikes and climbing fibres."""

pytestmark = [pytest.mark.simulator, pytest.mark.long]


@pytest.fixture(scope="module")
def devices() -> Iterator[tuple[Device, Device]]:
    with open_device("sim", CONFIG) as simulated:
        yield GoldenDevice(CONFIG), simulated


@pytest.mark.parametrize(
    ("name", "epochs"),
    [
        ("cerebellum_digits", 1),
        ("cerebellum_breast_cancer", 1),
        pytest.param("stdp_digits", 1, marks=pytest.mark.demand),
        # The readout learns in the sixth.
        pytest.param("hybrid_digits", 6, marks=pytest.mark.demand),
        pytest.param("stdp_literal", 1, marks=pytest.mark.demand),
    ],
)
def test_the_first_epochs_of_an_example(
    devices: tuple[Device, Device], name: str, epochs: int
) -> None:
    experiment = prepare(read_config(EXAMPLES / f"{name}.toml").with_options(epochs=epochs))
    pair = Lockstep(
        *devices,
        every=Every.PROGRAM,
        locate=experiment.locate,
        extents=experiment.extents(),
    )
    outcome = train(experiment, pair)
    pair.check("the whole run")
    assert len(outcome.epochs) == epochs
    accuracy = outcome.epochs[-1].test_accuracy
    assert accuracy is not None and accuracy > 0.5


@pytest.fixture(scope="module")
def small_devices() -> Iterator[tuple[Device, Device]]:
    with open_device("sim", SMALL) as simulated:
        yield GoldenDevice(SMALL), simulated


@pytest.mark.parametrize("rule", RULES)
def test_the_smallest_device(small_devices: tuple[Device, Device], rule: str) -> None:
    learns(small_devices, rule, train=8, test=4)


@pytest.mark.toolchain
@pytest.mark.demand
def test_the_netlist_of_the_smallest_device() -> None:
    with open_device("netlist", SMALL) as netlist:
        learns((GoldenDevice(SMALL), netlist), "hybrid", train=4, test=2)


def learns(devices: tuple[Device, Device], rule: str, *, train: int, test: int) -> None:
    """Two epochs change every matrix, and both devices alike."""
    network = RULES[rule]
    network = replace(network, neurons=replace(network.neurons, first_weights="random"))
    plan = plan_of(network, epochs=2, train=train, test=test, config=SMALL)
    pair = Lockstep(*devices, every=Every.PROGRAM)
    trainer = SpikingTrainer(pair, plan)
    trainer.load()
    before = plan.compiled.read_weights(pair)
    reports = list(trainer.reports())
    pair.check("the whole run")
    after = plan.compiled.read_weights(pair)
    assert len(reports) == 2
    assert all((after[name] != before[name]).any() for name in before)
