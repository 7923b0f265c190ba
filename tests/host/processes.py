"""Processes that tests start and kill, each the child of a server that has imported what they need.

A fork of the tests' own process would be quicker, but that has threads: its child may wait for a
lock that none of them is there to release.
"""

import multiprocessing

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "host.devices.golden_device",
        "host.search.command",
        "host.session",
        "sim.compare",
        "sklearn.datasets",
    ]
)
