"""Searches: what a file may say, and that trials are shared, resumed and judged as it says."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from host.commands.cli import app
from host.config_tables import ConfigError
from host.devices.device import open_device
from host.run import prepare, train
from host.run_config import parse_config, read_config
from host.search.space import read_search
from host.search.trials import UNFIT, ended, objective, open_study, work, worth
from host.spiking.rules import Prototype
from tests.host.commands.test_spiking_cli import SMALL as SPIKING
from tests.host.processes import CONTEXT

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples" / "sweeps"

RUN = """
[data]
name = "iris"
scaling = "z-score"
[network]
layers = [{ units = 8, activation = "relu" }, { units = 3 }]
[training]
learning_rate = 0.0625
batch_size = 16
epochs = 3
"""
SPACE = {
    "training.learning_rate": "{ low = 0.001, high = 0.25, log = true }",
    "training.batch_size": "[8, 16]",
    "network.layers.0.units": "{ low = 4, high = 12, step = 4 }",
}


@pytest.fixture(autouse=True)
def quickly_started(monkeypatch):
    """Workers need not import what a server has; those of the tutorial's search do."""
    monkeypatch.setattr(multiprocessing, "get_context", lambda kind: CONTEXT)


def write(folder, space=SPACE, tables=RUN, **keys):
    (folder / "run.toml").write_text(tables)
    keys = {"run": '"run.toml"', **keys}
    lines = [f"{key} = {value}" for key, value in keys.items()]
    lines += ["[space]", *(f'"{key}" = {value}' for key, value in space.items())]
    path = folder / "search.toml"
    path.write_text("\n".join(lines))
    return path


def search(path, out, *options):
    return CliRunner().invoke(app, ["sweep", str(path), "--out", str(out), *map(str, options)])


def worked(path, out, **changes):
    """The study of a search after a worker has done what there is to do, in this process."""
    searched = read_search(path).model_copy(update=changes)
    work(searched, out, "golden", worker=0)
    return open_study(searched, out)


def test_a_search_ends_with_a_run_that_can_be_trained(tmp_path):
    path, out = write(tmp_path, trials=4, pruning="false"), tmp_path / "out"
    result = search(path, out)
    assert result.exit_code == 0, result.output
    study = open_study(read_search(path), out)
    assert [trial.number for trial in ended(study)] == [0, 1, 2, 3]
    own = {"training.learning_rate": 0.0625, "training.batch_size": 16, "network.layers.0.units": 8}
    assert study.trials[0].params == own
    assert study.best_value >= study.trials[0].value
    assert f"best: trial {study.best_trial.number} " in result.output
    best = read_config(out / "best.toml")
    assert best.training.learning_rate == study.best_params["training.learning_rate"]
    assert best.training.validation == 0.2
    assert (out / "search.png").read_bytes().startswith(b"\x89PNG")


def test_a_search_goes_on_where_it_ended(tmp_path):
    path, out = write(tmp_path, method='"random"'), tmp_path / "out"
    first = [trial.params for trial in worked(path, out, trials=2).trials]
    assert len(first) == 2
    again = [trial.params for trial in worked(path, out, trials=3).trials]
    assert again[:2] == first
    assert len(again) == 3


def test_a_grid_is_walked_once(tmp_path):
    space = {"training.batch_size": "[8, 16]", "network.layers.0.units": "{ low = 4, high = 6 }"}
    path = write(tmp_path, space, method='"grid"', pruning="false")
    points = [tuple(trial.params.values()) for trial in worked(path, tmp_path / "out").trials]
    assert sorted(points) == [(batch, units) for batch in (8, 16) for units in (4, 5, 6)]


def test_killed_workers_are_made_good(tmp_path):
    path, out = write(tmp_path, trials=6, pruning="false"), tmp_path / "out"
    study = open_study(read_search(path), out)
    command = [sys.executable, "-m", "host.commands.cli", "sweep", path, "--out", out]
    command += ["--workers", "2"]
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True) as running:
        while len(ended(study)) < 2:
            assert running.poll() is None
            time.sleep(0.1)
        os.killpg(running.pid, signal.SIGKILL)
    assert running.returncode == -signal.SIGKILL and len(ended(study)) < 6
    result = search(path, out, "--workers", 2)
    assert result.exit_code == 0, result.output
    assert len(ended(open_study(read_search(path), out))) == 6


@pytest.mark.filterwarnings("ignore:Heartbeat of storage:UserWarning")
def test_a_trial_whose_worker_died_before_it_began_is_made_good(tmp_path):
    path, out = write(tmp_path, trials=2), tmp_path / "out"
    study = open_study(read_search(path), out)
    queued = study.ask().params
    study = worked(path, out)
    assert [trial.state.name for trial in study.trials] == ["FAIL", "COMPLETE", "COMPLETE"]
    assert queued == {} and study.trials[1].params["training.learning_rate"] == 0.0625


@pytest.mark.timeout(60)
@pytest.mark.filterwarnings("ignore:Heartbeat of storage:UserWarning")
def test_a_trial_whose_worker_died_as_it_began_is_made_good(tmp_path, monkeypatch):
    """Optuna's thread has not shown a sign of life yet when the worker dies."""
    monkeypatch.setattr("host.search.trials.HEARTBEAT", 1)
    monkeypatch.setattr("host.search.trials.GRACE", 1)
    path, out = write(tmp_path, trials=2), tmp_path / "out"
    searched = read_search(path)

    def die():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        objective(searched, "golden", begun=die)(open_study(searched, out).ask())
    study = worked(path, out)
    assert [trial.state.name for trial in study.trials] == ["FAIL", "COMPLETE", "COMPLETE"]


