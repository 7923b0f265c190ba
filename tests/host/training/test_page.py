"""What docs/training.md shows can be run, and its table of schedules is the declared one."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import synaptile
from host.run_config import parse_config
from host.training.initialisation import INITS
from host.training.tables import SCHEDULES

PAGE = (Path(__file__).parents[3] / "docs" / "training.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_tables_are_understood():
    shown = blocks("toml")
    assert len(shown) == 6
    for text in shown:
        values = tomllib.loads(text)
        layers = [{"units": 4, "activation": "relu"}, {"units": 10}]
        values.setdefault("network", {}).setdefault("layers", layers)
        parse_config({"data": {"name": "digits", "scaling": 16}, **values})


def test_the_code_runs():
    (code,) = blocks("python")
    names = {}
    exec(compile(code, "training.md", "exec"), names)
    x, y, low = names["x"], names["y"], names["low"]
    assert names["first"].score(x[low], y[low]) > 0.9
    assert names["tuned"].score(x[~low][200:], y[~low][200:] - 5) > 0.8


def test_every_kind_and_init_is_there():
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \|.* \| (.*) \|$", PAGE, re.MULTILINE)
    assert {kind: cls for kind, cls, _ in rows} == {k: c.__name__ for k, c in SCHEDULES.items()}
    for kind, _, keys in rows:
        assert re.findall(r"([a-z]+) [^a-z]", keys) == [f.name for f in fields(SCHEDULES[kind])]
    assert all(hasattr(synaptile, cls) for _, cls, _ in rows)
    assert all(f"`{name}`" in PAGE for name in INITS)
