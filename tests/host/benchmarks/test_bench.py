"""The benchmark: its formulas by hand, its peers against float64, and what it writes."""

import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from boards.board import board
from host import bench
from host.benchmarks import boards, cycles, peers, record, speed
from host.benchmarks.report import Report
from host.benchmarks.workload import (
    BATCH,
    DIGITS,
    LARGE,
    WIDE,
    Workload,
    classifier,
    first_weights,
    memory_bits,
    training_data,
    utilisation,
)
from host.compiler import CompileError
from host.network import dense
from host.program import Mode
from host.run import prepare
from host.run_config import RunConfig
from host.statistics import useful_macs
from hw.configurations import CONFIGURATIONS, configuration
from hw.link_executor import RequestExecutor

ECP5 = configuration("ecp5-8x8")


# Formulas


def test_useful_macs_by_hand():
    # 3-4-2: forward 12 + 8, dW the same, dX 8 for the second layer; biases 4 + 2, twice.
    network = dense((3, 4, 2))
    assert useful_macs(network) == 20 + 20 + 8
    assert useful_macs(network, bias=True) == 20 + 20 + 8 + 12
    assert useful_macs(dense(DIGITS)) == 2 * (64 * 32 + 32 * 10) + 32 * 10


def test_utilisation_by_hand():
    workload = Workload(config=ECP5, network=dense((3, 4, 2)), batch=16)
    # 48 useful products for each of 16 samples; 64 products a cycle, in 100 cycles.
    assert utilisation(workload, 100) == 48 * 16 / 6400
    assert utilisation(workload, 100, bias=True) == 60 * 16 / 6400
    full = Workload(config=ECP5, network=dense(DIGITS))
    assert utilisation(full, 5056 * 32 / 64) == 1


def test_a_line_is_found_again():
    fit = cycles.line([1, 2, 4, 8], [13, 16, 22, 34])
    assert fit == pytest.approx({"constant": 10, "slope": 3, "largest_error": 0}, abs=1e-9)
    assert cycles.line([0, 1, 2], [0, 3, 0])["largest_error"] == pytest.approx(2)


def test_samples_a_second_at_a_clock_by_hand():
    workload = Workload(config=ECP5, network=dense(DIGITS))
    # What the gateware says of a frame, which the host may not import.
    assert speed.FRAME_BYTES + speed.FRAME_PAUSE == RequestExecutor.OVERHEAD
    # 32 x 65 bytes in five frames, with nine bytes around each and a pause behind it.
    assert speed.link_cycles(ECP5, 2080) == 2080 + 5 * 10
    found = [{"peer": "numpy", "samples_per_second": 5e5}]
    row = speed.at_clock(workload, 3200, 100, found)
    assert row["samples_per_second"] == row["samples_per_second_link"] == 1e6
    assert row["ratios"] == row["ratios_link"] == {"numpy": 2.0}
    bound = speed.at_clock(workload, 1600, 80, found)
    assert bound["samples_per_second"] == 1.6e6
    assert bound["samples_per_second_link"] == pytest.approx(32 * 80e6 / 2130)


def test_samples_a_second_of_boards_by_hand():
    small = boards.workload_of(board("icebreaker"))
    assert small.network.sizes == cycles.SMALL and not small.config.cross_entropy
    # 8 x 17 bytes in three frames, with nine bytes around each.
    assert boards.line_bytes(small) == 136 + 27
    found = [{"peer": "numpy", "samples_per_second": 5e5}]
    row = boards.row("icebreaker", small, 1000, found)
    assert row["compute"] == pytest.approx(8 * 30e6 / 1000) and not row["ratios"]
    assert row["line"] == row["samples_per_second"] == pytest.approx(8 * 3e5 / 163)
    large = boards.workload_of(board("ulx3s_85f"))
    assert large == Workload(config=ECP5, network=dense(DIGITS))
    row = boards.row("ulx3s_85f", large, 3200, found)
    assert row["ratios"] == {"numpy": pytest.approx(row["compute"] / 5e5)}


@pytest.mark.parametrize("name", boards.supervised())
def test_the_largest_network_of_a_board_is_one_that_runs(name):
    config = board(name).config
    most = boards.largest(config)
    hidden, batch = most.network.sizes[1], most.batch
    prepare(digits_run(config, hidden, batch))
    with pytest.raises(CompileError):
        prepare(digits_run(config, hidden, 2 * batch))
    # SPRAM has room for more weights of a neuron than an accumulator may add.
    limit = "an accumulator of" if config.weights_in_spram else "tiles of WEIGHT"
    with pytest.raises(CompileError, match=limit):
        prepare(digits_run(config, hidden + 1, 1))


def digits_run(config, hidden, batch):
    """A whole run of digits, with the programs for what is left of batches and for the test."""
    layers = [{"units": hidden, "activation": "relu"}, {"units": 10}]
    training = {"batch_size": batch, "momentum": 0.9 if config.momentum else 0, "epochs": 1}
    return RunConfig.model_validate(
        {
            "data": {"name": "digits", "scaling": 16},
            "network": {
                "layers": layers,
                "loss": "cross_entropy" if config.cross_entropy else "mse",
            },
            "training": training,
            "device": {"configuration": config.name},
        }
    )


