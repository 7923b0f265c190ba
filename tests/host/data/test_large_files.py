"""Files larger than the memory that they may take: the same training, within a bound."""

import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from host.data import Choice, open_reader, prepare_table, read_table
from host.data.splitting import Recipe
from host.data.stored_inputs import InputStore, StoredInputs
from host.data.storing import store
from host.data.tables import MEBIBYTE
from host.fixed_point import RangeError, decode
from host.run import prepare
from host.run_config import read_config
from hw.numbers import Format
from tests.host.commands.test_cli import ROOT, call, words

FMT = Format(6, 9)
PEAK = """
import runpy, sys
from pathlib import Path

def peak():
    status = Path("/proc/self/status").read_text().split()
    return int(status[status.index("VmHWM:") + 1]) // 1024

sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], {"peak": peak}, "__main__")
finally:
    print("peak", peak())
"""
"""Runs a program and tells the MiB that it had at most; getrusage would count its parent's too."""

WALK = """
import sys
from pathlib import Path
from host.run import prepare
from host.run_config import read_config
for path in sys.argv[1:]:
    plan = prepare(read_config(Path(path))).plan
    total = sum(data.nbytes for data in plan.train.batches(64)) + len(plan.test.batch(0, 100))
    print("bytes", total, "at", peak())
"""
"""Prepares runs, and gathers the batches of an epoch of each."""


def write_csv(path, samples, features=5, seed=2):
    rng = np.random.default_rng(seed)
    labels = np.arange(samples) % 3
    inputs = np.round(rng.normal(0, 0.4, (samples, features)) + np.eye(3, features)[labels], 4)
    rows = [",".join(map(str, x)) + f",c{y}" for x, y in zip(inputs, labels, strict=True)]
    path.write_text("\n".join(rows) + "\n")


def config(folder, data, epochs=2):
    path = folder / "c.toml"
    path.write_text(f"""
[data]
{data}
[network]
layers = [{{ units = 6, activation = "relu" }}, {{ units = 3 }}]
[training]
learning_rate = 0.0625
epochs = {epochs}
batch_size = 16
""")
    return path


@pytest.mark.parametrize("scaling", ['"none"', "2", '"z-score"', '"min-max"'])
def test_a_stored_file_trains_to_the_same_bits(tmp_path, scaling):
    write_csv(tmp_path / "d.csv", 200)
    found = []
    for memory, stored in ((1, False), (0.001, True)):
        data = f'file = "d.csv"\nscaling = {scaling}\nmemory = {memory}'
        out = tmp_path / str(memory)
        result = call("train", config(tmp_path, data), "--device", "golden", "--out", out)
        assert result.exit_code == 0, result.output
        values = json.loads((out / "result.json").read_text())
        assert values["data"]["stored"] is stored
        assert ("stored samples" in result.output) is stored
        with np.load(out / "weights.npz") as arrays:
            found.append([arrays[name] for name in arrays.files])
        clipping = values["data"]["clipping"]
        found[-1].append(np.array([clipping["clipped"], clipping["values"]]))
    for small, large in zip(*found, strict=True):
        assert np.array_equal(small, large)


@pytest.mark.parametrize("name", ["d.npz", "x.npy", "d.csv"])
def test_stored_words_are_those_of_the_inputs(tmp_path, name, monkeypatch):
    monkeypatch.setattr("host.data.array_file.CHUNK_VALUES", 32)
    monkeypatch.setattr("host.data.csv_file.CHUNK_VALUES", 32)
    rng = np.random.default_rng(0)
    inputs, labels = np.round(rng.normal(0, 2, (40, 2, 3)), 3), np.arange(40) % 4
    np.savez(tmp_path / "d.npz", x=inputs, y=labels)
    np.save(tmp_path / "x.npy", inputs)
    np.save(tmp_path / "y.npy", labels)
    table = np.column_stack([inputs.reshape(40, 6), labels])
    np.savetxt(tmp_path / "d.csv", table, delimiter=",", fmt="%.3f")
    labels_file = tmp_path / "y.npy" if name == "x.npy" else None
    choice = Choice(classes=True, labels=labels_file)
    recipe = Recipe(classes=True, seed=3, limits=(-2.0, 2.0))
    whole = prepare_table(read_table(tmp_path / name, choice), recipe)
    reader = open_reader(tmp_path / name, choice)
    assert reader is not None and (name == "d.csv" or reader.size == 8 * 240)
    stored = store(reader, recipe, FMT, name)
    assert stored.clipping.results() == whole.clipping.results()
    assert stored.clipping.clipped > 0 and stored.shape == whole.shape
    for (found, found_y), (expected, expected_y) in zip(
        (stored.train, stored.test), (whole.train, whole.test), strict=True
    ):
        assert isinstance(found, StoredInputs)
        assert np.array_equal(found_y, expected_y) and found.shape == expected.shape
        read = found.file.take(found.index).view("<i2")
        assert np.abs(decode(read, FMT) - expected).max() <= 2.0**-FMT.fraction / 2
        some = found[np.array([3, 1]), ...]
        assert np.array_equal(some.file.take(some.index), read.view(np.uint8)[[3, 1]])


