"""What stands in a run's folder: configuration, results, checkpoints; who may have the folder."""

import json
import math
import os
import tomllib
from pathlib import Path

import numpy as np
import pytest

from host.monitoring.metrics_file import read_metrics
from host.monitoring.status import RunState, StatusFile, read_status
from host.run_config import read_config
from host.run_tables import CheckpointTable, MonitoringTable
from host.spiking.validation import RANGES
from tests.host.commands.test_cli import SMALL, call, words

DENSE = SMALL + "[checkpoints]\nevery = 2\n[monitoring]\nbatches = 3\n"


def configured(tmp_path, text):
    path = tmp_path / "small.toml"
    path.write_text(text)
    return path


@pytest.fixture
def small(tmp_path):
    return configured(tmp_path, DENSE)


def trained(small, folder, *options):
    result = call("train", small, "--device", "golden", "--out", folder, *options)
    assert result.exit_code == 0, result.output
    return result


def interrupted(small, folder, monkeypatch, epoch=2, *options):
    """A run that Ctrl-C ends behind an epoch."""
    import signal

    def interrupt(display, report):
        if report.epoch == epoch:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr("host.commands.display.TrainingDisplay.epoch", interrupt)
        options = ("--device", "golden", "--out", folder, *options)
        assert call("train", small, *options).exit_code == 130


def result_of(folder):
    values = json.loads((folder / "result.json").read_text())
    values.pop("seconds")
    return values


def test_a_watched_run_computes_the_same(small, tmp_path):
    trained(small, tmp_path / "watched", "--tensorboard")
    small.write_text(SMALL)
    trained(small, tmp_path / "plain")
    with np.load(tmp_path / "watched" / "weights.npz") as own:
        with np.load(tmp_path / "plain" / "weights.npz") as other:
            assert all(np.array_equal(own[name], other[name]) for name in other.files)


def test_a_clipped_run_tells_norms_and_goes_on_with_the_same_bits(small, tmp_path, monkeypatch):
    """Of three batches an update, of which an epoch's last one has fewer."""
    text = SMALL.replace("[training]", "[training]\naccumulate_batches = 3\nclip_norm = 0.25")
    small.write_text(text + '[device]\nconfiguration = "ecp5-8x8-full"\n')
    said = trained(small, tmp_path / "run").output
    values = result_of(tmp_path / "run")
    epochs = values["epochs"]
    assert 0 < values["clipped_updates"] <= values["updates"] and values["updates"] % epochs == 0
    assert f"{values['clipped_updates']} of {values['updates']} updates" in said
    assert "3 an update" in said
    metrics = read_metrics(tmp_path / "run" / "metrics.jsonl")
    events = [event for event in metrics if event["event"] == "epoch"]
    assert [event["gradient_norm"] for event in events] == values["gradient_norm"]
    assert sum(event["clipped"] for event in events) == values["clipped_updates"]
    assert min(values["gradient_norm"]) > 0
    interrupted(small, tmp_path / "stopped", monkeypatch)
    trained(small, tmp_path / "stopped", "--resume")
    assert result_of(tmp_path / "stopped") == values


def test_the_folder_s_configuration_trains_the_same_again(small, tmp_path):
    folder = tmp_path / "run"
    trained(small, folder, "--seed", 3, "--epochs", 3)
    config = read_config(folder / "config.toml")
    assert config.training.seed == 3 and config.training.epochs == 3
    trained(folder / "config.toml", tmp_path / "again")
    first, second = result_of(folder), result_of(tmp_path / "again")
    first.pop("config"), second.pop("config")
    assert first == second
    trained(folder / "config.toml", folder)
    assert result_of(folder)["train_loss"] == first["train_loss"]


def test_a_file_of_data_is_found_from_the_folder(tmp_path):
    rows = "".join(f"{k % 3 + k / 100},{k % 2},{k % 3}\n" for k in range(60))
    (tmp_path / "d.csv").write_text(rows)
    path = tmp_path / "c.toml"
    path.write_text(SMALL.replace('name = "iris"\nscaling = "z-score"', 'file = "d.csv"'))
    trained(path, tmp_path / "run")
    assert read_config(tmp_path / "run" / "config.toml").data.file == tmp_path / "d.csv"


def test_the_page_tells_the_usual_tables_and_every_range():
    page = (Path(__file__).resolve().parents[2] / "docs" / "runs.md").read_text()
    told = {}
    for block in page.split("```toml")[1:]:
        told |= tomllib.loads(block.partition("```")[0])
    assert told["checkpoints"] == CheckpointTable().model_dump()
    assert told["monitoring"] == MonitoringTable().model_dump()
    for usual in RANGES.values():
        high = "on" if usual.high == math.inf else f"{usual.high:g}"
        span = f"from {usual.low:g} on" if high == "on" else f"{usual.low:g} to {high}"
        assert f"| {usual.name} | {span} |" in page


