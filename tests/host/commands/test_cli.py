"""The command line on the golden device: results, exit codes and messages."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import host.commands.cli
from host.commands.cli import app
from host.commands.terminal import BAD, DIFFERENT, INTERRUPTED
from host.devices.device import DeviceError, open_device
from hw.config import region_words
from hw.isa import Region

ROOT = Path(__file__).parents[3]
SMALL = """
[data]
name = "iris"
scaling = "z-score"
[network]
layers = [{ units = 4, activation = "relu" }, { units = 3 }]
[training]
learning_rate = 0.0625
epochs = 4
batch_size = 16
"""
SPRAM = SMALL.replace("[training]", 'loss = "mse"\n[training]\nmomentum = 0') + """
[device]
configuration = "up5k-4x2-spram"
"""


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def words(result):
    """The output without line breaks, which depend on the terminal's width."""
    return " ".join((result.stdout + result.stderr).split())


class Faulty:
    """A golden device in which one bit of the program's first weight flips at the end."""

    def __init__(self, config):
        self._device = open_device("golden", config)
        self.name = "sim"

    def __getattr__(self, name):
        return getattr(self._device, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def read(self, region, address, count):
        found = self._device.read(region, address, count)
        if region == Region.WEIGHT and address == 0 and count > 2000:
            found[0] ^= 4
        return found


@pytest.fixture
def devices(monkeypatch):
    """Makes 'sim' a golden device too, or whatever is put under its name."""
    there = {"sim": lambda config: open_device("golden", config)}

    def opened(spec, config, *, report=None):
        return there.get(spec, lambda config: open_device(spec, config))(config)

    monkeypatch.setattr(host.commands.cli, "open_device", opened)
    return there


def test_train_writes_its_results(small, tmp_path):
    folder = tmp_path / "new" / "run"
    result = call("train", small, "--device", "golden", "--out", folder)
    assert result.exit_code == 0, result.output
    assert "test accuracy" in result.output and "result.json" in words(result)
    values = json.loads((folder / "result.json").read_text())
    assert 0.3 < values["test_accuracy"] <= 1
    assert len(values["train_loss"]) == len(values["test_accuracy_per_epoch"]) == 4
    assert values["device"] == "golden" and values["seed"] == 0 and values["epochs"] == 4
    assert len(bytes.fromhex(values["build"])) == 16
    for clocked in ("cycles", "cycles_per_sample", "mac_utilisation", "waiting"):
        assert values[clocked] is None
    assert set(values["saturations"]) >= {"layer 1 weight", "layer 2 gradient"}
    assert values["config"]["data"] == {"name": "iris", "scaling": "z-score"}
    with np.load(folder / "weights.npz") as arrays:
        assert [arrays[name].shape for name in arrays.files] == [(4, 5), (3, 5)]
    there = sorted(path.name for path in folder.iterdir())
    files = ["config.toml", "metrics.jsonl", "result.json", "status.json", "weights.npz"]
    assert there == ["checkpoints", *files]


def test_options_replace_the_files_values(small, tmp_path):
    options = ["--device", "golden", "--out", tmp_path, "--seed", 3, "--epochs", 2]
    assert call("train", small, *options).exit_code == 0
    values = json.loads((tmp_path / "result.json").read_text())
    assert values["seed"] == 3 and len(values["train_loss"]) == 2


def test_regression_answers_questions(tmp_path):
    path = ROOT / "examples" / "sums.toml"
    result = call("train", path, "--device", "golden", "--out", tmp_path, "--epochs", 2)
    assert result.exit_code == 0, result.output
    values = json.loads((tmp_path / "result.json").read_text())
    assert values["test_rmse"] > 0 and "test_accuracy" not in values
    (answer,) = values["answers"]
    assert answer["question"] == [5, 3, 7, 2]
    assert answer["rounded"] == [round(value) for value in answer["answer"]]


def test_verify_says_identical(small, tmp_path, devices):
    result = call("train", small, "--device", "golden", "--out", tmp_path, "--verify")
    assert result.exit_code == 0 and "replayed on sim: identical in all" in words(result)


def test_verify_names_the_first_difference(small, tmp_path, devices):
    devices["sim"] = Faulty
    result = call("train", small, "--device", "golden", "--out", tmp_path, "--verify")
    assert result.exit_code == DIFFERENT
    assert "different: weight of layer 1, row 0, column 0 is golden" in words(result)


def undefined(config):
    """A golden device whose weights are anything at first."""
    device = open_device("golden", config)
    anything = np.random.default_rng(1).integers(1 << 16, size=region_words(config)[Region.WEIGHT])
    device.write(Region.WEIGHT, 0, anything)
    return device


@pytest.mark.parametrize("every", ["epoch", "run"])
def test_what_spram_holds_at_first_is_compared_on_no_part(small, devices, every):
    small.write_text(SPRAM)
    devices["serial:port"] = devices["sim"] = undefined
    result = call("compare", small, "--devices", "golden,serial:port", "--every", every)
    assert result.exit_code == 0, result.output
    result = call("compare", small, "--devices", "golden,sim", "--every", every)
    assert result.exit_code == DIFFERENT and "which no tensor uses" in words(result)


def test_a_run_on_a_part_with_spram_is_verified(small, tmp_path, devices):
    small.write_text(SPRAM)
    devices["serial:port"] = undefined
    options = ["--device", "serial:port", "--out", tmp_path / "run", "--verify"]
    result = call("train", small, *options)
    assert result.exit_code == 0 and "replayed on golden: identical" in words(result)


@pytest.mark.parametrize("every", ["command", "epoch", "run"])
def test_compare(small, devices, every):
    result = call("compare", small, "--every", every, "--epochs", 1)
    assert result.exit_code == 0 and "identical: golden and sim" in words(result)
    devices["sim"] = Faulty
    result = call("compare", small, "--every", every, "--epochs", 1)
    assert result.exit_code == DIFFERENT
    assert "weight of layer 1, row 0, column 0" in words(result)


def test_an_interruption_keeps_what_there_is(small, tmp_path, monkeypatch):
    seen = []

    def interrupt(display, report):
        seen.append(report.epoch)
        if report.epoch == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("host.commands.display.TrainingDisplay.epoch", interrupt)
    result = call("train", small, "--device", "golden", "--out", tmp_path, "--verify")
    assert result.exit_code == INTERRUPTED and seen == [1, 2]
    assert "interrupted after 2 epochs" in words(result) and str(tmp_path.name) in words(result)
    values = json.loads((tmp_path / "result.json").read_text())
    assert values["interrupted"] and len(values["train_loss"]) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("epochs = 4", "epoch = 4"), "unknown key 'training.epoch'; did you mean 'epochs'?"),
        (("batch_size = 16", "batch_size = 0"), "training.batch_size should be greater than"),
        (("units = 4,", "units = 2000,"), "tiles of ACTIVATION, ecp5-8x8 has 256: take"),
        (("units = 3 ", "units = 2 "), "labels must be whole numbers from 0 to 1, not 2"),
        (('"iris"', '"mnist"'), "data name must be one of digits"),
    ],
)
def test_bad_files_change_nothing(small, tmp_path, change, message):
    small.write_text(SMALL.replace(*change))
    out = tmp_path / "out"
    result = call("train", small, "--device", "golden", "--out", out)
    assert result.exit_code == BAD
    assert message in words(result) and "Traceback" not in result.output
    assert not out.exists()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1,nan,0\n2,3,1\n", "d.csv, line 1, column 1: must be finite, not nan"),
        ("500,1,0\n600,3,1\n" * 5, "divide it by 16, or choose the format Q10.5; [data] scaling"),
        ("1,2,0\n2,3,0\n", "data must have at least two classes"),
        ("1,2,-1\n2,3,0\n", "labels must be whole numbers from 0 on"),
        ("1,2,0\n2,3\n", "line 2: every line must have 3 fields as the first one has, not 2"),
        ("", "must have at least one sample"),
        ("a,b,c\n", "must have at least one sample"),
    ],
)
def test_bad_data_changes_nothing(tmp_path, rows, message):
    (tmp_path / "d.csv").write_text(rows)
    text = SMALL.replace('name = "iris"\nscaling = "z-score"', 'file = "d.csv"')
    (tmp_path / "c.toml").write_text(text)
    result = call("train", tmp_path / "c.toml", "--device", "golden", "--out", tmp_path / "out")
    assert result.exit_code == BAD and message in words(result)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "none.toml", "--out", "x"], "none.toml does not exist"),
        (["train", "small.toml", "--out", "x", "--device", "fpga"], "device must be one of golden"),
        (["train", "small.toml", "--out", "x", "--device", "serial:a"], "serial port a is not"),
        (["train", "small.toml", "--out", "small.toml", "--device", "golden"], "must be a folder"),
        (["train", "small.toml", "--out", "x", "--epochs", "0"], "training.epochs should be"),
        (["compare", "small.toml", "--devices", "golden"], "two names with a comma"),
        (["simulate", "mac_aray"], "did you mean mac_array?"),
    ],
)
def test_bad_arguments(small, monkeypatch, arguments, message):
    monkeypatch.chdir(small.parent)
    result = call(*arguments)
    assert result.exit_code == BAD and message in words(result)
    assert not Path("x").exists()


def test_a_device_that_fails_is_explained(small, tmp_path, devices):
    def broken(config):
        raise DeviceError("the device is another build, 00 instead of 11; build it again")

    devices["sim"] = broken
    result = call("train", small, "--out", tmp_path / "out")
    assert result.exit_code == BAD and "another build, 00 instead of 11" in words(result)


def test_a_missing_compiler_is_explained(small, tmp_path, devices):
    def missing(config):
        raise RuntimeError("a C++20 compiler must be on PATH, not absent")

    devices["sim"] = missing
    result = call("train", small, "--out", tmp_path / "out")
    assert result.exit_code == BAD and "C++20 compiler must be on PATH" in words(result)


def test_the_command_starts():
    done = subprocess.run(
        [sys.executable, "-m", "host.commands.cli", "--version"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("synaptile")
