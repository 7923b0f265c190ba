"""The `synaptile` command: train, compare, simulate, bench, and those for boards."""

import difflib
import os
import subprocess
import sys
import time
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.text import Text

from host.commands import (
    board_commands,
    rate_range_command,
    run_commands,
    stdp_window_command,
)
from host.commands.display import TrainingDisplay, opening, summary
from host.commands.terminal import DIFFERENT, INTERRUPTED, errors, explained, out
from host.devices.device import Device, DeviceError, open_device
from host.devices.named_board import named_configuration
from host.experiment import Experiment, Outcome
from host.report.page import check_report, write_report
from host.run import prepare, train
from host.run_config import read_config
from host.run_folder import check_folder, refuse_file
from host.session import Session
from hw.isa import MEMORY_REGIONS, Region

ROOT = Path(__file__).resolve().parents[2]

app = typer.Typer(
    help="Train small networks on simulated FPGA gateware, predicted to the last bit by numpy.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.add_typer(board_commands.app)
app.add_typer(run_commands.app)
app.add_typer(rate_range_command.app)
app.add_typer(stdp_window_command.app)

Config = Annotated[Path, typer.Argument(help="A TOML file, such as examples/digits.toml")]
Seed = Annotated[int | None, typer.Option(help="Instead of the file's seeds")]
Epochs = Annotated[int | None, typer.Option(help="Instead of the file's epochs")]


class Every(StrEnum):
    """How often `compare` looks."""

    COMMAND = "command"
    EPOCH = "epoch"
    RUN = "run"


def _version(asked: bool) -> None:
    if asked:
        try:
            out.print(f"synaptile {metadata.version('synaptile')}")
        except metadata.PackageNotFoundError:
            out.print("synaptile, not installed: run `make setup`")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version")
    ] = False,
) -> None:
    pass


@app.command("train")
def train_command(
    config: Config,
    out_dir: Annotated[Path, typer.Option("--out", help="Folder for result.json and weights.npz")],
    device: Annotated[
        str, typer.Option(help="sim, golden, netlist:BOARD or serial:PORT@BOARD")
    ] = "sim",
    seed: Seed = None,
    epochs: Epochs = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Replay on the other device and compare every bit")
    ] = False,
    pictures: Annotated[
        bool, typer.Option("--pictures", help="Draw what a spiking network has learned")
    ] = False,
    report: Annotated[
        bool, typer.Option("--report", help="Write report.html, which stands alone, afterwards")
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write events for TensorBoard")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the latest good checkpoint in --out")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Forget a run in --out that has not ended")
    ] = False,
) -> None:
    """Train a network, show how it goes, and write what came of it into a folder."""
    with explained():
        experiment = _prepared(config, [device], seed=seed, epochs=epochs)
        if report:
            check_report()
        check_folder(out_dir, resume=resume, overwrite=overwrite)
        if pictures and not experiment.draws:
            raise ValueError("--pictures must be left out: only spiking networks are drawn")
        other = "golden" if device != "golden" else "sim"
        extents = _undefined_after(experiment, [device, other])
        outcome, final = _train(
            experiment,
            device,
            out_dir,
            extents,
            resume=resume,
            pictures=pictures,
            events=tensorboard,
        )
        out.print()
        out.print(summary(experiment, outcome))
        # A path that is broken into lines cannot be copied.
        written = f"\nresults in {out_dir}/result.json\nweights in {out_dir}/weights.npz"
        out.print(written, soft_wrap=True)
        if report:
            out.print(f"report in {write_report(out_dir)}", soft_wrap=True)
        if outcome.interrupted:
            errors.print(
                f"interrupted after {_epochs(outcome)}; the device is stopped, and --resume goes "
                "on from the last checkpoint",
                soft_wrap=True,
            )
            raise typer.Exit(INTERRUPTED)
        if verify:
            words = _replay(experiment, (device, final), other, extents)
            out.print(
                f"replayed on {other}: identical in all {words:,} words of memories, LFSRs and "
                "counters"
            )


def _prepared(
    config: Path, devices: list[str], *, seed: int | None, epochs: int | None
) -> Experiment:
    """The run of a file, for the board that a device is named after if there is one."""
    chosen = named_configuration(devices)
    return prepare(
        read_config(config).with_options(seed=seed, epochs=epochs, configuration=chosen)
    )


