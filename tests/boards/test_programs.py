"""The tools that the flow calls are ready to run, whoever calls them at the same time."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from boards.programs import program


@pytest.mark.parametrize(("name", "runs"), [("yowasp-tool", 3), ("tool", 0)])
def test_first_runs_wait_for_each_other(
    name: str, runs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    log.touch()
    tool = tmp_path / name
    tool.write_text(f"#!/bin/sh\necho begin >> {log}\nsleep 0.2\necho end >> {log}\n")
    tool.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(program.__wrapped__, [name] * 3)) == [str(tool)] * 3
    assert log.read_text().split() == ["begin", "end"] * runs