@pytest.mark.parametrize("memory", [1, 0.001])
@pytest.mark.parametrize("name", ["csv", "npy"])
def test_a_file_of_its_own_is_tested(tmp_path, name, memory):
    files = {}
    for part, samples, seed in (("train", 40, 2), ("test", 25, 3)):
        path = tmp_path / f"{part}.csv"
        write_csv(path, samples, seed=seed)
        table = read_table(path, Choice(classes=True))
        np.save(tmp_path / f"{part}.npy", table.inputs)
        np.save(tmp_path / f"{part}_y.npy", table.targets)
        files[part] = table
    data = f'file = "train.{name}"\ntest_file = "test.{name}"\nmemory = {memory}\n'
    data += 'labels = "train_y.npy"\ntest_labels = "test_y.npy"\n' * (name == "npy")
    experiment = prepare(read_config(config(tmp_path, data + 'scaling = "z-score"')))
    train, test = experiment.dataset.train, experiment.dataset.test
    assert experiment.dataset.stored is (memory < 1)
    assert np.array_equal(train[1], files["train"].targets)
    assert np.array_equal(test[1], files["test"].targets)
    if memory == 1:
        mean, deviation = (getattr(files["train"].inputs, f)(axis=0) for f in ("mean", "std"))
        expected = np.clip((files["test"].inputs - mean) / deviation, -4, 4)
        np.testing.assert_allclose(test[0], expected, atol=1e-12)
    else:
        assert test[0].index.tolist() == list(range(40, 65))


def test_a_test_file_of_other_samples_is_refused(tmp_path):
    write_csv(tmp_path / "a.csv", 9)
    write_csv(tmp_path / "b.csv", 9, features=4)
    data = 'file = "a.csv"\ntest_file = "b.csv"'
    with pytest.raises(ValueError, match="b.csv must have samples as .*a.csv has, of 5 values"):
        prepare(read_config(config(tmp_path, data)))
    with pytest.raises(ValueError, match="test_size must be left out, as test_file"):
        read_config(config(tmp_path, data + "\ntest_size = 0.5"))


def test_stored_inputs_can_be_split_but_not_loaded():
    storage = InputStore(10, 2, FMT)
    storage.append(np.arange(20.0).reshape(10, 2))
    inputs = storage.finished()
    train, test, labels, _ = train_test_split(inputs, np.arange(10), test_size=0.3, random_state=1)
    assert isinstance(train, StoredInputs) and (len(train), len(test)) == (7, 3)
    assert train.index.tolist() == labels.tolist()
    with pytest.raises(TypeError, match="must not be loaded as a whole"):
        np.asarray(inputs)


