"""The tutorial is carried out, command by command; those that need a board are understood."""

import os
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from host.commands.cli import app

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "tutorial.md").read_text(encoding="utf-8")


def commands(text):
    return [line for line in text.splitlines() if line.startswith("synaptile ")]


def files(folder):
    """Write what the page shows, by the name that stands before it."""
    for name, text in re.findall(r"`(\w+\.toml)`:\n\n```toml\n(.*?)```", PAGE, re.S):
        (folder / name).write_text(text)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    exec(compile(code, "tutorial.md", "exec"), {})


@pytest.mark.simulator
@pytest.mark.long
def test_every_command_does_what_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files(tmp_path)
    walked = commands("\n".join(re.findall(r"```sh\n(.*?)```", PAGE, re.S)))
    assert len(walked) == 8
    for line in walked:
        result = CliRunner().invoke(app, shlex.split(line)[1:])
        assert result.exit_code == 0, (line, result.output)
        if "--verify" in line:
            assert "identical in all" in result.output
    made = ("runs/flowers/report.html", "rates", "search/best.toml", "runs/best/result.json")
    assert all(os.path.exists(name) for name in made)


@pytest.mark.parametrize("line", commands(re.findall(r"```text\n(.*?)```", PAGE, re.S)[0]))
def test_commands_for_a_board_are_understood(line, tmp_path, monkeypatch):
    """Without a board and its tools' time: the commands' arguments, with --help behind them."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, [*shlex.split(line)[1:], "--help"])
    assert result.exit_code == 0, result.output
    for option in re.findall(r"--[\w-]+", line):
        assert option in result.output
