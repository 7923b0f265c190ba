"""Every command that README.md and docs/ show is one that works.

Each is parsed as its program does it. Those of `synaptile` that are done in a second are carried
out too, with golden in the place of devices that have to be built or plugged in; on demand also the
others, and these on the devices that they name. A command that no table knows fails.
"""

import contextlib
import io
import json
import re
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

import host.commands.cli
import host.commands.stdp_window_command
from host.commands.cli import app
from host.devices.device import open_device
from tests.documented_commands import OWN, PAGES, ROOT, Shown, filled, is_command, shown, understood
from tests.host.commands.test_spiking_cli import SMALL as SPIKING

COMMANDS = list(dict.fromkeys(command for page in PAGES for command in shown(page)))

DONE = {
    "train": "results in ",
    "status": "finished",
    "report": "report in run/report.html",
    "compare": "identical: ",
    "lr-find": "picture in ",
    "stdp-window": "all 201 points lie within their bounds",
    "devices": "no serial ports",
    "--verify": "identical in all",
    "--report": "report in ",
    "--pictures": "drew ",
}
"""What commands and options tell that are carried out here."""

ELSEWHERE = {
    "sweep": "tests/test_tutorial.py",
    "simulate": "tests/hw/test_crc.py",
    "bench": "tests/host/benchmarks/test_bench.py",
    "virtual-board": "tests/host/devices/test_virtual_board.py",
    "synth": "tests/boards/test_placed.py",
    "flash": "tests/boards/test_flow.py",
}
"""What takes longer, and tests of what stands behind it; on demand they are carried out here."""

SMALL = """
[data]
name = "iris"
scaling = "z-score"
[network]
layers = [{ units = 4, activation = "relu" }, { units = 3 }]
loss = "mse"
[training]
learning_rate = 0.03125
momentum = 0
batch_size = 8
epochs = 1
"""
"""A run that boards have room for too."""

PAIRS = """
[data]
name = "generated"
[spiking]
rule = "stdp"
[spiking.neurons]
count = 4
threshold = 0.5
"""
"""Neurons that learn by pairs of spikes."""

SEARCH = 'run = "small.toml"\ntrials = 2\n[space]\n"training.learning_rate" = [0.02, 0.03]\n'


def name_of(command):
    return f"{command.page}: {command.text}"


@pytest.mark.parametrize("command", COMMANDS, ids=name_of)
def test_is_understood(command):
    understood(command)
    if command.words[0] == "synaptile":
        name, *_ = filled(command)
        assert name in DONE or (ROOT / ELSEWHERE[name]).exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("synaptile trains CONFIG --out DIR", "trains"),
        ("synaptile train CONFIG", "Missing parameter: out_dir"),
        ("synaptile train CONFIG --out DIR --verified", "No such option: --verified"),
        ("synaptile synth BOARD --seeds many", "a valid integer"),
        ("synaptile train FILE --out DIR", "FILE"),
        ("synaptile train examples/none.toml --out DIR", "No such file"),
        ("make tests", "the Makefile has no tests"),
        ("make train SAMPLE=iris", "the Makefile has no SAMPLE"),
        ("make train EXAMPLE=tulips", "no example tulips"),
        ("python -m tests.host.benchmarks.accuracy --seed 3", "has no --seed"),
        ("python -m tests.host.accuracy", "No such file"),
        ("pytest -m slow tests/test_tutorial.py", "no marker slow"),
        ("pip install 'synaptile[gpu]'", "no extra gpu"),
        ("apt install yosys", "apt"),
    ],
)
def test_what_is_wrong_is_told(text, message):
    with pytest.raises(Exception, match=message):
        understood(Shown("page.md", text))


def test_commands_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "`synaptile\nstatus DIR`, `make`, `a make`\n\n    $ synaptile bench\n    make # all\n\n"
        "```sh\nsynaptile devices\nprint('make')\n```\n"
    )
    assert {(found.text, found.inline) for found in shown(page)} == {
        ("synaptile status DIR", True),
        ("make", True),
        ("synaptile bench", False),
        ("make # all", False),
        ("synaptile devices", False),
    }
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for block in re.findall(r"^```sh\n(.*?)^```", pages, re.M | re.S):
        assert all(map(is_command, block.splitlines())), "PROGRAMS must name its program"


def test_options_that_stand_alone_are_there():
    """As in "goes on with `--resume`"."""
    every = {option for own in OWN.values() for given in own.params for option in given.opts}
    every |= {"--placer", "--router", "--tmg-ripup"}  # nextpnr's
    for page in PAGES:
        for option in re.findall(r"`(--[\w-]+)", page.read_text(encoding="utf-8")):
            assert option in every, f"{page.name}: {option} is no option of ours"


