"""Turns a design into a shared library that simulates it, and keeps every result.

    design --Amaranth, Yosys--> Verilog --Verilator--> C++ --compiler--> library
             translate()                  compile_verilog()

Each step is a function of its inputs alone, so each is cached under a hash of them: a warm start
neither elaborates the design nor calls a tool but the compiler, for its version.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from sim.rtl import cache, tools

if TYPE_CHECKING:
    from amaranth.hdl import Elaboratable

HERE = Path(__file__).parent
HARNESS = HERE / "harness.cpp"
TRANSLATOR = HERE / "verilog.py"

# Amaranth's Verilog has warnings by the thousand, of widths above all. Asserts are for proofs.
VERILATOR_FLAGS = ["-Wno-fatal", "-O3", "--x-assign", "fast", "--x-initial", "0", "--no-assert"]
# What follows -fPIC makes a library faster. The initial-exec model of thread-local storage would be
# faster still, but a process has no room for more than two such libraries.
COMPILER_FLAGS = ["-std=c++20", "-fPIC", "-fvisibility=hidden", "-fno-semantic-interposition"]
# A tenth faster: without it there is no instruction for a parity, of which a CRC is made.
COMPILER_FLAGS += ["-march=native"]
# Measured on an 8 x 8 array: -O3 is no faster than -O2, -O1 a seventh slower, -Os a quarter.
FAST_FLAGS = ["-O2"]
# By Verilator's kinds of file: each cycle's work, its own library, initial values and names.
LEVELS = {
    "classes_fast": FAST_FLAGS,
    "support_fast": FAST_FLAGS,
    "global": ["-O1"],
    "classes_slow": ["-O0"],
    "support_slow": ["-O0"],
}


class BuildFailed(RuntimeError):  # noqa: N818 -- a failure, not an error of the caller
    """A tool refused its input; the message ends with the log's last lines and its path."""


def build(
    make_design: Callable[[], Elaboratable],
    *,
    name: str,
    key: str,
    sources: Iterable[Path] | None = None,
    models: str = "",
    trace: bool = False,
    report: Callable[[str], object] = lambda stage: None,
) -> Path:
    """Return the library that simulates a design, building what is not in the cache.

    Parameters
    ----------
    make_design: makes the component, whose ports are the streams of bytes `rx` (in) and `tx` (out)
    name: what the cache's files are called
    key: everything that distinguishes this design from others of the same sources,
        such as the repr of its configuration
    sources: the files that define the design; all of `hw/` unless told
    models: Verilog of the primitives that the design instantiates
    trace: build the variant that can record waves (slower)
    report: is told "translating", "verilating" and "compiling" as each begins

    Raises ToolMissing and BuildFailed.
    """
    verilog = translate(make_design, name=name, key=key, sources=sources, report=report)
    return compile_verilog(verilog + models, name=name, trace=trace, report=report)


def translate(
    make_design: Callable[[], Elaboratable],
    *,
    name: str,
    key: str,
    sources: Iterable[Path] | None = None,
    report: Callable[[str], object] = lambda stage: None,
) -> str:
    """Return the design as Verilog; parameters and errors are those of `build`.

    The module is called `top` and has no reset: it starts as an FPGA does after configuration.
    """
    texts = [path.read_bytes() for path in sorted(hw_files() if sources is None else sources)]
    versions = [version("amaranth"), tools.yosys()]
    path = cache.entry(name, ".v", key, *versions, TRANSLATOR.read_bytes(), *texts)
    with cache.alone(path):
        if not path.exists():
            report("translating")
            # A warm start takes less time than this import.
            from sim.rtl import verilog

            cache.keep(path, verilog.convert(make_design()).encode())
        return path.read_text()


