"""A whole board, from its sources to a bitstream, and what is recorded of it."""

import json
from pathlib import Path

import pytest

from boards import record
from boards.flow import build
from boards.report import Report, read_report

NAME = "tang_nano_9k"

pytestmark = [pytest.mark.toolchain, pytest.mark.placement]


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("placed")
    build(NAME, seeds=[1], folder=folder, progress=lambda *step: print(*step))
    return folder


@pytest.fixture
def report(reports: Path) -> Report:
    return read_report(reports / NAME / "report.json")


def test_a_small_board_meets_its_clock(report: Report) -> None:
    assert report.bitstream is not None and report.best.slack >= 0
    assert Path(report.bitstream).stat().st_size > 100_000
    assert set(report.utilisation) == {"cells", "flip-flops", "multipliers", "memories"}
    assert report.utilisation["multipliers"].used == 8
    assert not any(usage.over for usage in report.utilisation.values())


def test_its_figures_are_recorded(
    reports: Path, report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "RECORD", tmp_path / "record.json")
    record.RECORD.write_text(json.dumps({"icebreaker": "kept", NAME: "old"}))
    assert record.record(reports) == [NAME]
    assert record.recorded() == {"icebreaker": "kept", NAME: record.figures(report)}
    assert record.figures(report)["fmax"] == {"1": round(report.best.megahertz, 2)}
