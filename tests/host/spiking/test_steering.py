"""Spiking runs end early, with all that the best epoch had learned."""

import json

import numpy as np
import pytest

from host.devices.device import open_device
from host.spiking.trainer import SpikingTrainer
from host.training.stopping import EarlyStopping
from hw.isa import Region
from sim.compare import differing_words, read_state
from tests.host.commands.test_cli import call, words
from tests.host.commands.test_spiking_cli import CEREBELLUM, SMALL
from tests.host.spiking.small_runs import (
    CONFIG,
    cerebellum,
    digits,
    hybrid,
    plan_of,
    prototypes,
    trained,
)

VALIDATION = tuple(each[200:260] for each in digits(260)[0])


@pytest.mark.parametrize("network", [cerebellum(), prototypes()], ids=["counted", "labelled"])
def test_what_the_best_epoch_had_learned_is_kept(network):
    stopping = EarlyStopping(patience=2, monitor="val_accuracy")
    options = {"train": 100, "test": 20, "validation": VALIDATION}
    plan = plan_of(network, epochs=12, stopping=stopping, **options)
    state, weights, reports = trained(plan)
    shares = [report.val_accuracy for report in reports]
    print(shares)
    best = shares.index(max(shares))
    assert len(reports) == best + 3 < 12
    shorter, expected, _ = trained(plan_of(network, epochs=best + 1, **options))
    for region in (Region.WEIGHT, Region.STATE):
        assert np.array_equal(state[region], shorter[region])
    assert all(np.array_equal(weights[name], expected[name]) for name in weights)


@pytest.mark.simulator
def test_golden_and_gateware_end_alike():
    stopping = EarlyStopping(patience=1, monitor="val_accuracy")
    options = {"validation": VALIDATION, "stopping": stopping, "train": 60, "test": 20}
    plan = plan_of(cerebellum(), epochs=6, **options)
    states = []
    for name in ("golden", "sim"):
        with open_device(name, CONFIG) as device:
            trainer = SpikingTrainer(device, plan)
            trainer.load()
            assert len(list(trainer.reports())) < 6
            states.append(read_state(device))
    assert not list(differing_words(*states))


@pytest.mark.parametrize(
    ("network", "stopping", "options", "message"),
    [
        (hybrid(), EarlyStopping(monitor="accuracy"), {}, "left out under the rule hybrid"),
        (cerebellum(), EarlyStopping(), {}, "monitor must be accuracy or val_accuracy in a"),
        (cerebellum(), EarlyStopping(monitor="val_accuracy"), {}, "there must be validation samp"),
        (
            cerebellum(),
            EarlyStopping(monitor="accuracy"),
            {"evaluate_every": 2},
            "evaluate_every must be 1 where training may stop early, not 2",
        ),
    ],
)
def test_what_is_watched_must_be_there(network, stopping, options, message):
    with pytest.raises(ValueError, match=message):
        plan_of(network, stopping=stopping, **options)


@pytest.mark.parametrize("text", [SMALL, CEREBELLUM], ids=["labelled", "counted"])
def test_a_file_says_when_to_stop(tmp_path, text):
    path = tmp_path / "c.toml"
    more = "epochs = 20\nearly_stopping = { patience = 2 }"
    path.write_text(text.replace("epochs = 2", more))
    result = call("train", path, "--device", "golden", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "38 samples to learn, 10 to validate, 12 to test" in words(result)
    values = json.loads((tmp_path / "run" / "result.json").read_text())
    shares = values["val_accuracy"]
    assert values["best_epoch"] == shares.index(max(shares)) + 1 == values["epochs"] - 2 < 18
    assert values["test_accuracy"] == values["test_accuracy_per_epoch"][values["best_epoch"] - 1]
    if "votes" in values:
        assert values["votes"][values["vote"]] == values["test_accuracy"]
    assert f"with what epoch {values['best_epoch']} learned" in words(result)


@pytest.mark.parametrize("kind", ["plateau", "one_cycle", "cyclic", "warmup_cosine"])
def test_rates_change_by_epoch_alone(tmp_path, kind):
    path = tmp_path / "c.toml"
    path.write_text(SMALL + f'[training.schedule]\nkind = "{kind}"\n')
    result = call("train", path, "--device", "golden", "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "kind must be one of constant, step, piecewise, exponential, cosine" in words(result)