def compile_verilog(
    verilog: str,
    *,
    name: str,
    top: str = "top",
    trace: bool = False,
    levels: Mapping[str, list[str]] = LEVELS,
    report: Callable[[str], object] = lambda stage: None,
) -> Path:
    """Return the library that simulates a Verilog module, such as a synthesized netlist.

    Its ports must be `clk`, the streams' `rx__payload`, `rx__valid`, ... `tx__ready` and perhaps
    `rst`, which is held for two cycles at the start. `levels` are the compiler's flags for each
    kind of file. Raises ToolMissing and BuildFailed.
    """
    compiler = tools.compiler()
    flags = [*VERILATOR_FLAGS, "--top-module", top, *(["--trace-vcd"] if trace else [])]
    options = [*flags, *COMPILER_FLAGS, json.dumps(levels)]
    versions = [tools.verilator_version(), tools.compiler_identity(compiler, COMPILER_FLAGS)]
    path = cache.entry(name, ".so", verilog, HARNESS.read_bytes(), *options, *versions)
    with cache.alone(path):
        if not path.exists():
            log = path.with_suffix(".log")
            log.write_bytes(b"")
            with tempfile.TemporaryDirectory(dir=path.parent) as temporary:
                folder = Path(temporary)
                (folder / "top.v").write_text(verilog)
                report("verilating")
                made = _verilate(folder, flags, log)
                report("compiling")
                library = _compile(folder, made, levels, compiler, log)
                cache.keep(path, library.read_bytes())
    return path


def _verilate(folder: Path, flags: Sequence[str], log: Path) -> dict:
    """Make C++ of `top.v`, and return Verilator's own account of what it made."""
    root = tools.verilator()
    command = [str(root / "bin" / "verilator_bin"), "--cc", "--prefix", "Vtop", "--Mdir", "."]
    environment = os.environ | {"VERILATOR_ROOT": str(root)}
    _run([*command, "--make", "json", *flags, "top.v"], folder, log, environment)
    return json.loads((folder / "Vtop.json").read_text())


def _compile(
    folder: Path,
    made: dict,
    levels: Mapping[str, list[str]],
    compiler: Sequence[str],
    log: Path,
) -> Path:
    """Compile as many files at once as there are cores, and link them."""
    include = tools.verilator() / "include"
    common = [*COMPILER_FLAGS, f"-DVM_TRACE={int(made['options']['trace'])}", "-DVL_TIME_CONTEXT"]
    common += [f"-isystem{include}", f"-isystem{include / 'vltstd'}"]

    def compiled(job: tuple[str, str]) -> str:
        kind, source = job
        command = [*compiler, *common, *levels[kind], "-c", source]
        target = folder / f"{Path(source).stem}.o"
        if kind != "global":
            _run([*command, f"-I{folder}", "-o", str(target)], folder, log)
            return str(target)
        # Half the work of a small design, and the same for all.
        text = Path(source).read_bytes()
        versions = [tools.verilator_version(), tools.compiler_identity(compiler, COMPILER_FLAGS)]
        kept = cache.entry(target.stem, ".o", text, *command, *versions)
        with cache.alone(kept):
            if not kept.exists():
                _run([*command, "-o", str(target)], folder, log)
                cache.keep(kept, target.read_bytes())
        return str(kept)

    jobs = [("classes_fast", str(HARNESS))]
    jobs += [(kind, file) for kind in levels for file in made["sources"].get(kind, [])]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compiled, jobs))
    _run([*compiler, "-shared", "-pthread", *objects, "-o", "device.so"], folder, log)
    return folder / "device.so"


def _run(
    command: Sequence[str], folder: Path, log: Path, environment: dict[str, str] | None = None
) -> None:
    with log.open("ab") as output:
        output.write(f"$ {shlex.join(command)}\n".encode())
        output.flush()
        done = subprocess.run(command, cwd=folder, env=environment, stdout=output, stderr=output)
    if done.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise BuildFailed(f"{Path(command[0]).name} failed:\n{tail}\nThe whole log is {log}.")


def hw_files() -> list[Path]:
    """The files that define the gateware."""
    spec = importlib.util.find_spec("hw")
    assert spec and spec.submodule_search_locations, "the gateware is installed with this package"
    return [path for root in spec.submodule_search_locations for path in Path(root).rglob("*.py")]