def test_values_that_make_no_run_are_told_and_passed_over(tmp_path):
    space = {"network.layers.0.units": "[8, 4000]"}
    study = worked(write(tmp_path, space, method='"grid"'), tmp_path / "out")
    assert sorted(UNFIT in trial.user_attrs for trial in ended(study)) == [False, True]
    only = write(tmp_path, {"network.layers.0.units": "[4000]"}, method='"grid"')
    result = search(only, tmp_path / "other")
    assert result.exit_code == 2
    assert "no trial has a value: network needs" in result.output


def test_what_a_trial_is_worth():
    curve = {"val_loss": [4.0, 1.0, 3.0, 5.0]}
    assert worth(curve, "val_loss", 2) == 4
    assert worth({**curve, "best_epoch": 2}, "val_loss", 2) == 1
    rare = {"val_accuracy": [None, 0.25, None, None, 0.75, 0.5]}
    assert worth(rare, "val_accuracy", 1) == 0.5 and worth(rare, "val_accuracy", 3) == 0.5
    assert worth({**rare, "best_epoch": 5}, "val_accuracy", 3) == 0.75


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"space": {}}, "space"),
        ({"space": {"training.rate": "[1]"}}, "unknown key 'training.rate'"),
        ({"space": {"training.batch_size": "[0]"}}, "batch_size"),
        ({"space": {"training.batch_size": "[]"}}, "batch_size"),
        ({"space": {"network.layers.5.units": "[4]"}}, "an entry 5 that the run does not have"),
        ({"space": {"network.layers.0": "[4]"}}, "must name a key of a table"),
        ({"space": {"training.momentum": "{ low = 1, high = 0 }"}}, "low must be below high"),
        ({"space": {"training.momentum": "{ low = 0, high = inf }"}}, "both finite"),
        ({"space": {"training.momentum": "{ low = 0, high = 1, log = true }"}}, "log must be"),
        ({"space": {"training.momentum": "{ low = 0, high = 0.5, step = 0 }"}}, "step must be"),
        (
            {"space": {"training.momentum": "{ low = 0, high = 0.5 }"}, "method": '"grid"'},
            "must be a list or have a step",
        ),
        (
            {"space": {"training.batch_size": "{ low = 1, high = 2000 }"}, "method": '"grid"'},
            "at most 1,000 points, not 2,000",
        ),
        ({"trials": 0}, "trials"),
        ({"monitor": '"test_accuracy"'}, "monitor"),
        ({"methods": '"grid"'}, "did you mean 'method'"),
        ({"run": '"none.toml"'}, "none.toml does not exist"),
        ({"run": '"search.toml"'}, "search.toml"),
    ],
)
def test_wrong_files_are_refused(tmp_path, change, message):
    path = write(tmp_path, **change)
    with pytest.raises(ConfigError, match=message):
        read_search(path)


def test_a_spiking_run_is_searched(tmp_path):
    """The first trial is the run itself, judged by its last epoch, as labels move with weights."""
    space = {"training.prototype.learning_rate": "{ low = 0.05, high = 0.4 }"}
    study = worked(write(tmp_path, space, SPIKING, trials=2), tmp_path / "out")
    own, other = study.trials
    assert own.params == {"training.prototype.learning_rate": Prototype().learning_rate}
    run = tomllib.loads(SPIKING)
    run["training"]["validation"] = 0.2
    for trial in (own, other):
        run["training"]["prototype"] = {"learning_rate": trial.params.popitem()[1]}
        experiment = prepare(parse_config(run))
        with open_device("golden", experiment.device_config) as device:
            reports = train(experiment, device).epochs
        assert trial.value == reports[-1].val_accuracy
        assert list(trial.intermediate_values.values()) == [r.val_accuracy for r in reports]


def test_epochs_that_were_not_evaluated_do_not_count(tmp_path):
    rare = SPIKING.replace("epochs = 2", "epochs = 3\nevaluate_every = 2")
    space = {"spiking.neurons.count": "[8, 12]"}
    study = worked(write(tmp_path, space, rare, method='"grid"'), tmp_path / "out")
    assert [sorted(trial.intermediate_values) for trial in study.trials] == [[2, 3], [2, 3]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"monitor": '"val_loss"'}, "monitor must be 'val_accuracy'"),
        ({"space": {"training.stdp.learning_rate": "[0.1]"}}, "stdp must be left out where"),
        ({"space": {"training.batch_size": "[8]"}}, "unknown key 'training.batch_size'"),
        ({"space": {"spiking.granules.cells": "[0]"}}, "cells must be"),
    ],
)
def test_what_a_spiking_run_does_not_have_is_refused(tmp_path, change, message):
    path = write(tmp_path, **{"space": {"spiking.neurons.count": "[8]"}, **change}, tables=SPIKING)
    with pytest.raises(ConfigError, match=message):
        read_search(path)


def test_a_table_that_the_run_leaves_out_can_be_searched(tmp_path):
    """The first trial cannot be the run as it is, so its values are drawn as those of others."""
    space = {"training.early_stopping.patience": "[1, 2]"}
    study = worked(write(tmp_path, space, trials=1), tmp_path / "out")
    assert study.trials[0].params["training.early_stopping.patience"] in (1, 2)
    assert 0.3 < study.best_value <= 1


def test_another_search_is_not_gone_on_with(tmp_path):
    path, out = write(tmp_path, trials=1), tmp_path / "out"
    worked(path, out)
    result = search(write(tmp_path, trials=1, seed=3), out)
    assert result.exit_code == 2
    assert "holds a search with another seed" in result.output
    assert tomllib.loads(path.read_text())["seed"] == 3


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_examples_can_be_searched(path):
    assert read_search(path).base.training.validation == 0.2
