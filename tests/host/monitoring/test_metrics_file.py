"""The metrics file: what a run wrote of its epochs and batches, readable while it is written."""

import time

import numpy as np

from host.monitoring.metrics_file import MetricsFile, read_metrics
from tests.host.test_run_folder import DENSE, configured, result_of, trained


def test_metrics_tell_every_epoch_and_every_few_batches(tmp_path):
    trained(configured(tmp_path, DENSE), tmp_path / "run")
    values = result_of(tmp_path / "run")
    metrics = read_metrics(tmp_path / "run" / "metrics.jsonl")
    epochs = [event for event in metrics if event["event"] == "epoch"]
    assert [event["epoch"] for event in epochs] == [1, 2, 3, 4]
    assert [event["train_loss"] for event in epochs] == values["train_loss"]
    assert [event["test_accuracy"] for event in epochs] == values["test_accuracy_per_epoch"]
    assert metrics[0]["event"] == "start" and metrics[0]["training_batches"] == 8
    assert metrics[-1] == {**metrics[-1], "event": "end", "state": "finished"}
    batches = [(e["epoch"], e["batch"]) for e in metrics if e["event"] == "batches"]
    assert batches == [(epoch, batch) for epoch in (1, 2, 3, 4) for batch in (3, 6)]
    for event in metrics:
        if event["event"] == "batches":
            assert event["loss"] > 0 and 0 <= event["accuracy"] <= 1
    with np.load(tmp_path / "run" / "weights.npz") as held:
        least = held["layer_1"].min() / 2**12
    (last,) = [e for e in metrics if e["event"] == "weights" and e["epoch"] == 4]
    assert last["quantiles"]["layer_1"][0] == least


def test_what_a_killed_run_left_of_a_line_is_skipped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    metrics = MetricsFile(path)
    metrics.write("start", {"epochs": 3, "none": None})
    metrics.write("epoch", {"epoch": 1})
    metrics.write("epoch", {"epoch": 2})
    with open(path, "ab") as file:
        file.write(b'{"event": "epo')
    assert [event["event"] for event in read_metrics(path)] == ["start", "epoch", "epoch"]
    again = MetricsFile(path)
    again.write("resumed", {"epoch": 1})
    again.write("epoch", {"epoch": 2, "new": 1})
    events = read_metrics(path)
    assert [e.get("epoch") for e in events if e["event"] == "epoch"] == [1, 2]
    assert events[-1]["new"] == 1 and "none" not in events[0]
    assert read_metrics(tmp_path / "none.jsonl") == []


def test_a_line_can_be_read_as_soon_as_it_is_written(tmp_path):
    path = tmp_path / "metrics.jsonl"
    metrics = MetricsFile(path)
    for epoch in range(3):
        metrics.write("epoch", {"epoch": epoch, "time": time.time()})
        assert len(read_metrics(path)) == epoch + 1