def test_a_disk_without_room_is_told(monkeypatch):
    usage = SimpleNamespace(free=1 << 20)
    monkeypatch.setattr("host.data.stored_inputs.shutil.disk_usage", lambda folder: usage)
    with pytest.raises(ValueError, match="must have room for 4,000,000 bytes .* set TMPDIR"):
        InputStore(1000, 2000, FMT)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("700,1,1,1,1,c0", "among samples 30 to 30: every input must lie .*divide it by 16"),
        ("nan,1,1,1,1,c0", "line 31, column 0: must be finite, not nan"),
        ("1,1,1,1,1", "line 31: every line must have 6 fields"),
    ],
)
def test_what_is_wrong_in_a_large_file_is_told(tmp_path, row, message, monkeypatch):
    monkeypatch.setattr("host.data.csv_file.CHUNK_VALUES", 6)
    write_csv(tmp_path / "d.csv", 60)
    lines = (tmp_path / "d.csv").read_text().splitlines()
    (tmp_path / "d.csv").write_text("\n".join([*lines[:30], row, *lines[31:]]))
    reader = open_reader(tmp_path / "d.csv", Choice(classes=True))
    assert reader is not None
    with pytest.raises(ValueError, match=message) as caught:
        store(reader, Recipe(classes=True), FMT, "d.csv")
    assert isinstance(caught.value, RangeError) == ("among" in message)


def test_what_needs_the_whole_file_says_so(tmp_path):
    write_csv(tmp_path / "d.csv", 60)
    data = 'file = "d.csv"\nmemory = 0.001\n[data.preprocessing]\nsteps = ["z-score"]'
    result = call("train", config(tmp_path, data), "--device", "golden", "--out", tmp_path / "o")
    assert result.exit_code == 2 and "data.memory = 0.001 MiB, not some" in words(result)


def peak(program: str, *arguments: object) -> tuple[int, str]:
    """MiB that a program had at most, and what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, program, *map(str, arguments)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return int(done.stdout.split()[-1]), done.stdout


def test_the_memory_is_bounded(tmp_path):
    """500 MB of inputs as float64 in a file, of which few are in memory at any time."""
    (tmp_path / "walk.py").write_text(WALK)
    rng = np.random.default_rng(0)
    paths = []
    for samples in (1000, 80_000):
        (tmp_path / str(samples)).mkdir()
        images = rng.integers(0, 200, (samples, 784), dtype=np.uint8)
        np.save(tmp_path / str(samples) / "x.npy", images)
        np.save(tmp_path / str(samples) / "y.npy", np.arange(samples) % 3)
        data = 'file = "x.npy"\nlabels = "y.npy"\nscaling = 256\nmemory = 4'
        paths.append(config(tmp_path / str(samples), data))
    _, out = peak(tmp_path / "walk.py", *paths)
    print(out)
    sizes = [int(line.split()[-1]) for line in out.splitlines()[:2]]
    for samples, line in zip((1000, 80_000), out.splitlines(), strict=False):
        assert line.startswith(f"bytes {(int(0.8 * samples) + 100) * (2 * 784 + 1)} ")
    # Of 125 MB in the file, and 500 MB as float64.
    assert sizes[1] - sizes[0] < 30


@pytest.mark.demand
def test_two_gigabytes_train_in_bounded_memory(tmp_path):
    """A made CSV file of 2 GB: the whole of `synaptile train`, its peak stated."""
    rng = np.random.default_rng(0)
    cells = np.array([f"{value:.6f}," for value in rng.uniform(0, 1, 4096)], "S9")
    features, size = 1024, 2 << 30
    with (tmp_path / "large.csv").open("wb") as file:
        while file.tell() < size:
            block = cells[rng.integers(0, len(cells), (512, features))]
            for k, line in enumerate(block):
                file.write(line.tobytes() + b"ab"[k % 2 : k % 2 + 1] + b"\n")
    written = (tmp_path / "large.csv").stat().st_size
    (tmp_path / "main.py").write_text("from host.commands.cli import app\napp()\n")
    path = config(tmp_path, 'file = "large.csv"\nmemory = 64', epochs=1)
    started = time.perf_counter()
    most, out = peak(
        tmp_path / "main.py", "train", path, "--device", "golden", "--out", tmp_path / "out"
    )
    print(f"{written:,} bytes, peak {most} MiB, {time.perf_counter() - started:.0f} s\n{out}")
    (tmp_path / "large.csv").unlink()
    values = json.loads((tmp_path / "out" / "result.json").read_text())
    assert values["data"]["stored"] and values["samples"] > 170_000
    assert most * MEBIBYTE < written // 4
    assert Path(tmp_path / "out" / "weights.npz").exists()
