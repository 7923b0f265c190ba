"""Streaming in a steady state: nothing is left behind by a batch."""

import itertools
import tracemalloc

import numpy as np
import pytest

from host.checkpoints.continued import ContinuedDevice
from host.devices.device import Device, open_device
from host.monitoring.monitored import MonitoredDevice
from host.program import Mode
from host.streaming import run_batches
from host.trainer import Trainer
from tests.host.devices.test_serial_device import CONFIG, iris_plan


def watched(device: Device) -> Device:
    """As a run in its folder watches a device."""
    return MonitoredDevice(
        ContinuedDevice(device), every=2, batches=1000, note=lambda batch, counts: None
    )


@pytest.mark.simulator
@pytest.mark.parametrize("watch", [False, True])
def test_a_batch_leaves_nothing_allocated(watch: bool) -> None:
    plan = iris_plan()
    with open_device("sim", CONFIG) as opened:
        device = watched(opened) if watch else opened
        trainer = Trainer(device, plan)
        trainer.load()
        samples = trainer._begin_epoch()
        # Of a size that does not change: what is noted is not to be counted.
        held = np.zeros(-(-len(samples) // plan.batch_size), np.int64)
        stream, batch = device.stream, itertools.count()

        def noted(data: memoryview) -> None:
            stream(data)
            held[next(batch)] = tracemalloc.get_traced_memory()[0]

        device.stream = noted  # type: ignore[method-assign]
        tracemalloc.start()
        run_batches(device, plan.compiled, Mode.TRAIN, samples, plan.batch_size)
        tracemalloc.stop()
    print(held)
    # The last batch may be a ragged one, with a run of its own.
    steady = held[3:-1]
    if watch:
        # A reading of the counters stays until the next one, and its numbers grow by a digit now
        # and then: what a batch left behind would be as much again for each of them.
        steady = steady[1::2]
        assert len(steady) > 4 and np.ptp(steady) < 200
        return
    assert len(steady) > 10 and not np.ptp(steady)
