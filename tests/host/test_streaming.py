"""Streaming in a steady state: nothing is left behind by a batch."""

import itertools
import tracemalloc

import numpy as np
import pytest

from host.device import open_device
from host.program import Mode
from host.streaming import run_batches
from host.trainer import Trainer
from tests.host.test_serial_device import CONFIG, iris_plan


@pytest.mark.simulator
def test_a_batch_leaves_nothing_allocated() -> None:
    plan = iris_plan()
    with open_device("sim", CONFIG) as device:
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
    assert len(steady) > 10 and not np.ptp(steady)