def test_a_device_without_room_for_digits_has_no_largest_network():
    assert boards.largest(replace(ECP5, input_tiles=8)) is None
    # 64 inputs and a bias are 9 tiles wide, 8 neurons 1 high, and the 10 outputs take 2 x 2.
    by_hand = replace(ECP5, weight_tiles=9 + 4, input_tiles=9 + 9)
    assert boards.largest(by_hand) == boards.on_digits(by_hand, 8, 16)


def test_the_cycles_of_boards_are_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "RECORD", tmp_path / "cycles.json")
    assert record.recorded() == {}
    written = tmp_path / "bench.json"
    for cycles_found in (1000, 900):
        row = {"board": "icebreaker", "title": "4-3", "cycles": cycles_found}
        written.write_text(json.dumps({"sections": {"boards": [row]}}))
        assert record.record(written) == record.recorded() == {"4-3": cycles_found}
    written.write_text(json.dumps({"sections": {"boards": []}}))
    with pytest.raises(ValueError, match="without --quick"):
        record.record(written)
    assert record.recorded() == {"4-3": 900}


def test_commands_are_named_by_layer():
    compiled = Workload(config=ECP5, network=dense((5, 9, 7, 3))).compiled()
    names = [cycles.command_name(i) for i in compiled.instructions]
    once = list(dict.fromkeys(names))
    assert once == [
        "control",
        *(f"FORWARD of layer {layer}" for layer in (1, 2, 3)),
        "LOSS",
        *(f"BACKWARD of layer {layer}" for layer in (3, 2)),
        *(f"GRADIENT of layer {layer}" for layer in (3, 2, 1)),
    ]
    rows = cycles.by_name([cycles.Command("LOSS", 80, 0), cycles.Command("LOSS", 70, 0)])
    assert rows == [{"command": "LOSS", "count": 2, "latency": 150, "array": 0}]


def test_all_workloads_fit_their_devices():
    wide = Workload(config=LARGE, network=dense(WIDE))
    assert wide.compiled().entry(Mode.TRAIN, BATCH) == 0
    assert memory_bits(LARGE) > memory_bits(ECP5)
    for workloads in cycles.growth_sections(quick=False).values():
        for _, workload in workloads:
            assert workload.compiled().entry(Mode.TRAIN, workload.batch) == 0


def test_growth_leaves_out_what_does_not_fit():
    def no_device(config, figure, *arguments):
        raise AssertionError("nothing is to be opened")

    too_wide = Workload(config=configuration("up5k-4x2"), network=classifier(64, 32, 10))
    section = cycles.growth(no_device, "width", [(32, too_wide)])
    (row,) = section["rows"]
    assert "tiles of WEIGHT" in row["left_out"] and "fit" not in section


# Peers


def batches(network, count=12, batch=8):
    inputs, labels = training_data(network, count * batch)
    return inputs.reshape(count, batch, -1), labels.reshape(count, batch)


def trained_in_float64(weights, inputs, labels, steps, rate, momentum):
    """The same training as a textbook writes it."""
    weights = [np.array(w, np.float64) for w in weights]
    velocities = [np.zeros_like(w) for w in weights]
    losses = []
    for step in range(steps):
        x, y = inputs[step % len(inputs)], labels[step % len(inputs)]
        outputs = [np.column_stack([x, np.ones(len(x))])]
        for layer, w in enumerate(weights):
            z = outputs[-1] @ w.T
            if layer < len(weights) - 1:
                z = np.column_stack([np.maximum(z, 0), np.ones(len(x))])
            outputs.append(z)
        odds = np.exp(z - z.max(axis=1, keepdims=True))
        share = odds / odds.sum(axis=1, keepdims=True)
        losses.append(-np.log(share[np.arange(len(y)), y]).mean())
        delta = (share - np.eye(share.shape[1])[y]) / len(y)
        for layer in range(len(weights) - 1, -1, -1):
            gradient = delta.T @ outputs[layer]
            delta = (delta @ weights[layer])[:, :-1] * (outputs[layer][:, :-1] > 0)
            velocities[layer] = momentum * velocities[layer] + gradient
            weights[layer] -= rate * velocities[layer]
    return weights, losses