# Carried out


def of(*names):
    """What is shown of these commands of `synaptile`, each once.

    The tutorial's are carried out by its own test, in their order; those that stand inline without
    an argument are names.
    """
    found = {}
    for command in COMMANDS:
        words = command.words
        named = words[0] == "synaptile" and words[1] in names
        if named and command.page != "tutorial.md" and (len(words) > 2 or words[1] == "devices"):
            found.setdefault(" ".join(words), command)
    return pytest.mark.parametrize("command", found.values(), ids=name_of)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with small files and a finished run."""
    folder = tmp_path_factory.mktemp("documented")
    (folder / "small.toml").write_text(SMALL)
    (folder / "spiking.toml").write_text(SPIKING)
    (folder / "pairs.toml").write_text(PAIRS)
    (folder / "search.toml").write_text(SEARCH)
    train = ["train", folder / "small.toml", "--device", "golden", "--out", folder / "run"]
    result = CliRunner().invoke(app, list(map(str, train)))
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def there(finished, tmp_path, monkeypatch):
    """A copy of it to work in; pictures are coarse, and no port of this machine is asked."""
    shutil.copytree(finished, tmp_path / "there")
    monkeypatch.chdir(tmp_path / "there")
    monkeypatch.setattr("host.pictures.DPI", 20)
    monkeypatch.setattr("host.devices.serial_device.ports", lambda: [])


def carry_out(command):
    words = filled(command)
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    told = " ".join(result.output.split())
    for word in words:
        assert DONE.get(word, "") in told, result.output
    if "--tensorboard" in words:
        assert any(Path("run/tensorboard").iterdir())


@of(*DONE)
def test_does_what_it_says_on_golden(there, monkeypatch, command):
    def golden(spec, config, *, report=None):
        assert spec.partition(":")[0] in ("golden", "sim", "netlist", "serial")
        return open_device("golden", config)

    for module in (host.commands.cli, host.commands.stdp_window_command):
        monkeypatch.setattr(module, "open_device", golden)
    carry_out(command)


def test_a_program_of_one_line_writes_its_file():
    (line,) = [command.text for command in COMMANDS if command.text.startswith("python -c")]
    code, _ = re.fullmatch(r"python -c \"(.*)\" > (\w+\.json)", line).groups()
    with contextlib.redirect_stdout(io.StringIO()) as written:
        exec(compile(code, "data.md", "exec"), {})
    assert json.loads(written.getvalue())["training_examples"]


# On demand: on the devices that are named, and what takes minutes


@pytest.mark.demand
@pytest.mark.simulator
@pytest.mark.toolchain
@of("train", "compare")
def test_does_what_it_says(there, command):
    if "--resume" in command.words:
        # The run that is there is golden's, which no other device goes on with.
        shutil.rmtree("run")
    if "serial:" in command.text:
        with pytest.raises(AssertionError, match="serial port /dev/ttyUSB1 is not there"):
            carry_out(command)
    else:
        carry_out(command)


@pytest.mark.demand
@pytest.mark.simulator
@pytest.mark.toolchain
@of("sweep", "simulate", "synth")
def test_what_takes_longer_does_what_it_says(there, command):
    carry_out(command)
    if command.words[1] == "synth":
        words = filled(Shown("", "synaptile flash BOARD --dry-run"))
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0 and "openFPGALoader" in result.output


@pytest.mark.demand
@pytest.mark.simulator
def test_the_benchmark_measures(there):
    result = CliRunner().invoke(app, ["bench", "--quick"])
    assert result.exit_code == 0 and Path("build/bench.json").exists(), result.output


@pytest.mark.demand
@pytest.mark.simulator
def test_a_virtual_board_answers_until_it_is_interrupted():
    command = [sys.executable, "-m", "host.commands.cli", "virtual-board", "icebreaker"]
    # What was begun in the background would have a child ignore it.
    heeding = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, preexec_fn=heeding
    ) as process:
        assert process.stdout is not None
        port = process.stdout.readline().split()[0]
        listed = CliRunner().invoke(app, ["devices", port])
        process.send_signal(signal.SIGINT)
        told = process.stdout.read()
        assert process.wait(60) == 130
    assert listed.exit_code == 0 and "up5k-4x2" in " ".join(listed.output.split())
    assert "bytes to the board" in told


@pytest.mark.demand
@pytest.mark.parametrize("name", ["accuracy", "controls", "brian_speed"])
def test_measurements_start(name):
    command = [sys.executable, "-m", f"tests.host.benchmarks.{name}", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0 and done.stdout.startswith(b"usage:")