def _epochs(outcome: Outcome) -> str:
    """How many epochs, in words."""
    count = len(outcome.epochs)
    return f"{count} epoch{'s' * (count != 1)}"


def _open(device: str, experiment: Experiment) -> Device:
    def report(line: str) -> None:
        errors.print(Text(line))

    try:
        return open_device(device, experiment.device_config, report=report)
    except RuntimeError as error:
        raise DeviceError(str(error)) from error


def _undefined_after(experiment: Experiment, devices: list[str]) -> dict[Region, int]:
    """Words of a memory, from address 0 on, behind which a device may hold anything.

    SPRAM is undefined until it is written, in a part: of WEIGHT what the network takes is defined.
    """
    if not experiment.device_config.weights_in_spram:
        return {}
    if not any(device.startswith("serial:") for device in devices):
        return {}
    return {Region.WEIGHT: experiment.extents()[Region.WEIGHT]}


def _train(
    experiment: Experiment,
    device: str,
    folder: Path,
    extents: dict[Region, int],
    *,
    resume: bool,
    pictures: bool,
    events: bool,
) -> tuple[Outcome, dict[Region, NDArray[np.uint16]]]:
    """Train on a device, in a folder; what came of it, and the device's state at the end."""
    from sim.compare import read_state

    def say(line: str) -> None:
        errors.print(Text(line), soft_wrap=True)

    with (
        _open(device, experiment) as opened,
        Session(folder, experiment, opened, resume=resume, events=events, say=say) as session,
    ):
        out.print(Text(opening(experiment, opened.name)))
        out.print()
        with TrainingDisplay(out, experiment).showing("training") as display:
            outcome = session.train(display.epoch)
        final = read_state(session.device, extents)
        if not outcome.interrupted:
            experiment.ask(session.device, outcome)
            if pictures:
                for path in experiment.pictures(session.device, folder):
                    out.print(f"drew {path}", soft_wrap=True)
        session.finish(outcome)
    return outcome, final


def _run(
    experiment: Experiment, device: str, extents: dict[Region, int]
) -> tuple[Outcome, dict[Region, NDArray[np.uint16]]]:
    """Train on a device without a word; what came of it, and the device's state at the end."""
    from sim.compare import read_state

    with _open(device, experiment) as opened:
        title = f"replaying on {opened.name}"
        with TrainingDisplay(out, experiment).showing(title, quiet=True) as display:
            outcome = train(experiment, opened, report=display.epoch)
        return outcome, read_state(opened, extents)


def _replay(
    experiment: Experiment,
    done: tuple[str, dict[Region, NDArray[np.uint16]]],
    other: str,
    extents: dict[Region, int],
) -> int:
    """Run again on another device; the words compared, or exit with DIFFERENT.

    `done` is the name of the device that ran, and its state at the end.
    """
    outcome, replayed = _run(experiment, other, extents)
    if outcome.interrupted:
        raise KeyboardInterrupt
    difference = _first_difference(experiment, done, (other, replayed))
    if difference is not None:
        out.print(Text(f"different: {difference}"))
        raise typer.Exit(DIFFERENT)
    return sum(len(words) for words in replayed.values())


def _first_difference(
    experiment: Experiment,
    left: tuple[str, dict[Region, NDArray[np.uint16]]],
    right: tuple[str, dict[Region, NDArray[np.uint16]]],
) -> str | None:
    """Where two named states differ first, by the names of the network's tensors."""
    from sim.compare import describe_word, differing_words

    for region, addresses in differing_words(left[1], right[1]):
        address = int(addresses[0])
        if region in MEMORY_REGIONS:
            place = experiment.locate(region, address)
        else:
            place = describe_word(region, address)
        values = [f"{name} {s[region].view(np.int16)[address]}" for name, s in (left, right)]
        return f"{place} is {', '.join(values)}; {len(addresses)} words of {region.name} differ"
    return None


@app.command()
def compare(
    config: Config,
    devices: Annotated[str, typer.Option(help="Two devices, with a comma")] = "golden,sim",
    every: Annotated[Every, typer.Option(help="How often to compare")] = Every.EPOCH,
    seed: Seed = None,
    epochs: Epochs = None,
) -> None:
    """Carry out the same run on two devices in lockstep and find their first difference."""
    from sim.compare import Divergence

    with explained():
        names = devices.split(",")
        if len(names) != 2:
            raise ValueError(f"--devices must be two names with a comma, not {devices!r}")
        experiment = _prepared(config, names, seed=seed, epochs=epochs)
        try:
            compared = _compare(experiment, names, every)
        except Divergence as divergence:
            out.print(Text(f"different: {divergence}"))
            raise typer.Exit(DIFFERENT) from None
        out.print(f"identical: {' and '.join(names)}, compared {compared}")


