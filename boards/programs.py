"""The programs that the flow calls, where they were installed, and ready to run."""

import subprocess
import sys
from functools import cache
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path


@cache
def program(name: str) -> str:
    """The path of a tool that was installed beside this Python.

    A tool of YoWASP is WebAssembly: what is compiled of it for this machine, on its first run, is
    written where others may be reading it, and a tool that runs from a file which another writes
    is killed. So the first run of each process does nothing, and waits for those of others.
    """
    path = str(Path(sys.executable).parent / name)
    if name.startswith("yowasp-"):
        with FileLock(user_cache_path("YoWASP", ensure_exists=True) / f"{name}.lock"):
            subprocess.run([path, "--version"], stdin=subprocess.DEVNULL, capture_output=True)
    return path
