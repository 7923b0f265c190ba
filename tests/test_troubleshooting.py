"""The troubleshooting page: its symptoms come and go as it says, and messages it quotes exist."""

import json
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

from host.devices.device import open_device
from host.run import prepare, train
from host.run_config import parse_config

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
SECTIONS = re.findall(
    r"^### (.+?)$(?:(?!^###? ).)*?```toml\n(.*?)```\s+```toml\n(.*?)```", PAGE, re.M | re.S
)
EPOCHS = 8


def results(changes):
    """Of the example with a page's tables laid over it; several cures make the same run."""
    tables = tomllib.loads((ROOT / "examples" / "digits.toml").read_text(encoding="utf-8"))
    tables["training"]["epochs"] = EPOCHS
    for name, table in tomllib.loads(changes).items():
        tables.setdefault(name, {}).update(table)
    return results_of(json.dumps(tables, sort_keys=True))


@cache
def results_of(tables):
    experiment = prepare(parse_config(json.loads(tables)))
    with open_device("golden", experiment.device_config) as device:
        return experiment.results(train(experiment, device))


SHOWS = {
    "The loss hardly falls": lambda r: r["train_loss"][-1] > 2.2,
    "The loss jumps up and down, and saturations rise": lambda r: (
        min(r["train_loss"]) > 1.5 and r["saturations"]["layer 1 delta"] > 1000
    ),
    'The loss stays near 2, and "layer 1 activation" saturates from the first epoch on': lambda r: (
        min(r["train_loss"]) > 1.9 and r["saturations"]["layer 1 activation"] > 100_000
    ),
    "The loss falls, then rises again, and hidden activations saturate": lambda r: (
        r["train_loss"][4] > 1.5 * min(r["train_loss"])
        and r["saturations"]["layer 1 activation"] > 100_000
    ),
    "The accuracy is stuck far below what others reach, without any saturation": lambda r: (
        r["final_test_accuracy"] < 0.6 and not any(r["saturations"].values())
    ),
    "Nothing happens for some epochs": lambda r: (
        r["train_loss"][2] > 2.2 and r["final_test_accuracy"] < 0.7
    ),
    "All of the training samples are right, and few of the test's": lambda r: (
        r["train_accuracy"][-1] == 1 and r["final_test_accuracy"] < 0.9
    ),
}


def test_every_pair_of_changes_is_tried():
    assert [title for title, *_ in SECTIONS] == list(SHOWS)
    assert PAGE.count("```toml") == 2 * len(SECTIONS)


@pytest.mark.parametrize(("title", "ill", "well"), SECTIONS, ids=[s[0] for s in SECTIONS])
def test_a_symptom_comes_and_goes(title, ill, well):
    assert SHOWS[title](results(ill))
    healed = results(well)
    assert not SHOWS[title](healed)
    assert healed["final_test_accuracy"] > 0.9


def test_quoted_messages_are_ours():
    table = PAGE.partition("## Devices and boards")[2]
    quoted = re.findall(r"^\| `(.+?)` \|", table, re.M)
    assert len(quoted) >= 6
    source = " ".join(path.read_text() for path in (ROOT / "host").rglob("*.py"))
    source = re.sub(r'"\s*f?"', "", source)
    for message in quoted:
        for part in message.split("..."):
            assert part.strip() in source, message
