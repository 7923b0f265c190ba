"""Files of samples: what they hold is what is read; a damaged one is a ValueError that says so."""

import contextlib
import gzip
import json
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from host.commands.terminal import BAD
from host.data import (
    Choice,
    Recipe,
    open_reader,
    prepare_table,
    read_file,
    read_table,
    synthetic_market,
)
from host.data.market_file import ACTIONS, market_table
from host.data.spike_file import read_recording
from host.data.storing import store
from host.spiking.network import Encoding
from hw.numbers import Format
from tests.host.commands.test_cli import call, words
from tests.host.data.small_files import SPECIES, X, Y, idx, recording, write_all

LEVEL = Encoding(kind="level", steps=20)
NETWORK = """
[network]
layers = [{ units = 4, activation = "relu" }, { units = 3 }]
[training]
epochs = 1
batch_size = 8
"""
SPIKING = """
[spiking]
rule = "prototype"
[spiking.encoding]
kind = "level"
steps = 20
[spiking.neurons]
count = 6
[training]
epochs = 1
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    return folder, write_all(folder)


def classes_of(path, **choice):
    return read_table(path, Choice(classes=True, **choice))


def test_every_kind_holds_the_same_samples(files):
    folder, _ = files
    named = classes_of(folder / "named.csv", target=("species",))
    assert named.columns == ("length", "width", "height", "depth") and named.classes == SPECIES
    images = {"inputs": ("images",), "target": ("labels",)}
    labels = folder / "labels-idx1-ubyte"
    tables = [
        named,
        classes_of(folder / "plain.csv"),
        classes_of(folder / "d.npz"),
        classes_of(folder / "other.npz", **images),
        classes_of(folder / "x.npy", labels=folder / "y.npy"),
    ]
    for table in tables:
        assert np.array_equal(table.inputs, X) and np.array_equal(table.targets, Y)
    assert tables[3].shape == (2, 2)
    floats = classes_of(folder / "x.idx", labels=labels)
    assert np.array_equal(floats.inputs, X.astype(np.float32)) and floats.targets.tolist() == list(
        Y
    )
    bytes_ = classes_of(folder / "images-idx3-ubyte.gz", labels=labels)
    assert np.array_equal(bytes_.inputs, np.floor(X * 50)) and bytes_.shape == (2, 2)


def test_columns_are_chosen_by_name(files):
    folder, _ = files
    choice = {"inputs": ("depth", "width"), "target": ("height", "length")}
    table = read_table(folder / "plain.csv", Choice(classes=False, inputs=("3",), target=("0",)))
    assert np.array_equal(table.inputs, X[:, [3]]) and np.array_equal(table.targets, X[:, 0])
    table = read_table(folder / "named.csv", Choice(classes=False, **choice))
    assert np.array_equal(table.inputs, X[:, [3, 1]])
    assert np.array_equal(table.targets, X[:, [2, 0]])


def test_a_large_csv_is_the_same_in_many_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr("host.data.csv_file.CHUNK_VALUES", 16)
    monkeypatch.setattr("host.data.array_file.CHUNK_VALUES", 16)
    write_all(tmp_path)
    assert np.array_equal(classes_of(tmp_path / "named.csv").inputs, X)
    assert classes_of(tmp_path / "named.csv").targets.tolist() == list(Y)
    assert np.array_equal(classes_of(tmp_path / "d.npz").inputs, X)


def test_market_data(files):
    folder, _ = files
    text = json.loads((folder / "market.json").read_text())["training_examples"]
    table = classes_of(folder / "market.json")
    assert table.columns == ("price", "volume", "bid", "ask", "timestamp", "feature_0")
    assert table.classes == ACTIONS and len(table.inputs) == 60
    assert [ACTIONS[k] for k in table.targets] == [each["target"]["action"] for each in text]
    for k, name in enumerate(table.columns[:5]):
        assert table.inputs[:, k].tolist() == [each["input"][name] for each in text]
    values = read_table(
        folder / "market.json", Choice(classes=False, target=("expected_return", "confidence"))
    )
    expected = [[e["target"]["expected_return"], e["target"]["confidence"]] for e in text]
    assert values.targets.tolist() == expected


def test_spike_trains(files):
    folder, _ = files
    table = read_table(folder / "trains", Choice(classes=True), LEVEL)
    assert table.classes == SPECIES and table.inputs.shape == (24, 20 * 4)
    assert table.targets.tolist() == [0] * 8 + [1] * 8 + [2] * 8
    raster = table.inputs[9].reshape(20, 4)
    for train in recording(1, 1)["spike_trains"]:
        assert np.flatnonzero(raster[:, train["neuron_id"]]).tolist() == [
            int(time) for time in train["spike_times"]
        ]


@pytest.mark.parametrize("kind", ["named csv", "npz", "npy", "idx gz", "market"])
def test_train_takes_every_kind(files, tmp_path, kind):
    folder, tables = files
    config = folder / f"{kind.replace(' ', '_')}.toml"
    config.write_text(f"[data]\n{tables[kind]}\n{NETWORK}")
    result = call("train", config, "--device", "golden", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    values = json.loads((tmp_path / "result.json").read_text())
    assert values["epochs"] == 1 and values["data"]["features"] in (4, 6)


def test_train_takes_spike_trains(files, tmp_path):
    folder, _ = files
    (folder / "spikes.toml").write_text(f'[data]\nfile = "trains"\n{SPIKING}')
    result = call("train", folder / "spikes.toml", "--device", "golden", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    values = json.loads((tmp_path / "result.json").read_text())
    assert values["data"]["classes"] == list(SPECIES)


def csv(text):
    return {"d.csv": text.encode()}, 'file = "d.csv"'


def market(change):
    document = json.loads(synthetic_market(0, 30))
    change(document["training_examples"])
    return {"d.json": json.dumps(document).encode()}, 'file = "d.json"'


def npz(**arrays):
    return lambda path: np.savez(path, **arrays)


BAD_FILES = [
    (csv("a,b,c\n1,2,0\n1,x,1\n"), "line 3, column 1 (b): must be a number, not 'x'"),
    (csv("a,b,c\n1,2,0\n1,,1\n"), "line 3, column 1 (b): must be a number, not ''"),
    (csv("1,2,0\n1,1_000,1\n"), "line 2, column 1: must be a number, not '1_000'"),
    (csv("1,2,0\n1,\u0663,1\n"), "line 2, column 1: must be a number, not"),
    (csv("1,2,0\n1,2,1" + " " * (1 << 24) + "\n"), "line 2: a line must be shorter than"),
    (csv("1,2,0\n1,inf,1\n"), "line 2, column 1: must be finite, not inf"),
    (csv("1,2,0\n1,2,3,1\n"), "line 2: every line must have 3 fields as the first one has, not 4"),
    (csv("1,2,0\n\n1,2,1\n"), "line 2: every line must have 3 fields as the first one has, not 0"),
    (csv("a;b;c\n1;2;0\n"), "parted by ';', where commas must stand"),
    (csv("a,a,c\n1,2,0\n"), "line 1: every column must have a name of its own"),
    (csv('1,2,0\n1,"2,1\n'), "line 2: is no CSV"),
    (csv("a,2,0\n1,2,1\n"), "line 1, column 0: must be a number, not 'a'"),
    (({"d.csv": b"1,2,0\n1,\xff,1\n"}, 'file = "d.csv"'), "line 2: must be UTF-8, and byte 3"),
    (csv("1,2,a\n2,3,b\n" * 5 + "1,2,\n"), "line 11, column 2: must be a class, not none"),
    (({"d.csv": b"1,2,0\n"}, 'file = "d.csv"\ntarget = "z"'), "target must be of 0, 1, 2, not 'z'"),
    (({"d.csv": b"1,2,0\n"}, 'file = "e.csv"'), "e.csv does not exist"),
    (({"d.npz": b"PK\3\4 nothing"}, 'file = "d.npz"'), "d.npz cannot be used"),
    (({"d.npy": b""}, 'file = "d.npy"'), "data.labels names their file"),
    (({"d.idx": b"\0\0\x07\1", "y": b""}, 'file = "d.idx"\nlabels = "y"'), "must begin with two"),
    (
        ({"d.idx": idx(X, 0x0D)[:-1], "y": idx(Y, 8)}, 'file = "d.idx"\nlabels = "y"'),
        "must have 480 bytes of an array of 30 x 4 >f4, not 479",
    ),
    (
        ({"d.idx.gz": gzip.compress(idx(X, 0x0D))[:-20], "y": idx(Y, 8)},)
        + ('file = "d.idx.gz"\nlabels = "y"',),
        "d.idx.gz cannot be used: Compressed file ended",
    ),
    (
        ({"d.idx": idx(X, 0x0D), "y": idx(Y[:-1], 8)}, 'file = "d.idx"\nlabels = "y"'),
        "y must have a target for each of the 30 samples, not the shape (29,)",
    ),
    (
        market(lambda e: e[1]["input"].update(price="1")),
        "training_examples[1].input.price: Input should be a valid number, not '1'",
    ),
    (market(lambda e: e[2]["input"].pop("bid")), "training_examples[2].input.bid: Field required"),
    (market(lambda e: e[0].update(wieght=1)), "training_examples[0].wieght: Extra inputs are not"),
    (market(lambda e: e[0]["target"].update(action="wait")), "[0].target.action: Input should be"),
    (market(lambda e: e[1]["input"].update(timestamp=5)), "[1].input.timestamp: must not be"),
    (market(lambda e: e[1]["input"].update(features=[])), "[1].input.features: must be 1 as in"),
    (market(lambda e: e[1].update(weight=2)), "data.weights must be 'resample'"),
    (({"d.json": b'{"trains": []}'}, 'file = "d.json"'), "first key is 'training_examples' or"),
    (({"d.json": b'{"spike_trains": []}'}, 'file = "d.json"'), "is one sample of spike trains"),
    (
        ({"d.json": synthetic_market(0, 30).encode()}, 'file = "d.json"\nmemory = 0.001'),
        "d.json must have at most 1,048 bytes, not",
    ),
    (({"d.json": b'{"training_examples": [}'}, 'file = "d.json"'), "d.json: Invalid JSON"),
    (({"d.csv": b"1,2,0\n"}, 'file = "d.csv"\nlayer = "a"'), "data.layer must be left out"),
]


@pytest.mark.parametrize(("bad", "message"), BAD_FILES, ids=[each[1][:40] for each in BAD_FILES])
def test_a_bad_file_is_explained(tmp_path, bad, message):
    contents, table = bad
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "c.toml").write_text(f"[data]\n{table}\n{NETWORK}")
    result = call("train", tmp_path / "c.toml", "--device", "golden", "--out", tmp_path / "out")
    assert result.exit_code == BAD and message in words(result), words(result)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, "but y is missing; it holds x"),
        ({"x": X, "y": np.array([{}] * 30)}, "not Python objects, which are never unpickled"),
        ({"x": X.astype(complex), "y": Y}, "must hold numbers, not complex128"),
        ({"x": X, "y": Y[:3]}, "a target for each of the 30 samples, not the shape (3,)"),
        ({"x": np.where(X > 4.5, np.nan, X), "y": Y}, "must be finite, not nan"),
        ({"x": X[:0], "y": Y[:0]}, "at least one sample, not none"),
    ],
)
def test_bad_arrays(tmp_path, arrays, message):
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(ValueError) as caught:
        read_file(tmp_path / "d.npz")
    assert message in str(caught.value) and "d.npz" in str(caught.value)


def test_fortrans_order_is_turned(tmp_path, monkeypatch):
    monkeypatch.setattr("host.data.array_file.CHUNK_VALUES", 16)
    values = np.stack([Y, Y + 1.5], axis=1)
    images = np.asfortranarray(X.reshape(30, 2, 2))
    np.savez(tmp_path / "d.npz", x=images, y=np.asfortranarray(values))
    table = read_table(tmp_path / "d.npz", Choice(classes=False))
    assert np.array_equal(table.inputs, X) and np.array_equal(table.targets, values)
    reader = open_reader(tmp_path / "d.npz", Choice(classes=False))
    assert reader is not None and not reader.in_pieces
    with pytest.raises(ValueError, match="must be in C order to be read in pieces"):
        store(reader, Recipe(classes=False), Format(6, 9), "d.npz")


def test_a_header_that_lies_about_its_size_takes_no_memory(tmp_path):
    np.savez(tmp_path / "d.npz", x=X, y=Y)
    with zipfile.ZipFile(tmp_path / "d.npz") as archive:
        arrays = {name: archive.read(name) for name in archive.namelist()}
    arrays["x.npy"] = arrays["x.npy"].replace(b"(30, 4)", b"(9**9,)", 1)
    huge = arrays["x.npy"].replace(b"(9**9,), }       ", b"(30000000000, 4)}", 1)
    with zipfile.ZipFile(tmp_path / "e.npz", "w") as archive:
        archive.writestr("x.npy", huge)
        archive.writestr("y.npy", arrays["y.npy"])
    with pytest.raises(ValueError, match="e.npz"):
        read_file(tmp_path / "e.npz")


def test_bad_spike_trains(tmp_path):
    path = tmp_path / "a.json"

    def refused(message, **changes):
        document = recording(0, 0)
        document["spike_trains"][1].update(changes)
        path.write_text(json.dumps(document))
        with pytest.raises(ValueError, match=message):
            read_recording(path)

    refused(r"spike_trains\[1\].spike_times\[1\]: must be after 3 ms, not 2", spike_times=[3, 2])
    refused(r"spike_trains\[1\].spike_times\[0\]: must be below the duration", spike_times=[20])
    refused(r"spike_trains\[1\].neuron_id: must be a neuron that has no train", neuron_id=0)
    refused(r"spike_trains\[1\].duration: must be 20 ms", duration=10)
    refused(r"must name one of the layers hidden, input", layer="hidden")
    refused(r"spike_trains\[1\].neuron_id: Input should be less", neuron_id=10**9)
    refused(r"spike_trains\[1\].spike_times\[0\]: Input should be .*finite", spike_times=[np.nan])
    path.write_text(json.dumps(recording(0, 0)))
    assert read_recording(path).inputs == 4
    with pytest.raises(ValueError, match="folder of JSON files for each of two classes"):
        read_table(tmp_path, Choice(classes=True), LEVEL)
    with pytest.raises(ValueError, match="must go to a spiking network"):
        read_table(tmp_path, Choice(classes=True))


# Any change of a file: read, or refused by a ValueError.

CHANGES = st.lists(
    st.tuples(st.integers(0, 1 << 20), st.sampled_from("replace insert cut".split()), st.binary()),
    min_size=1,
    max_size=4,
)


def changed(data, changes):
    for at, how, piece in changes:
        at %= len(data) + 1
        if how == "cut":
            data = data[:at]
        else:
            data = data[:at] + piece + data[at + (len(piece) if how == "replace" else 0) :]
    return data


@pytest.mark.parametrize(
    ("name", "choice"),
    [
        ("named.csv", {}),
        ("plain.csv", {}),
        ("d.npz", {}),
        ("other.npz", {"inputs": ("images",), "target": ("labels",)}),
        ("x.npy", {"labels": "y.npy"}),
        ("x.idx", {"labels": "labels-idx1-ubyte"}),
        ("images-idx3-ubyte.gz", {"labels": "labels-idx1-ubyte"}),
        ("market.json", {}),
        ("trains", {}),
    ],
)
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    changes=CHANGES,
    which=st.integers(0, 1),
    classes=st.booleans(),
    scaling=st.sampled_from(["none", "z-score", "min-max", 3.0]),
)
def test_whatever_is_changed(files, tmp_path, name, choice, changes, which, classes, scaling):
    folder, _ = files
    paths = {key: tmp_path / str(value) for key, value in choice.items() if key == "labels"}
    names = [name, *(str(value) for key, value in choice.items() if key == "labels")]
    for k, each in enumerate(names):
        source = folder / each
        if source.is_dir():
            for file in source.glob("*/[01].json"):
                target = tmp_path / each / file.parent.name / file.name
                target.parent.mkdir(parents=True, exist_ok=True)
                first = file.parent.name == SPECIES[0] and file.name == "0.json"
                data = file.read_bytes()
                target.write_bytes(changed(data, changes) if first else data)
            continue
        data = source.read_bytes()
        (tmp_path / each).write_bytes(changed(data, changes) if k == which % len(names) else data)
    try:
        table = read_table(tmp_path / name, Choice(classes=classes, **{**choice, **paths}), LEVEL)
    except ValueError as error:
        assert str(tmp_path) in str(error)
    else:
        assert len(table.inputs) == len(table.targets) > 0
        assert np.isfinite(table.inputs).all()
        with contextlib.suppress(ValueError):
            recipe = Recipe(classes=classes, scaling=scaling, limits=(-64.0, 63.9))
            dataset = prepare_table(table, recipe)
            assert np.isfinite(dataset.train[0]).all() and np.isfinite(dataset.test[0]).all()


@settings(max_examples=60, deadline=None)
@given(text=st.binary(max_size=300))
def test_no_text_is_a_market(text):
    with pytest.raises(ValueError, match="any.json"):
        market_table("any.json", text, (), classes=True)
