"""A run that goes on ends with the same bits, and no failure costs the last good checkpoint."""

import json
import resource
from pathlib import Path

import numpy as np
import pytest

from host.checkpoints import file, store
from host.checkpoints.continued import ContinuedDevice, total
from host.checkpoints.device_state import merged
from host.checkpoints.document import build, join, split
from host.checkpoints.file import CheckpointError
from host.checkpoints.keeper import Keeper
from host.devices.device import open_device
from host.run import prepare, train
from host.run_config import parse_config
from host.statistics import Counts
from host.trainer import EpochReport
from hw.isa import COUNTER_WORDS, COUNTERS, Region
from sim.compare import differing_words, read_state
from tests.host.checkpoints.run_to_kill import DENSE, SPIKING, assert_killed_runs_end_alike
from tests.host.commands.test_cli import call, words

CLIMBING = """
[data]
name = "generated"
samples = 61
[spiking]
rule = "climbing_fibre"
[spiking.granules]
cells = 60
[training]
epochs = 4
[training.climbing_fibre]
margin = 1
[device]
configuration = "ecp5-8-spiking"
"""


class Killed(Exception):  # noqa: N818 - no error of ours
    """Ends a run at once."""


def experiment_of(text, **options):
    import tomllib

    return prepare(parse_config(tomllib.loads(text)).with_options(**options))


def carried_out(experiment, folder, *, end=None, resume=False, kind="golden"):
    """The state and outcome of a run with checkpoints; None where it ends behind epoch `end`."""
    with open_device(kind, experiment.device_config) as opened:
        device = ContinuedDevice(opened)
        with Keeper(folder, experiment, experiment.config.checkpoints.cadence()) as keeper:
            document, wrong = keeper.find(device) if resume else (None, [])

            def begin(trainer, outcome):
                if document is not None:
                    keeper.resume(document, trainer, device, outcome)

            def after(trainer, outcome):
                keeper.after_epoch(trainer, device, outcome)
                if outcome.epochs[-1].epoch == end:
                    keeper.wait()
                    raise Killed

            try:
                outcome = train(experiment, device, begin=begin, after=after)
            except Killed:
                return None
        return read_state(device), outcome, wrong


def plain(experiment, outcome):
    values = experiment.results(outcome)
    values.pop("seconds")
    return values


STEERED = (
    DENSE.replace("keep = 3", "keep = 3\n[training.schedule]\nkind = \"plateau\"\npatience = 1")
    .replace("epochs = 12", "epochs = 12\nvalidation = 0.25")
    .replace("[checkpoints]", "[training.early_stopping]\npatience = 2\n[checkpoints]")
)
BY_BATCH = DENSE + "[training.schedule]\nkind = \"one_cycle\"\n"
DROPPING = DENSE.replace('"relu"', '"relu", dropout = 0.25')
STOPPED = (
    CLIMBING.replace("epochs = 4", "epochs = 4\nvalidation = 0.25")
    + "[training.early_stopping]\npatience = 1\nmonitor = \"val_accuracy\"\n"
    + "[checkpoints]\nevery = 1\n"
)
AUGMENTED = """
[data]
name = "digits"
scaling = 16
test_size = 0.9
one_hot = true
[data.augmentation]
shift = 1
mixup = 0.2
[network]
layers = [{ units = 4, activation = "relu" }, { units = 10 }]
loss = "mse"
targets = "values"
[training]
validation = 0.2
"""


@pytest.mark.parametrize("text", [DENSE, SPIKING, STEERED, BY_BATCH, STOPPED, AUGMENTED, DROPPING])
def test_goes_on_behind_every_epoch(text, tmp_path):
    experiment = experiment_of(text, epochs=None if text is STEERED else 4)
    with open_device("golden", experiment.device_config) as device:
        outcome = train(experiment, device)
        expected, results = read_state(device), plain(experiment, outcome)
    epochs = len(outcome.epochs)
    assert epochs >= 2
    for end in range(1, min(4, epochs) + 1):
        folder = tmp_path / str(end)
        assert carried_out(experiment, folder, end=end) is None
        state, resumed, _ = carried_out(experiment, folder, resume=True)
        assert not list(differing_words(expected, state))
        assert plain(experiment, resumed) == results
        for name, own in outcome.weights.items():
            assert np.array_equal(resumed.weights[name], own)


