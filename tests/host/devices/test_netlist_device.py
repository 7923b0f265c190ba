"""The synthesized netlist of a board is golden's equal, in every word after every command."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from boards.board import board
from host import data
from host.devices.device import Device, open_device
from host.devices.golden_device import GoldenDevice
from host.layers import Dense, build_network
from host.plan import Plan, make_plan
from host.run import prepare
from host.run_config import read_config
from host.trainer import EpochReport, Trainer
from host.training.rules import SGD
from hw.config import DeviceConfig
from sim.compare import Every, Lockstep

pytestmark = [pytest.mark.simulator, pytest.mark.toolchain, pytest.mark.long]

IRIS = Path(__file__).resolve().parents[3] / "examples" / "iris_small.toml"

BOARDS = [
    "icebreaker",
    *(
        pytest.param(name, marks=pytest.mark.demand)
        for name in ("icebreaker_spram", "ulx3s_12f", "tang_nano_9k")
    ),
]
"""One of each family and of each kind of memory; a test of one takes more than a minute."""


@pytest.fixture(scope="module", params=BOARDS)
def devices(request: pytest.FixtureRequest) -> Iterator[tuple[Device, Device]]:
    config = board(request.param).config
    with open_device(f"netlist:{request.param}", config, report=print) as device:
        # Both through all tests: what one leaves in memories, the next must find in both.
        yield GoldenDevice(config), device


def iris(config: DeviceConfig, epochs: int | None) -> Plan:
    """The example's run, of so many epochs or of all of its own."""
    run = read_config(IRIS).with_options(epochs=epochs, configuration=config.name)
    return prepare(run).plan


def digits(config: DeviceConfig) -> Plan:
    """Two samples to learn, which is what the smallest device takes in a batch, and two to test."""
    inputs, targets = data.SOURCES["digits"](0)
    split = data.prepare(inputs, targets, classes=True, scaling=16.0, test_size=0.2, seed=0)
    train, test = ((x[:2], y[:2]) for x, y in (split.train, split.test))
    network = build_network(64, [Dense(8, "relu"), Dense(10)], loss="mse", classes=True)
    rule = SGD(2**-5, momentum=0)
    return make_plan(network, rule, config, train, test, epochs=1, batch_size=2)


def compared(devices: tuple[Device, Device], plan: Plan) -> list[EpochReport]:
    """Carry a plan out on both; compare what it uses after every command, all after an epoch."""
    memory = plan.compiled.memory
    pair = Lockstep(
        *devices,
        every=Every.COMMAND,
        locate=memory.locate,
        extents=memory.extents(),
    )
    trainer = Trainer(pair, plan)
    trainer.load()
    reports = []
    for report in trainer.reports():
        reports.append(report)
        pair.check(f"epoch {report.epoch}")
    reached = f"a test accuracy of {reports[-1].test_accuracy:.4f}"
    print(f"{len(reports)} epochs, {pair.commands} commands compared, {reached}")
    # ACQUIRE, FORWARD twice, LOSS, BACKWARD, GRADIENT twice, RELEASE, LOOP: nine for a batch.
    assert pair.commands >= 9 * len(reports) * len(plan.train) / plan.batch_size
    return reports


def test_a_run_on_iris_and_a_batch_of_digits(devices: tuple[Device, Device]) -> None:
    config = devices[0].config
    compared(devices, iris(config, epochs=1))
    compared(devices, digits(config))


@pytest.mark.demand
def test_dropout_in_cells_of_an_ecp5() -> None:
    """Batches that drop, a ragged one too, and a test that scales."""
    config = board("icepi_zero").config
    x, y = data.SOURCES["iris"](0)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    layers = [Dense(9, "tanh", dropout=0.25), Dense(7, "leaky_relu", dropout=0.5), Dense(3)]
    network = build_network(4, layers, loss="cross_entropy", classes=True)
    plan = make_plan(
        network,
        SGD(2**-4),
        config,
        (x[:147:7], y[:147:7]),
        (x[::15], y[::15]),
        epochs=1,
        batch_size=8,
    )
    with open_device("netlist:icepi_zero", config, report=print) as device:
        compared((GoldenDevice(config), device), plan)


@pytest.mark.demand
def test_the_whole_run_on_iris(devices: tuple[Device, Device]) -> None:
    plan = iris(devices[0].config, epochs=None)
    reports = compared(devices, plan)
    assert len(reports) == plan.epochs
    assert reports[-1].train_loss < reports[0].train_loss / 2
