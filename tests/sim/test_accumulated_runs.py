"""Whole runs that accumulate and clip gradients: gateware equals golden in every word."""

from collections.abc import Iterator

import pytest
from sklearn.datasets import load_iris

from host.devices.device import Device, open_device
from host.devices.golden_device import GoldenDevice
from host.layers import Dense, build_network
from host.plan import make_plan
from host.program import CLIP_STATISTIC
from host.trainer import Trainer
from host.training.rules import SGD
from hw.configurations import configuration
from sim.compare import Every, Lockstep

CONFIG = configuration("ecp5-8x8-full")
EPOCHS = 3

pytestmark = [pytest.mark.simulator, pytest.mark.demand]


@pytest.fixture(scope="module")
def devices() -> Iterator[tuple[Device, Device]]:
    """Both keep what a run leaves in words that the next one does not use."""
    with open_device("sim", CONFIG) as simulated:
        yield GoldenDevice(CONFIG), simulated


@pytest.mark.parametrize(
    ("batch", "batches", "clip_norm"), [(16, 3, None), (16, 3, 0.4), (48, 1, 0.4), (7, 9, 15.0)]
)
def test_iris(
    devices: tuple[Device, Device], batch: int, batches: int, clip_norm: float | None
) -> None:
    """Of 150 samples the last update of an epoch has fewer; its last batch is smaller."""
    x, y = load_iris(return_X_y=True)
    network = build_network(
        4, [Dense(12, "tanh"), Dense(9, "relu"), Dense(3)], loss="cross_entropy", classes=True
    )
    rule = SGD(2**-4, 0.9, 1e-3, accumulate_batches=batches, clip_norm=clip_norm)
    plan = make_plan(
        network, rule, CONFIG, (x, y), (x, y), epochs=EPOCHS, batch_size=batch, seed=batch
    )
    memory = plan.compiled.memory
    pair = Lockstep(
        *devices,
        every=Every.PROGRAM,
        locate=memory.locate,
        extents=memory.extents(),
    )
    trainer = Trainer(pair, plan)
    trainer.load()
    reports = list(trainer.reports())
    pair.check("the run")
    clipped = sum(int(report.train.saturations[CLIP_STATISTIC]) for report in reports)
    assert (clipped > 0) == (clip_norm == 0.4) and clipped <= EPOCHS * plan.batches
    assert reports[-1].train["samples"] == 150