def test_a_folder_where_a_run_goes_on_is_left_alone(small, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    StatusFile(folder, {}).write(RunState.RUNNING, {"epoch": 1})
    for option in ((), ("--resume",), ("--overwrite",)):
        result = call("train", small, "--device", "golden", "--out", folder, *option)
        assert result.exit_code == 2 and "one goes on there" in words(result)
    assert os.listdir(folder) == ["status.json"]


# Going on


def test_an_interrupted_run_goes_on(small, tmp_path, monkeypatch):
    trained(small, tmp_path / "whole")
    folder = tmp_path / "run"
    interrupted(small, folder, monkeypatch)
    assert read_status(folder)["state"] == RunState.INTERRUPTED
    result = trained(small, folder, "--resume")
    assert "goes on behind epoch 2" in words(result)
    assert result_of(folder) == result_of(tmp_path / "whole")
    epochs = [e for e in read_metrics(folder / "metrics.jsonl") if e["event"] == "epoch"]
    assert [event["epoch"] for event in epochs] == [1, 2, 3, 4]
    assert read_status(folder)["state"] == RunState.FINISHED


def test_a_resumed_run_verifies(small, tmp_path, monkeypatch):
    import host.commands.cli
    from host.devices.device import open_device

    monkeypatch.setattr(
        host.commands.cli, "open_device", lambda spec, config, report: open_device("golden", config)
    )
    folder = tmp_path / "run"
    interrupted(small, folder, monkeypatch)
    result = call(
        "train", small, "--device", "golden", "--out", folder, "--resume", "--verify"
    )
    assert result.exit_code == 0 and "identical in all" in words(result)


def test_a_run_that_has_not_ended_is_not_lost(small, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    interrupted(small, folder, monkeypatch)
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    result = call("train", small, "--device", "golden", "--out", folder)
    assert result.exit_code == 2
    assert "a run that has not ended, 2 epochs in: --resume goes on with it" in words(result)
    after = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert before == after
    trained(small, folder, "--overwrite")
    metrics = read_metrics(folder / "metrics.jsonl")
    assert len([e for e in metrics if e["event"] == "epoch"]) == 4
    assert not [e for e in metrics if e["event"] == "resumed"]
    # One that has ended may be replaced.
    trained(small, folder)


def test_another_run_is_refused_with_its_differences(small, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    interrupted(small, folder, monkeypatch)
    before = (folder / "config.toml").read_text()
    options = ("--device", "golden", "--out", folder, "--resume", "--seed", 5)
    result = call("train", small, *options)
    assert result.exit_code == 2 and "seed is 0 there, 5 here" in words(result)
    assert (folder / "config.toml").read_text() == before


def test_a_run_goes_on_from_its_own_configuration(small, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    interrupted(small, folder, monkeypatch, 2, "--seed", 3)
    trained(folder / "config.toml", folder, "--resume")
    assert len(result_of(folder)["train_loss"]) == 4


def test_resume_without_a_checkpoint_begins(small, tmp_path):
    result = trained(small, tmp_path / "run", "--resume")
    assert "has no checkpoint to go on with: the run begins anew" in words(result)
    assert len(result_of(tmp_path / "run")["train_loss"]) == 4


def test_resume_of_a_finished_run_gives_its_results_again(small, tmp_path):
    folder = tmp_path / "run"
    trained(small, folder)
    before = result_of(folder)
    (folder / "result.json").unlink()
    trained(small, folder, "--resume")
    assert result_of(folder) == before


def test_a_damaged_checkpoint_is_named_and_the_one_before_used(small, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    interrupted(small, folder, monkeypatch, 3)
    *_, last = sorted((folder / "checkpoints").iterdir())
    last.write_bytes(last.read_bytes()[:100])
    result = trained(small, folder, "--resume")
    assert f"left out: {last} is damaged" in words(result).replace("\n", "")
    assert len(result_of(folder)["train_loss"]) == 4


def test_both_options_together_are_refused(small, tmp_path):
    options = ("--device", "golden", "--out", tmp_path / "run", "--resume", "--overwrite")
    result = call("train", small, *options)
    assert result.exit_code == 2 and "must not stand together" in words(result)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("[checkpoints]\nkeep = 1\n", "checkpoints.keep should be greater than or equal to 2"),
        ("[checkpoints]\nevery = 0\n", "checkpoints.every should be greater"),
        ("[checkpoints]\nseconds = -1\n", "checkpoints.seconds should be greater"),
        ("[checkpoints]\nevry = 1\n", "unknown key 'checkpoints.evry'; did you mean 'every'?"),
        ("[monitoring]\nbatches = 0\n", "monitoring.batches should be greater"),
    ],
)
def test_bad_tables_change_nothing(small, tmp_path, table, message):
    small.write_text(SMALL + table)
    result = call("train", small, "--device", "golden", "--out", tmp_path / "run")
    assert result.exit_code == 2 and message in words(result)
    assert not (tmp_path / "run").exists()
