"""The status file: how a run stands, told to another process, also when the run is dead."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from host.monitoring.status import RunState, StatusFile, duration, read_status
from tests.host.commands.test_cli import call, words
from tests.host.test_run_folder import DENSE, configured, result_of, trained


def test_status_of_a_finished_run(tmp_path):
    trained(configured(tmp_path, DENSE), tmp_path / "run")
    result = call("status", tmp_path / "run")
    shown = words(result)
    assert result.exit_code == 0 and "state finished" in shown and "epoch 4 of 4" in shown
    assert "best test accuracy" in shown and "device golden, ecp5-8x8" in shown
    found = json.loads(call("status", tmp_path / "run", "--json").stdout)
    curve = result_of(tmp_path / "run")["test_accuracy_per_epoch"]
    assert found["best"] == max(curve) and found["best_epoch"] == 1 + curve.index(max(curve))
    assert found["test_accuracy"] == curve[-1] and found["elapsed"] > 0


def test_status_while_it_runs_and_when_it_is_dead(tmp_path):
    program = (
        "import sys, time\nfrom pathlib import Path\n"
        "from host.monitoring.status import RunState, StatusFile\n"
        "status = StatusFile(Path(sys.argv[1]), {'device': 'golden', 'configuration': 'c', "
        "'epochs': 9})\n"
        "status.write(RunState.RUNNING, {'epoch': 3, 'elapsed': 5.0, 'remaining': 65.0, "
        "'train_loss': 0.25, 'best': 0.5, 'best_of': 'test loss', 'best_epoch': 2})\n"
        "print('written', flush=True)\ntime.sleep(600)\n"
    )
    root = Path(__file__).resolve().parents[3]
    command = [sys.executable, "-c", program, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "written\n"
        shown = words(call("status", tmp_path))
        assert f"running (process {process.pid}" in shown and "epoch 3 of 9" in shown
        assert "remaining about 1 min 5 s" in shown and "best test loss 0.5, epoch 2" in shown
    finally:
        process.kill()
        process.wait()
    shown = words(call("status", tmp_path))
    assert "dead: process" in shown and "--resume goes on" in shown and "remaining" not in shown


def test_another_process_of_the_same_number_is_not_the_run(tmp_path):
    StatusFile(tmp_path, {"device": "d"}).write(RunState.RUNNING, {})
    path = tmp_path / "status.json"
    values = json.loads(path.read_text())
    assert read_status(tmp_path)["state"] == RunState.RUNNING
    path.write_text(json.dumps({**values, "process": "1"}))
    assert read_status(tmp_path)["state"] == RunState.DEAD
    path.write_text(json.dumps({**values, "host": "elsewhere", "pid": 1}))
    assert read_status(tmp_path)["state"] == RunState.RUNNING


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "must be the folder of a run, and has no status.json"),
        ("{", "is not what a run writes"),
        ('{"state": "asleep"}', "is not what a run writes"),
        ("[]", "is not what a run writes"),
    ],
)
def test_status_of_something_else(tmp_path, text, message):
    if text is not None:
        (tmp_path / "status.json").write_text(text)
    result = call("status", tmp_path)
    assert result.exit_code == 2 and message in words(result)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.96, "10.0 s"), (59.4, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
