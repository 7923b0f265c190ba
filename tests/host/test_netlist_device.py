"""The synthesized netlist of a board is golden's equal, in every word after every command."""

from collections.abc import Iterator

import pytest

from boards.board import board
from host import data
from host.device import Device, open_device
from host.golden_device import GoldenDevice
from host.layers import Dense, build_network
from host.rules import SGD
from host.trainer import Trainer, make_plan
from sim.compare import Every, Lockstep

pytestmark = [pytest.mark.simulator, pytest.mark.toolchain, pytest.mark.long]


BOARDS = [
    "icebreaker",
    *(pytest.param(name, marks=pytest.mark.demand) for name in ("ulx3s_12f", "tang_nano_9k")),
]
"""One of each family; a test of one takes more than a minute."""


@pytest.fixture(scope="module", params=BOARDS)
def devices(request: pytest.FixtureRequest) -> Iterator[tuple[Device, Device]]:
    config = board(request.param).config
    with open_device(f"netlist:{request.param}", config, report=print) as device:
        # Both through all tests: what one leaves in memories, the next must find in both.
        yield GoldenDevice(config), device


def compared(
    devices: tuple[Device, Device], name: str, *, batch_size: int, batches: int | None
) -> None:
    """Train two epochs of a data set, or `batches` alone, and compare after every command."""
    inputs, targets = data.SOURCES[name](0)
    divisor: float | str = 16.0 if name == "digits" else "z-score"
    split = data.prepare(
        inputs, targets, classes=True, scaling=divisor, test_size=0.2, seed=0
    )
    (x, y), test = split.train, split.test
    if batches is not None:
        x, y = x[: batches * batch_size], y[: batches * batch_size]
        test = (test[0][:batch_size], test[1][:batch_size])
    layers = [Dense(8, "relu"), Dense(int(targets.max()) + 1)]
    network = build_network(x.shape[1], layers, loss="mse", classes=True)
    plan = make_plan(
        network,
        SGD(2**-5, momentum=0),
        devices[0].config,
        (x, y),
        test,
        epochs=1 if batches else 2,
        batch_size=batch_size,
        seed=0,
    )
    memory = plan.compiled.memory
    pair = Lockstep(
        *devices,
        every=Every.COMMAND,
        locate=memory.locate,
        extents=memory.extents(),
    )
    trainer = Trainer(pair, plan)
    trainer.load()
    accuracies = [report.test_accuracy for report in trainer.reports()]
    pair.check("the whole run")
    print(f"{name}: {pair.commands} commands, accuracies {accuracies}")
    assert pair.commands > 10


def test_a_run_on_iris_and_a_batch_of_digits(devices: tuple[Device, Device]) -> None:
    compared(devices, "iris", batch_size=8, batches=None)
    compared(devices, "digits", batch_size=2, batches=1)
