"""Spiking runs from the command line, on the golden device."""

import json

import numpy as np
import pytest

from host.commands.terminal import BAD, DIFFERENT
from host.run import prepare
from host.run_config import parse_config, read_config
from tests.host.commands.test_cli import Faulty, call, devices, words

__all__ = ["devices"]

SMALL = """
[data]
name = "generated"
samples = 60
[spiking]
rule = "prototype"
[spiking.encoding]
kind = "latency"
steps = 4
[spiking.neurons]
count = 12
[spiking.scaling]
norm = "l2"
target = 2
rows = "winner"
[training]
epochs = 2
"""
CEREBELLUM = """
[data]
name = "generated"
samples = 60
[spiking]
rule = "climbing_fibre"
[spiking.granules]
cells = 60
[training]
epochs = 2
[training.climbing_fibre]
margin = 1
"""


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


def test_train_writes_its_results(small, tmp_path):
    folder = tmp_path / "run"
    result = call("train", small, "--device", "golden", "--out", folder)
    assert result.exit_code == 0, result.output
    assert "12 neurons, latency encoding in 4 steps, rule prototype" in words(result)
    assert "by vote majority" in words(result)
    values = json.loads((folder / "result.json").read_text())
    assert values["test_accuracy"] == values["final_test_accuracy"] > 0.4
    assert values["votes"]["majority"] == values["test_accuracy"] and len(values["labels"]) == 12
    assert values["phases"] == ["train", "train"] and len(values["train_accuracy"]) == 2
    assert values["device"] == "golden" and values["configuration"] == "ecp5-8-spiking"
    assert values["samples"] == 96 and values["synapses"] > 0
    for clocked in ("cycles", "cycles_per_sample", "synapses_per_cycle", "waiting"):
        assert values[clocked] is None
    assert values["saturations"] == {"current of the neurons": 0}
    with np.load(folder / "weights.npz") as arrays:
        assert {name: arrays[name].shape for name in arrays.files} == {"neurons": (12, 16)}


def test_a_written_configuration_is_the_same_run(small, tmp_path):
    folder = tmp_path / "run"
    options = ["--device", "golden", "--out", folder, "--seed", 3, "--epochs", 1]
    assert call("train", small, *options).exit_code == 0
    values = json.loads((folder / "result.json").read_text())
    assert values["seed"] == 3 and values["epochs"] == 1
    given = read_config(small).with_options(seed=3, epochs=1)
    assert parse_config(values["config"]) == given


def test_granule_cells_are_written_too(tmp_path):
    (tmp_path / "c.toml").write_text(CEREBELLUM)
    result = call("train", tmp_path / "c.toml", "--device", "golden", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    values = json.loads((tmp_path / "run" / "result.json").read_text())
    assert "votes" not in values and values["test_accuracy"] > 0.4
    assert "mean of the last 2 epochs" in words(result)
    with np.load(tmp_path / "run" / "weights.npz") as arrays:
        shapes = {name: arrays[name].shape for name in arrays.files}
    assert shapes == {"outputs": (4, 60), "granule_table": (8 * 5, 8)}


def test_verify(small, tmp_path, devices):
    options = ["--device", "golden", "--out", tmp_path / "run", "--verify", "--epochs", 1]
    result = call("train", small, *options)
    assert result.exit_code == 0 and "replayed on sim: identical in all" in words(result)
    devices["sim"] = Faulty
    result = call("train", small, *options)
    assert result.exit_code == DIFFERENT
    assert "different: weight of the neurons, row 0, column 0 is golden" in words(result)


@pytest.mark.parametrize("every", ["command", "epoch", "run"])
def test_compare(small, devices, every):
    result = call("compare", small, "--every", every, "--epochs", 1)
    assert result.exit_code == 0 and "identical: golden and sim" in words(result)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"prototype"', '"hebb"'), "spiking.rule should be 'stdp'"),
        (("count = 12", "count = 49"), "at most the 48 training samples"),
        (("[spiking.scaling]", "[device]\nconfiguration = 'ecp5-8x8'\n[spiking.scaling]"),
         "needs spiking neurons, which ecp5-8x8 leaves out: take one of"),
        (("samples = 60", "samples = 60\nscaling = 0.5"), "divides by a number"),
        (("samples = 60", "samples = 60\nquestions = [[1.0]]"), "questions must be left out"),
        (("steps = 4", "steps = 1"), "spiking.encoding steps must be from 2"),
    ],
)  # fmt: skip
def test_bad_files_change_nothing(small, tmp_path, change, message):
    small.write_text(SMALL.replace(*change))
    result = call("train", small, "--device", "golden", "--out", tmp_path / "out")
    assert result.exit_code == BAD, result.output
    assert message in words(result) and "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


def test_dense_networks_need_the_other_half(tmp_path):
    (tmp_path / "c.toml").write_text(
        '[data]\nname = "iris"\n[network]\nlayers = [{ units = 3 }]\n'
        '[training]\nmomentum = 0\n[device]\nconfiguration = "ecp5-8-spiking"\n'
    )
    result = call("train", tmp_path / "c.toml", "--device", "golden", "--out", tmp_path / "out")
    assert result.exit_code == BAD
    assert "learns by backpropagation, which ecp5-8-spiking leaves out" in words(result)


def test_the_level_encoding_reads_rasters(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    raster = rng.random((40, 6, 8)) < np.where(labels[:, None] == np.arange(8) // 4, 0.6, 0.1)[
        :, None
    ]
    np.savez(tmp_path / "d.npz", x=raster.reshape(40, -1).astype(float), y=labels)
    text = SMALL.replace('name = "generated"\nsamples = 60', 'file = "d.npz"')
    path = tmp_path / "c.toml"
    path.write_text(text.replace('"latency"\nsteps = 4', '"level"\nsteps = 6'))
    experiment = prepare(read_config(path))
    assert experiment.network.inputs == 8
    result = call("train", path, "--device", "golden", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    values = json.loads((tmp_path / "run" / "result.json").read_text())
    assert values["test_accuracy"] > 0.7
    path.write_text(text.replace('"latency"\nsteps = 4', '"level"\nsteps = 7'))
    result = call("train", path, "--device", "golden", "--out", tmp_path / "no")
    assert result.exit_code == BAD and "for each of 7 steps" in words(result)
