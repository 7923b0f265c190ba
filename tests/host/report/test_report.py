"""The report of a run and its pictures: it stands alone."""

import re
from html.parser import HTMLParser
from pathlib import Path

from PIL import Image

from host.monitoring.metrics_file import read_metrics
from host.monitoring.status import RunState, StatusFile
from host.spiking.activity import Activity
from tests.host.commands.test_cli import SMALL, call, words
from tests.host.commands.test_spiking_cli import CEREBELLUM
from tests.host.commands.test_spiking_cli import SMALL as PROTOTYPE
from tests.host.test_run_folder import configured, result_of, trained


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.open = [], "", []
        self.feed(text)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def assert_stands_alone(folder, pictures):
    text = (folder / "report.html").read_text()
    page = Page(text)
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == len(pictures)
    for attributes in images:
        assert attributes["src"].startswith("data:image/png;base64,iVBOR") and attributes["alt"]
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "iframe", "object", "a"}
    # Nothing that a browser would fetch.
    assert not re.search(r"https?:|//\w|url\(|@import", re.sub(r"base64,[^\"]*", "", text))
    there = {path.stem for path in (folder / "pictures").iterdir()}
    assert there == set(pictures)
    for path in (folder / "pictures").iterdir():
        with Image.open(path) as image:
            assert tuple(round(dots) for dots in image.info["dpi"]) == (300, 300)
            assert len(image.convert("L").getcolors(1 << 24) or []) > 4
    return " ".join(page.text.split())


def test_a_dense_run(tmp_path):
    folder = tmp_path / "run <&>"
    result = trained(configured(tmp_path, SMALL), folder, "--report")
    assert "report.html" in words(result)
    text = assert_stands_alone(folder, {"loss", "accuracy", "rate", "evolution", "connectivity"})
    assert "run <&>" in text and "finished" in text and "4 of 4" in text
    assert 'name = "iris"' in text and "Biological" not in text
    assert result_of(folder)["build"] in text


def test_a_spiking_run(tmp_path):
    folder = tmp_path / "run"
    trained(configured(tmp_path, PROTOTYPE), folder)
    result = call("report", folder)
    assert result.exit_code == 0, result.output
    pictures = {"accuracy", "rate", "evolution", "connectivity", "raster", "rates"}
    text = assert_stands_alone(folder, {*pictures, "weights_neurons"})
    assert "Biological validation" in text and "mean rate, Hz" in text and "Dale" in text


def test_granule_cells_have_no_rate_in_hertz(tmp_path):
    folder = tmp_path / "run"
    trained(configured(tmp_path, CEREBELLUM), folder)
    figures = {row["name"]: row for row in result_of(folder)["biological_validation"]["figures"]}
    assert "mean rate, Hz" not in figures
    assert figures["mossy fibres of a granule cell"]["value"] == 4
    activity = Activity.load(folder / "activity.npz")
    assert activity.rates is None and activity.counts.shape[1] == 60
    metrics = read_metrics(folder / "metrics.jsonl")
    batches = [e["batch"] for e in metrics if e["event"] == "batches" and e["epoch"] == 1]
    assert batches == list(range(10, 48, 10))


def test_a_run_that_goes_on_has_a_report_too(tmp_path):
    folder = tmp_path / "run"
    trained(configured(tmp_path, SMALL), folder)
    values = {"epoch": 4, "epochs": 4, "elapsed": 1.0, "device": "d", "configuration": "c"}
    StatusFile(folder, values).write(RunState.RUNNING, {})
    assert call("report", folder).exit_code == 0
    text = assert_stands_alone(folder, {"loss", "accuracy", "rate", "evolution"})
    assert "running" in text and "samples trained" not in text


def test_a_report_of_nothing(tmp_path):
    result = call("report", tmp_path)
    assert result.exit_code == 2 and "must be the folder of a run" in words(result)
    values = {"epoch": 0, "epochs": 4, "elapsed": 1.0, "device": "d", "configuration": "c"}
    StatusFile(tmp_path, values).write(RunState.RUNNING, {})
    result = call("report", tmp_path)
    assert result.exit_code == 2 and "must have a metrics.jsonl" in words(result)


def test_says_what_is_missing_before_it_trains(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    path = configured(tmp_path, SMALL)
    options = ("--device", "golden", "--out", tmp_path / "run", "--report")
    result = call("train", path, *options)
    assert result.exit_code == 2 and "reports need Jinja2" in words(result)
    assert not (tmp_path / "run").exists()


def test_regression_has_no_accuracy(tmp_path):
    folder = tmp_path / "run"
    example = Path(__file__).resolve().parents[3] / "examples" / "sums.toml"
    trained(example, folder, "--epochs", 2, "--report")
    text = assert_stands_alone(folder, {"loss", "rate", "evolution", "connectivity"})
    assert "test RMSE" in text and "best test loss" in text
