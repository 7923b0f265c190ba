"""Where first weights come from: drawn like PyTorch's, or taken from runs and state_dicts."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file
from typer.testing import CliRunner

from host.commands.cli import app
from host.devices.device import open_device
from host.fixed_point import decode
from host.layers import Dense, build_network
from host.network import dense
from host.run import prepare, train
from host.run_config import LayerTable, parse_config
from host.training.initialisation import INITS, SMALL, draw, he_normal
from host.training.pretrained import CHECKPOINT, first_weights, read_weights
from hw.config import region_words
from hw.isa import Region
from hw.numbers import WEIGHT, Format
from synaptile import SGD, Sequential
from tests.host.small_run import classes_data

OUTPUTS, INPUTS = 200, 300

THEIRS = {
    "he": lambda w: torch.nn.init.kaiming_normal_(w),
    "he_uniform": lambda w: torch.nn.init.kaiming_uniform_(w, nonlinearity="relu"),
    "xavier": torch.nn.init.xavier_normal_,
    "xavier_uniform": torch.nn.init.xavier_uniform_,
    "orthogonal": torch.nn.init.orthogonal_,
    "normal": lambda w: torch.nn.init.normal_(w, 0, SMALL),
    "zeros": torch.nn.init.zeros_,
}


def drawn(name, shape=(OUTPUTS, INPUTS), seed=1):
    return draw([name], dense((shape[1], shape[0])), seed)[0]


@pytest.mark.parametrize("name", INITS)
def test_statistics_are_pytorchs(name):
    ours = drawn(name)
    assert ours.shape == (OUTPUTS, INPUTS + 1) and not ours[:, -1].any()
    ours = ours[:, :-1]
    torch.manual_seed(1)
    theirs = THEIRS[name](torch.empty(OUTPUTS, INPUTS, dtype=torch.float64)).numpy()
    count, deviation = ours.size, theirs.std()
    # Five standard errors of a mean, and of the difference of two deviations (fourth moment <= 3).
    assert abs(ours.mean()) <= 5 * deviation / np.sqrt(count)
    assert abs(ours.std() - deviation) <= 5 * deviation / np.sqrt(count)
    # Tails tell uniform from normal: the largest of 60000 lies at the edge, or beyond 3.5.
    if name.endswith("uniform"):
        limit = np.sqrt(6 / (INPUTS if name == "he_uniform" else INPUTS + OUTPUTS))
        for found in (ours, theirs):
            assert limit * (1 - 1e-3) < np.abs(found).max() <= limit
    elif name in ("he", "xavier", "normal"):
        assert np.abs(ours).max() > 3.5 * deviation


@pytest.mark.parametrize("shape", [(30, 50), (50, 30), (40, 40), (2, 9), (9, 2)])
def test_orthogonal_is(shape):
    matrix = drawn("orthogonal", shape)[:, :-1]
    product = matrix @ matrix.T if shape[0] <= shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(product, np.eye(min(shape)), atol=64 * 2.0**-53)


def test_what_is_drawn_where_nothing_is_said_stays_as_it_was():
    network = dense((5, 7, 3))
    rng = np.random.default_rng(11)
    for matrix, (inputs, outputs) in zip(he_normal(network, 11), [(5, 7), (7, 3)], strict=True):
        assert np.array_equal(matrix[:, :-1], rng.normal(0, np.sqrt(2 / inputs), (outputs, inputs)))


def test_layers_choose_theirs():
    layers = [Dense(7, "relu", init="zeros"), Dense(6, "tanh"), Dense(3, init="orthogonal")]
    network = build_network(5, layers, loss="cross_entropy", classes=True)
    weights = first_weights(network, layers, init="xavier", source=None, seed=3)
    expected = draw(["zeros", "xavier", "orthogonal"], network, 3)
    assert all(map(np.array_equal, weights, expected))
    x, y = classes_data()
    models = [
        Sequential(layers, init=init, optimizer=SGD(2**-5), device="golden").fit(x, y, epochs=1)
        for init in ("he", "xavier")
    ]
    assert not np.array_equal(models[0].weights_[1], models[1].weights_[1])
    with pytest.raises(ValueError, match="init must be one of he, he_uniform, .*, not 'kaiming'"):
        Dense(3, init="kaiming")
    with pytest.raises(ValueError, match="init must be one of"):
        Sequential(layers, init="kaiming")


def test_tables_say_the_same():
    table = LayerTable(units=4, init="orthogonal", frozen=True)
    assert table.dense() == Dense(4, init="orthogonal", frozen=True)


# From files


@pytest.fixture
def torch_file(tmp_path):
    """A state_dict of three linear layers whose names sort as numbers, and what they compute."""
    torch.manual_seed(2)
    modules = [torch.nn.Identity() for _ in range(11)]
    modules[0], modules[2] = torch.nn.Linear(5, 7), torch.nn.Linear(7, 6)
    modules[1] = modules[3] = torch.nn.ReLU()
    modules[10] = torch.nn.Linear(6, 3)
    net = torch.nn.Sequential(*modules)
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    return tmp_path / "net.safetensors", net


LAYERS = [Dense(7, "relu"), Dense(6, "relu"), Dense(3)]


def test_a_state_dict_computes_what_pytorch_does(torch_file):
    path, net = torch_file
    x, y = classes_data()
    still = [*(replace(layer, frozen=True) for layer in LAYERS[:2]), LAYERS[2]]
    model = Sequential(still, weights=path, optimizer=SGD(2**-14, momentum=0), device="golden")
    model.fit(x, y, epochs=1)
    found = read_weights(path, WEIGHT)
    assert [found[layer].shape for layer in (1, 2, 3)] == [(7, 6), (6, 8), (3, 7)]
    for layer, index in ((1, 0), (2, 2), (3, 10)):
        assert np.array_equal(found[layer][:, :-1], net[index].weight.detach().double())
        assert np.array_equal(found[layer][:, -1], net[index].bias.detach().double())
    # Frozen layers hold PyTorch's weights, rounded.
    for layer in (1, 2):
        assert np.abs(model.weights_[layer - 1] - found[layer]).max() <= WEIGHT.lsb / 2
    outputs = net(torch.tensor(x, dtype=torch.float32)).detach().numpy()
    assert np.abs(model.decision_function(x) - outputs).max() < 2.0**-5


def test_a_run_goes_on_from_another_runs_weights(tmp_path):
    text = """
