"""Every example of docs/data.md is carried out."""

import re
import shutil
import tomllib
from typing import Any

import pytest

from host.data.market_file import market_table
from host.data.spike_file import read_recording
from host.devices.device import open_device
from host.run import prepare, train
from host.run_config import read_config
from tests.host.commands.test_cli import ROOT
from tests.host.data.small_files import SPECIES, write_all

TEXT = (ROOT / "docs" / "data.md").read_text()
BLOCKS = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
COPIES = {
    "named.csv": "flowers.csv",
    "d.npz": "arrays.npz",
    "other.npz": "images.npz",
    "images-idx3-ubyte.gz": "train-images-idx3-ubyte.gz",
    "labels-idx1-ubyte": "train-labels-idx1-ubyte",
}
NETWORK = "[network]\nlayers = [{ units = 4, activation = 'relu' }, { units = 10 }]\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("docs")
    write_all(found)
    for name, copy in COPIES.items():
        shutil.copy(found / name, found / copy)
    shutil.copy(found / "named.csv", found / "flowers_test.csv")
    return found


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_an_example_trains(folder, number):
    text = BLOCKS[number]
    tables = tomllib.loads(text)
    if "network" not in tables and "spiking" not in tables:
        text += NETWORK
    (folder / "c.toml").write_text(text)
    experiment = prepare(read_config(folder / "c.toml").with_options(epochs=1))
    with open_device("golden", experiment.device_config) as device:
        outcome = train(experiment, device)
    (report,) = outcome.epochs
    assert report.samples == len(experiment.plan.train) > 0


def test_the_python_example_runs(folder, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    exec(compile(code, "docs/data.md", "exec"), names)
    assert names["x"].shape == (30, 4) and set(names["y"]) == set(range(len(SPECIES)))
    assert names["model"].weights_[1].shape == (3, 9)


def test_the_json_examples_are_read(tmp_path):
    market, trains = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    assert market_table("docs", market.encode(), (), classes=True).inputs.shape == (1, 6)
    (tmp_path / "a.json").write_text(trains)
    assert read_recording(tmp_path / "a.json").times.tolist() == [0.5, 3.5, 12.5]
