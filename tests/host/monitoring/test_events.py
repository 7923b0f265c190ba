"""Events for TensorBoard: its own loader reads what runs wrote."""

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from host.monitoring.events import EventsFile
from tests.host.commands.test_cli import SMALL
from tests.host.commands.test_spiking_cli import SMALL as PROTOTYPE
from tests.host.test_run_folder import configured, interrupted, result_of, trained


def events_of(folder):
    accumulator = EventAccumulator(str(folder), {"scalars": 0, "histograms": 0, "images": 0})
    accumulator.Reload()
    return accumulator


def test_its_own_loader_reads_what_a_dense_run_wrote(tmp_path):
    text = SMALL + "[monitoring]\nbatches = 4\nplots = 2\ntensorboard = true\n"
    trained(configured(tmp_path, text), tmp_path / "run")
    found = events_of(tmp_path / "run" / "tensorboard")
    values = result_of(tmp_path / "run")
    losses = found.Scalars("train_loss")
    assert [event.step for event in losses] == [8, 16, 24, 32]
    assert np.allclose([event.value for event in losses], values["train_loss"], rtol=1e-6)
    assert [event.step for event in found.Scalars("batch/loss")] == [4, 12, 20, 28]
    assert set(found.Tags()["histograms"]) == {"weights/layer_1", "weights/layer_2"}
    histograms = found.Histograms("weights/layer_1")
    assert [event.step for event in histograms] == [16, 32]
    assert sum(histograms[0].histogram_value.bucket) == histograms[0].histogram_value.num == 20


def test_its_own_loader_reads_what_a_spiking_run_wrote(tmp_path):
    trained(configured(tmp_path, PROTOTYPE), tmp_path / "run", "--tensorboard")
    found = events_of(tmp_path / "run" / "tensorboard")
    assert {"weights/neurons", "spikes/neurons"} <= set(found.Tags()["histograms"])
    (image,) = found.Images("raster")
    assert image.width > 1000 and image.encoded_image_string[:4] == b"\x89PNG"
    assert len(found.Scalars("test_accuracy")) == 2


def test_a_resumed_run_has_one_curve(tmp_path, monkeypatch):
    path = configured(tmp_path, SMALL + "[checkpoints]\nevery = 4\n")
    folder = tmp_path / "run"
    monkeypatch.setattr("host.checkpoints.keeper.Keeper.wait", lambda self: None)
    interrupted(path, folder, monkeypatch, 3, "--tensorboard")
    monkeypatch.undo()
    for checkpoint in sorted((folder / "checkpoints").iterdir())[1:]:
        checkpoint.unlink()
    trained(path, folder, "--resume", "--tensorboard")
    losses = events_of(folder / "tensorboard").Scalars("train_loss")
    assert [event.step for event in losses] == [8, 16, 24, 32]
    assert np.allclose([e.value for e in losses], result_of(folder)["train_loss"], rtol=1e-6)


def test_says_what_is_missing_without_tensorboardx(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorboardX.event_file_writer", None)
    with pytest.raises(ValueError, match=r"pip install 'synaptile\[monitor\]'"):
        EventsFile(tmp_path / "events")
    assert not (tmp_path / "events").exists()