def test_stored_samples_are_gone_on_with_and_known_by_their_values(tmp_path):
    x = np.random.default_rng(1).uniform(-1, 1, (60, 3))
    values = {
        "data": {"file": str(tmp_path / "d.csv"), "scaling": "none", "memory": 0.001},
        "network": {"layers": [{"units": 4, "activation": "tanh"}, {"units": 2}]},
        "training": {"epochs": 3, "validation": 0.25},
    }

    def experiment(inputs):
        np.savetxt(tmp_path / "d.csv", np.c_[inputs, inputs[:, 0] > 0], delimiter=",")
        return prepare(parse_config(values))

    first = experiment(x)
    assert first.dataset.stored
    with open_device("golden", first.device_config) as device:
        expected = train(first, device).weights
    assert carried_out(first, tmp_path / "run", end=2) is None
    _, resumed, _ = carried_out(first, tmp_path / "run", resume=True)
    for name, own in expected.items():
        assert np.array_equal(resumed.weights[name], own)
    x[7, 1] += 0.25
    assert experiment(x).samples_digest() != first.samples_digest()


@pytest.mark.parametrize("trials", [4, pytest.param(10, marks=pytest.mark.demand)])
def test_killed_runs_end_alike_on_golden(tmp_path, trials):
    assert_killed_runs_end_alike(DENSE, "golden", tmp_path, trials)


def test_killed_spiking_runs_end_alike(tmp_path):
    assert_killed_runs_end_alike(SPIKING, "golden", tmp_path, 2)


@pytest.mark.simulator
@pytest.mark.parametrize("trials", [2, pytest.param(10, marks=pytest.mark.demand)])
def test_killed_runs_end_alike_on_the_gateware(tmp_path, trials):
    assert_killed_runs_end_alike(DENSE, "sim", tmp_path, trials)


@pytest.mark.simulator
@pytest.mark.demand
def test_killed_spiking_runs_end_alike_on_the_gateware(tmp_path):
    assert_killed_runs_end_alike(SPIKING, "sim", tmp_path, 3)


# What is kept


def test_keeps_the_latest_and_the_best(tmp_path):
    kept = store.Store(tmp_path, keep=3)
    for epoch, score in enumerate([0.1, 0.9, 0.2, 0.9, 0.3, 0.4], start=1):
        kept.write(epoch, score, {})
    assert [epoch for epoch, _ in store.paths(tmp_path)] == [6, 5, 2]
    assert kept.best.epoch == 2 and len(list(tmp_path.iterdir())) == 3
    unscored = store.Store(tmp_path / "other", keep=2)
    for epoch in (1, 2, 3):
        unscored.write(epoch, None, {})
    assert [epoch for epoch, _ in store.paths(tmp_path / "other")] == [3, 2]
    assert unscored.best is None


def test_a_resumed_run_knows_the_best_one(tmp_path):
    experiment = experiment_of(DENSE)
    carried_out(experiment, tmp_path, end=5)
    scores = {e: d["score"] for e, d in ((d["epoch"], d) for _, d in store.documents(
        tmp_path / "checkpoints"))}  # fmt: skip
    best = max(scores, key=lambda epoch: (scores[epoch], -epoch))
    carried_out(experiment, tmp_path, resume=True)
    there = [epoch for epoch, _ in store.paths(tmp_path / "checkpoints")]
    curve = [r.test_accuracy for r in carried_out(experiment, tmp_path, resume=True)[1].epochs]
    assert len(there) == 3 and there[:2] == [12, 11]
    assert there[2] == 1 + int(np.argmax(curve)) or curve[best - 1] < max(curve)


def test_checkpoints_come_when_they_are_due(tmp_path):
    experiment = experiment_of(DENSE.replace("every = 1\nkeep = 3", "every = 5\nkeep = 10"))
    _, outcome, _ = carried_out(experiment, tmp_path)
    curve = [report.test_accuracy for report in outcome.epochs]
    better = {e for e in range(1, 13) if curve[e - 1] > max([-1.0, *curve[: e - 1]])}
    assert {epoch for epoch, _ in store.paths(tmp_path / "checkpoints")} == better | {5, 10, 12}