@pytest.mark.parametrize("name", peers.PEERS)
@pytest.mark.parametrize("sizes", [DIGITS, (7, 3), (20, 12, 9, 4)])
def test_peers_are_a_training_step(name, sizes):
    pytest.importorskip(name)
    network = dense(sizes)
    inputs, labels = batches(network)
    weights = first_weights(network)
    make = peers.NumpyPeer if name == "numpy" else peers.TorchPeer
    peer = make(weights, inputs, labels, rate=2**-5, momentum=0.9)
    steps = 40
    for step in range(steps):
        peer.step(step % len(labels))
    expected, losses = trained_in_float64(weights, inputs, labels, steps, 2**-5, 0.9)
    # A sum of K products is off by K 2**-24 of them, a step passes ten times as much on by its
    # momentum, and no weight or gradient is far above 1.
    longest = max(*sizes, labels.shape[1]) + 1
    for found, real in zip(peer.weights, expected, strict=True):
        assert np.abs(found - real).max() <= 10 * steps * longest * 2**-24
    assert np.mean(losses[-len(labels) :]) < 0.9 * np.mean(losses[: len(labels)])


def test_the_numpy_peer_learns_digits():
    network = dense(DIGITS)
    inputs, labels = batches(network, 56, 32)
    peer = peers.NumpyPeer(first_weights(network), inputs, labels)
    before = np.mean([peer.loss(batch) for batch in range(56)])
    for step in range(10 * 56):
        peer.step(step % 56)
    after = np.mean([peer.loss(batch) for batch in range(56)])
    assert before > 2 and after < 0.1


def test_a_peer_is_measured_in_its_own_process():
    result = peers.run("numpy", (7, 5, 3), 4, warm_up=2, iterations=9)
    assert result["peer"] == "numpy" and result["network"] == "7-5-3" and result["batch"] == 4
    low, high = result["quartiles"]
    assert 0 < low <= result["seconds"] <= high
    assert result["samples_per_second"] == pytest.approx(4 / result["seconds"])
    assert result["peak_memory_bytes"] > 1e6
    with pytest.raises(RuntimeError, match="the peer numpy failed"):
        peers.run("numpy", (7,), 4, warm_up=1, iterations=1)


def test_a_missing_library_leaves_its_peer_out(monkeypatch):
    monkeypatch.setattr(bench.peers, "PEERS", ("no_such_library",))
    console = Console(record=True, width=100)
    assert bench.measure_peers(Report(console), quick=True) == []
    assert "no_such_library is not installed" in console.export_text()


def test_a_peer_that_fails_is_left_out(monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("the peer numpy failed: no memory")

    monkeypatch.setattr(bench.peers, "run", fail)
    monkeypatch.setattr(bench.peers, "PEERS", ("numpy",))
    console = Console(record=True, width=100)
    assert bench.measure_peers(Report(console), quick=True) == []
    assert "left out: the peer numpy failed: no memory" in console.export_text()


# The whole


@pytest.mark.simulator
def test_the_report_is_printed_and_written(tmp_path, monkeypatch):
    """With the peer that starts quickly; with both of them on demand, as a documented command."""
    monkeypatch.setattr(bench.peers, "PEERS", ("numpy",))
    console = Console(record=True, width=160)
    out = tmp_path / "deep" / "bench.json"
    results = bench.main(out, quick=True, console=console)
    assert json.loads(out.read_text()) == results
    assert {"command", "time", "machine", "versions", "quick", "sections"} <= set(results)
    assert results["machine"]["processor"] and results["machine"]["cores"] >= 1
    sections = results["sections"]

    (step,) = sections["training_step"]
    assert step["configuration"] == "ecp5-8x8" and len(bytes.fromhex(step["build"])) == 16
    workload = Workload(config=ECP5, network=dense(DIGITS))
    assert step["utilisation"] == utilisation(workload, step["cycles"])
    assert step["utilisation"] >= step["target"] == 0.8
    assert step["array_cycles"] <= step["cycles"] < step["latency_sum"]
    assert step["array_cycles"] == sum(row["array"] for row in step["commands"])
    by_command = {row["command"]: row["array"] for row in step["commands"]}
    assert by_command["FORWARD of layer 1"] == 4 * 4 * 65 and by_command["control"] == 0

    told = record.recorded()[workload.title]
    assert step["cycles"] == told, "run `make bench`, which records them for the documentation"

    rows = sections["growth"]["batch"]["rows"]
    assert [row["batch"] for row in rows] == [8, 16, 32]
    assert rows[-1]["cycles"] == step["cycles"]
    simulated = sections["simulation"]
    assert simulated["cycles"] > simulated["batches"] * step["array_cycles"]
    assert sections["golden"]["samples_per_second"] > 0
    (ratio,) = sections["ratios"]
    assert set(ratio["ratios"]) == {peer["peer"] for peer in sections["peers"]}
    text = console.export_text()
    for phrase in ("MAC utilisation", "waited for samples", "one core", "golden model"):
        assert phrase in text


@pytest.mark.simulator
@pytest.mark.demand
def test_the_documentation_tells_the_cycles_of_boards():
    rows = boards.on_boards(bench.freshly, [])
    assert record.recorded() == {row["title"]: row["cycles"] for row in rows}, "run `make bench`"


def test_every_section_names_a_configuration_once():
    names = [config.name for config in (*CONFIGURATIONS.values(), LARGE)]
    assert len(set(names)) == len(names)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="must be a file"):
        bench.main(tmp_path)
