"""The commands that README.md and docs/ show, and whether their programs understand them.

    page --shown--> Shown --filled: small files for placeholders--> words --understood--> parser

Nothing is carried out here, so commands that take minutes or need a board are looked at too.
"""

import re
import shlex
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

import typer

from host.commands.cli import app

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

OWN = typer.main.get_command(app).commands  # type: ignore[attr-defined]
"""The commands of `synaptile`, by name."""

PROGRAMS = {"synaptile", "make", "python", "pytest", "pip", "apt", "tensorboard"}

FOREIGN = {"apt install libusb-1.0-0", "tensorboard --logdir DIR"}
"""Commands that are other programs' alone."""

FILLED = {
    "COMMAND": "train",
    "CONFIG": "small.toml",
    "SEARCH": "search.toml",
    "DIR": "run",
    "AGAIN": "again",
    "BOARD": "icebreaker",
    "NAME": "icebreaker",
    "PORT": "/dev/ttyUSB1",
    "UNIT": "crc",
}
"""What stands for a placeholder of the pages."""


@dataclass(frozen=True)
class Shown:
    """A command as a page shows it.

    Inline it may be a program and its command alone, as in "see `synaptile train`".
    """

    page: str
    text: str
    inline: bool = False

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text, comments=True)


def is_command(text: str) -> bool:
    return text.partition(" ")[0] in PROGRAMS


def shown(page: Path) -> list[Shown]:
    """All commands of a page: in fences, in indented lines behind a prompt or none, and inline."""
    text = page.read_text(encoding="utf-8")
    fence = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
    blocks = [block for language, block in fence.findall(text) if language in ("", "sh", "text")]
    lines = [line for block in blocks for line in block.splitlines()]
    text = fence.sub("", text)
    indented = re.compile(r"^    (\S.*)$", re.M)
    lines += [line.removeprefix("$ ") for line in indented.findall(text)]
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", indented.sub("", text))]
    found = [(line, False) for line in lines] + [(span, True) for span in spans]
    return [Shown(page.name, text, inline) for text, inline in found if is_command(text)]


def filled(command: Shown) -> list[str]:
    """The words behind `synaptile`, with small files in place of placeholders and examples.

    What is optional is taken. Raises KeyError for a placeholder that `FILLED` does not know.
    """
    text = re.sub(r"[\[\]]", "", command.text)
    text = re.sub(r"\b[A-Z]{2,}\b", lambda name: FILLED[name[0]], text)
    words = [_small(word) for word in shlex.split(text, comments=True)[1:]]
    spiking = "--pictures" in words
    return ["spiking.toml" if spiking and word == "small.toml" else word for word in words]


def _small(word: str) -> str:
    """A small file of the kind of an example, which has to be there; any other word as it is."""
    if not word.startswith("examples/"):
        return word
    tables = tomllib.loads((ROOT / word).read_text(encoding="utf-8"))
    if "space" in tables:
        return "search.toml"
    if "spiking" not in tables:
        return "small.toml"
    return "pairs.toml" if tables["spiking"]["rule"] == "stdp" else "spiking.toml"


def understood(command: Shown) -> None:
    """Raise where the command's program would refuse it, or where nothing here knows it."""
    if command.text not in FOREIGN:
        UNDERSTOOD[command.words[0]](command)


def _own(command: Shown) -> None:
    """By the parser of `synaptile` itself."""
    name, *words = filled(command)
    own = OWN[name]
    # --help is answered at once.
    if (words or not command.inline) and "--help" not in words:
        own.make_context(name, words)


def _make(command: Shown) -> None:
    """By what make would do, in which there may be commands of ours again."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for word in command.words[1:]:
        name, assigned, value = word.partition("=")
        declared = rf"^{name} +\?=" if assigned else rf"^{name}:.*##"
        assert re.search(declared, makefile, re.M), f"the Makefile has no {name}"
        if name == "EXAMPLE":
            assert (ROOT / f"examples/{value}.toml").exists(), f"no example {value}"
    dry = subprocess.run(
        ["make", "-n", *command.words[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert dry.returncode == 0, dry.stderr
    for line in re.findall(r"\.venv/bin/(synaptile [^;\n]+)", dry.stdout):
        # What a loop of the shell puts in is a board.
        understood(Shown("Makefile", re.sub(r"\$\w+", "BOARD", line)))


def _python(command: Shown) -> None:
    """A module of ours starts, and declares every option; code compiles."""
    switch, name, *words = command.words[1:]
    if switch == "-c":
        compile(name, command.page, "exec")
        return
    assert switch == "-m", f"neither -c nor -m: {switch}"
    source = (ROOT / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8")
    assert '__name__ == "__main__"' in source, f"{name} does not start"
    for word in words:
        if word.startswith("-"):
            assert f'add_argument("{word}"' in source, f"{name} has no {word}"
        elif word != "..." and not word.isdecimal():
            assert (ROOT / f"examples/{word}.toml").exists(), f"no example {word}"


def _pytest(command: Shown) -> None:
    """A marker, and a file that has tests with it."""
    marker = command.words[command.words.index("-m") + 1]
    declared = PROJECT["tool"]["pytest"]["ini_options"]["markers"]
    assert marker in {line.partition(":")[0] for line in declared}, f"no marker {marker}"
    (path,) = [word for word in command.words if word.startswith("tests/")]
    assert f"pytest.mark.{marker}" in (ROOT / path).read_text(encoding="utf-8")


def _pip(command: Shown) -> None:
    """An extra that there is."""
    extra = re.fullmatch(r"pip install 'synaptile\[(\w+)\]'", command.text)
    assert extra, "pip installs extras of ours"
    assert extra[1] in PROJECT["project"]["optional-dependencies"], f"no extra {extra[1]}"


UNDERSTOOD = {
    "synaptile": _own,
    "make": _make,
    "python": _python,
    "pytest": _pytest,
    "pip": _pip,
}