[data]
name = "iris"
scaling = "z-score"
[network]
layers = [{ units = 6, activation = "relu"FIRST }, { units = 3 }]
MORE
[formats]
weights = "FORMAT"
[training]
learning_rate = 0.0625
epochs = 3
"""
    runner = CliRunner()

    def run(name, fmt, first="", more=""):
        changed = text.replace("FIRST", first).replace("MORE", more).replace("FORMAT", fmt)
        (tmp_path / f"{name}.toml").write_text(changed)
        command = ["train", tmp_path / f"{name}.toml", "--device", "golden"]
        result = runner.invoke(app, [str(c) for c in [*command, "--out", tmp_path / name]])
        assert result.exit_code == 0, result.output
        with np.load(tmp_path / name / "weights.npz") as arrays:
            return [arrays[key] for key in ("layer_1", "layer_2")]

    before = run("one", "Q3.12")
    more = 'weights = "one/weights.npz"'
    after = run("two", "Q3.12", ", frozen = true", more)
    assert np.array_equal(before[0], after[0]) and not np.array_equal(before[1], after[1])
    # Words of another binary point stand for the same weights.
    finer = run("three", "Q4.11", ", frozen = true", more)
    assert np.array_equal(finer[0], (before[0].astype(int) + 1) >> 1)
    values = json.loads((tmp_path / "two" / "result.json").read_text())
    assert values["config"]["network"]["weights"].endswith("one/weights.npz")
    # A layer that names an init of its own is drawn.
    drawn_anew = run("four", "Q3.12", ', frozen = true, init = "zeros"', more)
    assert not drawn_anew[0].any()


@pytest.mark.parametrize("fmt", ["Q3.12", "Q4.11"])
def test_a_checkpoints_weights_are_those_of_its_device(tmp_path, fmt):
    values = {
        "data": {"name": "iris", "scaling": "z-score"},
        "network": {"layers": [{"units": 9, "activation": "relu"}, {"units": 3}]},
        "formats": {"weights": fmt},
        "training": {"epochs": 2},
    }
    experiment = prepare(parse_config(values))
    with open_device("golden", experiment.device_config) as device:
        outcome = train(experiment, device)
        sizes = region_words(experiment.device_config)
        tensors = {
            "device.memories.WEIGHT 0": device.read(Region.WEIGHT, 0, sizes[Region.WEIGHT]),
            "device.registers": device.read(Region.REGISTERS, 0, sizes[Region.REGISTERS]),
        }
    run = {"config": values, "configuration": experiment.device_config.name}
    path = tmp_path / "epoch-000002.safetensors"
    save_arrays(tensors, path, {CHECKPOINT: json.dumps({"run": run})})
    found = read_weights(path, WEIGHT)
    assert sorted(found) == [1, 2]
    for layer in (1, 2):
        words = outcome.weights[f"layer_{layer}"]
        assert np.array_equal(found[layer], decode(words, Format.parse(fmt)))
    for wrong in ("{", "[]", "{}", json.dumps({"run": {**run, "configuration": "ecp6"}})):
        save_arrays(tensors, path, {CHECKPOINT: wrong})
        with pytest.raises(ValueError, match="must be a checkpoint of a dense network's run"):
            read_weights(path, WEIGHT)


def test_matrices_of_another_network():
    x, y = classes_data()
    first = Sequential(LAYERS, optimizer=SGD(2**-4), device="golden").fit(x, y, epochs=2)
    second = Sequential(
        [*LAYERS[:2], Dense(2, init="xavier")],
        weights=first.weights_,
        optimizer=SGD(2**-4),
        device="golden",
    )
    assert second.fit(x, y % 2, epochs=1).weights_[2].shape == (2, 7)


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def tensors(path, **shapes):
    save_file({name.replace("__", "."): torch.zeros(s) for name, s in shapes.items()}, path)
    return path


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda p: p / "none.npz", "none.npz does not exist: weights must be a file"),
        (lambda p: p, "does not exist: weights must be a file"),
        (lambda p: npz(p / "a.npz", layer_1=np.zeros((7, 6))), "for layer 2, not 1: give l"),
        (
            lambda p: npz(p / "a.npz", layer_1=np.zeros((7, 5)), layer_2=np.zeros((3, 8))),
            r"layer 1 must be of shape \(7, 6\), the bias included, not \(7, 5\)",
        ),
        (lambda p: npz(p / "a.npz", neurons=np.zeros((7, 6))), "hold matrices layer_1, .* neurons"),
        (lambda p: npz(p / "a.npz", layer_1=np.array(["a"])), "hold matrices layer_1"),
        (
            lambda p: npz(p / "a.npz", layer_1=np.full((7, 6), np.nan), layer_2=np.ones((3, 8))),
            "every weight of layer 1 must be finite",
        ),
        (
            lambda p: npz(p / "a.npz", layer_1=np.full((7, 6), 9.0), layer_2=np.ones((3, 8))),
            "every weight of layer 1 must lie from -8 to",
        ),
        (
            lambda p: tensors(p / "a.safetensors", a__weight=(7, 5), a__bias=(6,)),
            r"hold a.bias of shape \(7,\), not \(6,\)",
        ),
        (lambda p: tensors(p / "a.safetensors", a__weight=(7,)), "NAME.weight of two axes"),
        (lambda p: tensors(p / "a.safetensors", a__mean=(7,)), "NAME.weight of two axes"),
        (lambda p: tensors(p / "a.pt", a__weight=(7, 5)), "a file .npz or .safetensors, not a.pt"),
    ],
)
def test_wrong_files(tmp_path, write, message):
    layers = [Dense(7, "relu"), Dense(3)]
    model = Sequential(layers, weights=write(tmp_path), optimizer=SGD(0.1), device="golden")
    with pytest.raises(ValueError, match=message):
        model.fit(*classes_data(), epochs=1)


@pytest.mark.parametrize("name", ["a.npz", "a.safetensors"])
def test_files_that_are_none(tmp_path, name):
    for data in (b"", b"PK\x03\x04 and no more", bytes(200)):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=f"{name} cannot be read as"):
            read_weights(tmp_path / name, Format(3, 12))


def test_weights_that_no_layer_takes():
    layers = [Dense(7, "relu", init="he"), Dense(3, init="he")]
    model = Sequential(layers, weights=[np.zeros((7, 6))], device="golden")
    with pytest.raises(ValueError, match="weights must be left out where every layer names its"):
        model.fit(*classes_data())


def test_wrong_tables():
    values = {"data": {"name": "iris"}, "network": {"layers": [{"units": 3, "init": "kaiming"}]}}
    with pytest.raises(ValueError, match="network.layers.0.init should be 'he', .*not 'kaiming'"):
        parse_config(values)