def _compare(experiment: Experiment, names: list[str], every: Every) -> str:
    """Exit, or raise Divergence, at the first difference; return when it was looked for."""
    extents = _undefined_after(experiment, names)
    if every == Every.RUN:
        outcome, final = _run(experiment, names[0], extents)
        if outcome.interrupted:
            raise KeyboardInterrupt
        _replay(experiment, (names[0], final), names[1], extents)
        return f"at the end of {_epochs(outcome)}"
    from sim.compare import Every as Moment
    from sim.compare import Lockstep

    moment = Moment.COMMAND if every == Every.COMMAND else Moment.PROGRAM
    with _open(names[0], experiment) as left, _open(names[1], experiment) as right:
        pair = Lockstep(
            left, right, every=moment, locate=experiment.locate, extents=experiment.extents()
        )
        with TrainingDisplay(out, experiment).showing("comparing", quiet=True) as display:
            outcome = train(experiment, pair, report=display.epoch)
        pair.check("the whole run", extents)
        if outcome.interrupted:
            raise KeyboardInterrupt
    epochs = _epochs(outcome)
    if every == Every.COMMAND:
        return f"after every one of {pair.commands:,} commands of {epochs}"
    return f"after every program of {epochs}"


@app.command()
def simulate(
    unit: Annotated[
        str | None, typer.Argument(help="A unit such as mac_array; all of them if left out")
    ] = None,
    waves: Annotated[bool, typer.Option("--waves", help="Record every signal")] = False,
) -> None:
    """Run the cocotb benches of the gateware's units."""
    with explained():
        folder = ROOT / "tests" / "hw"
        benches = {path.stem.removeprefix("test_"): path for path in folder.glob("test_*.py")}
        if not benches:
            raise ValueError(f"benches are in a clone of the project, and {folder} has none")
        if unit is not None and unit not in benches:
            near = difflib.get_close_matches(unit, benches, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"unit must be one of {', '.join(sorted(benches))}, not {unit}{hint}")
        started = time.time()
        tests = folder if unit is None else benches[unit]
        command = [sys.executable, "-m", "pytest", str(tests), "-q"]
        code = subprocess.run(
            command, cwd=ROOT, env={**os.environ, "WAVES": str(int(waves))}, check=False
        ).returncode
        for path in sorted((ROOT / "build" / "bench").glob("**/dump.vcd")):
            if waves and path.stat().st_mtime >= started:
                out.print(f"waves in {path}", soft_wrap=True)
    if code:
        raise typer.Exit(DIFFERENT)


@app.command("sweep")
def sweep_command(
    file: Annotated[Path, typer.Argument(help="What to vary, such as examples/sweeps/digits.toml")],
    out_dir: Annotated[
        Path, typer.Option("--out", help="Folder of the search; one that is there is gone on with")
    ],
    device: Annotated[str, typer.Option(help="golden, sim, or a board's")] = "golden",
    trials: Annotated[int | None, typer.Option(min=1, help="Instead of the file's")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Trials at a time")] = 1,
) -> None:
    """Search for the values of a run's keys with which it learns best."""
    with explained():
        try:
            from host.search.command import sweep
            from host.search.space import read_search
        except ImportError as error:
            raise ValueError(
                f"a search needs {error.name}, which is not installed: pip install "
                "'synaptile[search]'"
            ) from None
        refuse_file(out_dir)
        search = read_search(file)
        if trials is not None:
            search = search.model_copy(update={"trials": trials})
        sweep(search, out_dir, device, workers)


@app.command()
def bench(
    out_file: Annotated[Path, typer.Option("--out", help="JSON to write")] = Path(
        "build/bench.json"
    ),
    quick: Annotated[bool, typer.Option("--quick", help="One configuration, few figures")] = False,
) -> None:
    """Measure speed, utilisation and resources, print them, and write them as JSON."""
    with explained():
        from host import bench as benchmarks

        benchmarks.main(out_file, quick=quick)


if __name__ == "__main__":
    sys.exit(app())
