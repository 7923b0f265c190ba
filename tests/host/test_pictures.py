"""What a spiking run draws: the recorded spikes are right, and the pictures show them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from host import pictures
from host.commands import cli
from host.devices.golden_device import GoldenDevice
from host.run import prepare
from host.run_config import read_config
from host.spiking.program import Phase
from host.spiking.recording import record
from host.spiking.run import SpikingExperiment
from host.streaming import Interruption

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def loaded(name: str) -> tuple[SpikingExperiment, GoldenDevice]:
    """An example's run, and a device that is ready for it."""
    experiment = prepare(read_config(EXAMPLES / f"{name}.toml"))
    assert isinstance(experiment, SpikingExperiment)
    device = GoldenDevice(experiment.device_config)
    with Interruption() as interruption:
        experiment.trainer(device, interruption).load()
    for region, address, words in experiment.plan.constants[0]:
        device.write(region, address, words)
    return experiment, device


def test_records_every_input_at_its_latency():
    experiment, device = loaded("stdp_digits")
    spikes = record(device, experiment.plan.compiled, Phase.RESPOND, experiment.plan.test)
    pixels = experiment.dataset.test[0][0]
    fired = np.flatnonzero(pixels > 0)
    at = 7 - np.floor(7 * pixels[fired] + 0.5).astype(int)
    recorded = spikes["input spikes"]
    assert recorded.size == 64
    expected = sorted(zip(at.tolist(), fired.tolist(), strict=True))
    assert sorted(zip(recorded.times.tolist(), recorded.neurons.tolist(), strict=True)) == expected
    answers = spikes["answers"]
    assert (len(answers.neurons), answers.size, answers.times.tolist()) == (1, 100, [7])


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("stdp_digits_small", ["weights_neurons", "rates", "raster"]),
        ("cerebellum_breast_cancer", ["weights_outputs", "rates", "raster"]),
    ],
)
def test_draws_at_300_dots_an_inch(tmp_path: Path, name: str, drawn: list[str]):
    experiment, device = loaded(name)
    paths = experiment.pictures(device, tmp_path)
    assert [path.stem for path in paths] == drawn
    for path in paths:
        with Image.open(path) as image:
            assert tuple(round(dots) for dots in image.info["dpi"]) == (300, 300)
            # Neither empty nor all of one colour.
            assert len(image.convert("L").getcolors() or []) > 4


def test_a_dense_run_has_no_pictures(tmp_path: Path):
    command = ["train", str(EXAMPLES / "iris.toml"), "--device", "golden", "--pictures"]
    result = CliRunner().invoke(cli.app, [*command, "--out", str(tmp_path / "run")])
    assert result.exit_code != 0
    assert "only spiking networks are drawn" in result.output
    assert not (tmp_path / "run").exists()


def test_says_what_is_missing_without_matplotlib(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(ValueError, match=r"pip install 'synaptile\[pictures\]'"):
        pictures.firing_rates(tmp_path / "rates.png", np.ones((2, 3)), title="rates")