def test_a_checkpoint_comes_when_much_time_has_passed(tmp_path):
    text = DENSE.replace("every = 1\nkeep = 3", "every = 100\nseconds = 1e-9\nkeep = 20")
    carried_out(experiment_of(text), tmp_path)
    assert len(store.paths(tmp_path / "checkpoints")) == 12


# What cannot be used


def damage(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    match how:
        case "truncated":
            data = data[: len(data) // 2]
        case "empty":
            data = bytearray()
        case "flipped":
            data[-3] ^= 1
        case "header":
            data[60] ^= 1
        case "foreign":
            data = bytearray(b"PK\x03\x04" + bytes(500))
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["truncated", "empty", "flipped", "header", "foreign"])
def test_a_damaged_one_is_named_and_the_one_before_it_used(tmp_path, how):
    experiment = experiment_of(DENSE)
    carried_out(experiment, tmp_path, end=4)
    whole, outcome, _ = carried_out(experiment, tmp_path / "whole")
    damage(tmp_path / "checkpoints" / "epoch-000004.safetensors", how)
    state, resumed, wrong = carried_out(experiment, tmp_path, resume=True)
    assert len(wrong) == 1 and "epoch-000004.safetensors" in wrong[0], wrong
    assert "Traceback" not in wrong[0]
    assert not list(differing_words(whole, state))
    assert plain(experiment, resumed) == plain(experiment, outcome)


def test_another_library_s_file_is_no_checkpoint(tmp_path):
    from safetensors.numpy import save_file

    save_file({"weight": np.zeros(3)}, tmp_path / "weights.safetensors")
    with pytest.raises(CheckpointError, match="safetensors file, but no checkpoint"):
        file.read(tmp_path / "weights.safetensors")
    later = file.encode({}).replace(b'\\"format\\": 1', b'\\"format\\": 2')
    (tmp_path / "later").write_bytes(later)
    with pytest.raises(CheckpointError, match="checksum"):
        file.read(tmp_path / "later")
    with pytest.raises(CheckpointError, match="does not exist"):
        file.read(tmp_path / "none")


@pytest.mark.parametrize(
    ("options", "change", "message"),
    [
        ({"seed": 1}, None, "seed is 0 there, 1 here"),
        ({"epochs": 13}, None, "epochs is 12 there, 13 here"),
        ({"configuration": "ecp5-16x8"}, None, "configuration is 'ecp5-8x8' there, 'ecp5-16x8'"),
        ({}, ("momentum = 0.9", "momentum = 0.8"), "config.training.momentum is 0.9 there, 0.8"),
        ({}, ("units = 4,", "units = 5,"), "config.network.layers is"),
    ],
)
def test_one_of_another_run_is_refused(tmp_path, options, change, message):
    carried_out(experiment_of(DENSE), tmp_path, end=2)
    before = [path.read_bytes() for _, path in store.paths(tmp_path / "checkpoints")]
    with pytest.raises(CheckpointError, match="is of another run") as caught:
        carried_out(experiment_of(DENSE.replace(*change or ("", "")), **options), tmp_path,
                    resume=True)  # fmt: skip
    assert message in str(caught.value) and "--overwrite" in str(caught.value)
    assert before == [path.read_bytes() for _, path in store.paths(tmp_path / "checkpoints")]


def test_rhythm_and_metrics_may_change(tmp_path):
    carried_out(experiment_of(DENSE), tmp_path, end=2)
    changed = DENSE.replace("keep = 3", "keep = 4") + "[monitoring]\nbatches = 3\n"
    assert len(carried_out(experiment_of(changed), tmp_path, resume=True)[1].epochs) == 12


# What cannot be written


@pytest.fixture
def small_files():
    """Makes files that grow beyond so many bytes fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_the_last_one_whole(tmp_path, small_files):
    experiment = experiment_of(DENSE)
    carried_out(experiment, tmp_path, end=3)
    size = store.paths(tmp_path / "checkpoints")[0][1].stat().st_size
    whole, _, _ = carried_out(experiment, tmp_path / "whole")
    small_files(size // 2)
    with pytest.raises(CheckpointError, match="free some space; what was written before is whole"):
        carried_out(experiment, tmp_path, resume=True)
    small_files(resource.RLIM_INFINITY)
    names = [path.name for path in (tmp_path / "checkpoints").iterdir()]
    assert sorted(names) == [f"epoch-00000{e}.safetensors" for e in (1, 2, 3)]
    state, _, wrong = carried_out(experiment, tmp_path, resume=True)
    assert not wrong and not list(differing_words(whole, state))


@pytest.mark.parametrize(
    ("size", "file"), [(100, "config.toml"), (500, "metrics.jsonl"), (2000, "epoch-")]
)
def test_a_full_disk_ends_a_run_with_advice(tmp_path, small_files, size, file):
    path = tmp_path / "run.toml"
    path.write_text(DENSE)
    folder = tmp_path / "out"
    small_files(size)
    result = call("train", path, "--device", "golden", "--out", folder)
    small_files(resource.RLIM_INFINITY)
    assert result.exit_code == 2 and "Traceback" not in result.output
    assert "cannot be written (File too large): free some space" in words(result)
    assert file in words(result).partition("cannot be written")[0].rpartition("/")[2]
    if file != "epoch-":
        return
    status = json.loads((folder / "status.json").read_text())
    assert status["state"] == "failed" and "free some space" in status["error"]


@pytest.mark.parametrize("errno_name", ["EROFS", "EACCES"])
def test_a_folder_that_cannot_be_written_ends_a_run_before_it_begins(
    tmp_path, monkeypatch, errno_name
):
    import errno
    import os

    path = tmp_path / "run.toml"
    path.write_text(DENSE)
    number = getattr(errno, errno_name)

    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr("host.trainer.Trainer.load", lambda self: pytest.fail("it began"))
    result = call("train", path, "--device", "golden", "--out", tmp_path / "out")
    assert result.exit_code == 2 and "choose a folder that can be written" in words(result)
    assert not (tmp_path / "out").exists()


# Parts


def test_documents_come_back_as_they_were():
    arrays = {}
    value = {"a": [1, 2.5, None, "x", np.arange(3)], "b": {"c": np.zeros((2, 2), np.int16)}}
    text = json.loads(json.dumps(split(value, arrays)))
    assert set(arrays) == {"a.4", "b.c"}
    back = join(text, arrays)
    assert np.array_equal(back["a"][4], np.arange(3)) and back["a"][:4] == [1, 2.5, None, "x"]
    assert back["b"]["c"].dtype == np.int16
    with pytest.raises(TypeError, match="a must be numbers"):
        split({"a": {1, 2}}, {})


def test_reports_come_back_as_they_were():
    counts = Counts({"samples": 3}, np.arange(64))
    given = EpochReport(
        epoch=1, rate=0.1, train=counts, val=counts, test=counts, train_loss=1 / 3, val_loss=None,
        test_loss=None, train_accuracy=None, val_accuracy=0.25, test_accuracy=0.5, seconds=1.0,
    )  # fmt: skip
    back = build(EpochReport, json.loads(json.dumps(split(given, None))))
    assert back.train_loss == 1 / 3 and back.test_loss is None and back.train["samples"] == 3
    assert back.train.saturations.dtype == np.int64
    assert np.array_equal(back.train.saturations, np.arange(64))


def test_counters_carry():
    first, second = np.zeros(COUNTER_WORDS, np.uint16), np.zeros(COUNTER_WORDS, np.uint16)
    loss, saturations = COUNTERS["loss"].address, COUNTERS["saturations"].address
    first[loss : loss + 4] = [0xFFFF, 0xFFFF, 0, 0]
    second[loss] = 2
    first[saturations : saturations + 2] = 0xFFFF
    second[saturations] = 1
    first[COUNTERS["position"].address], second[COUNTERS["position"].address] = 7, 9
    found = total(first, second)
    assert found[loss : loss + 4].tolist() == [1, 0, 1, 0]
    # A counter of saturations wraps, and disturbs no other one.
    assert found[saturations : saturations + 3].tolist() == [0, 0, 0]
    assert found[COUNTERS["position"].address] == 9


def test_stretches_are_joined():
    region = Region.WEIGHT
    parts = [(region, 8, 4), (region, 0, 8), (region, 20, 2), (Region.STATE, 0, 1), (region, 9, 1)]
    assert merged(parts) == [(region, 0, 12), (region, 20, 2), (Region.STATE, 0, 1)]
