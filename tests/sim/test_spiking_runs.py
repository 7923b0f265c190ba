"""Runs of the spiking examples on the gateware are golden's, in every word after every epoch.

Here are those with the most neurons; others take minutes (`make test-all`).
`synaptile train CONFIG --device sim --verify` does it for whole runs.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from host.devices.device import Device, open_device
from host.devices.golden_device import GoldenDevice
from host.run import prepare, train
from host.run_config import read_config
from hw.config import configuration
from sim.compare import Every, Lockstep

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CONFIG = configuration("ecp5-8-spiking")

pytestmark = [pytest.mark.simulator, pytest.mark.long]


@pytest.fixture(scope="module")
def devices() -> Iterator[tuple[Device, Device]]:
    with open_device("sim", CONFIG) as simulated:
        yield GoldenDevice(CONFIG), simulated


@pytest.mark.parametrize(
    "name",
    [
        "cerebellum_digits",
        "cerebellum_breast_cancer",
        pytest.param("stdp_digits", marks=pytest.mark.demand),
        pytest.param("hybrid_digits", marks=pytest.mark.demand),
        pytest.param("stdp_literal", marks=pytest.mark.demand),
    ],
)
def test_an_epoch_of_an_example(devices: tuple[Device, Device], name: str) -> None:
    experiment = prepare(read_config(EXAMPLES / f"{name}.toml").with_options(epochs=1))
    pair = Lockstep(
        *devices,
        every=Every.PROGRAM,
        locate=experiment.locate,
        extents=experiment.extents(),
    )
    outcome = train(experiment, pair)
    pair.check("the whole run")
    assert len(outcome.epochs) == 1
    accuracy = outcome.epochs[0].test_accuracy
    assert accuracy is not None and accuracy > 0.5
