"""Sites for the memories and multipliers of a large part, chosen before nextpnr places the rest.

    netlist --couplings--> how strongly every two blocks are tied to each other --+
    part ------sites-----> where there is room for a block of each kind ----------+--arrange--> BEL

nextpnr moves cells of all kinds at once until wires are short, and only then looks for a site for
one block after the other. Sites of blocks are in few rows from one side of a part to the other, so
that most land far from where they were: the wires of an 8 x 8 array on an LFE5U-85F become twice
as long. Here the sites come first, all at once, and nextpnr places what is between them.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import splu

Floats = NDArray[np.float64]

MOST_PINS = 400
"""Pins of a net that says something about places; clocks, resets and constants have more."""

MOVES = 1_000_000
"""Swaps that are tried to find an arrangement."""

TEMPERATURES = (1.0, 0.005)
"""Of the first and the last of them, by what a block costs at first."""

_BEL = re.compile(r"X(\d+)/Y(\d+)/")


def couplings(cells: Mapping[str, Any], kinds: Sequence[str]) -> tuple[list[str], Floats]:
    """The blocks of a netlist, and the strength of the springs between any two of them.

    A net of k pins is k springs of strength k / (k - 1) that meet in a point of its own, one of two
    pins a single spring of strength 1; every other cell, and these points, are where the springs
    leave them. What remains between the blocks is the Schur complement of the graph's Laplacian:
    with L of the cells and points c and the blocks b, L_bb - L_bc L_cc^-1 L_cb.

    Parameters
    ----------
    cells: of a module, as Yosys's write_json has them
    kinds: the cells' types that are blocks

    Returns the names of B blocks, and B x B strengths, 0 on the diagonal.
    """
    names = [name for name, cell in cells.items() if cell["type"] in kinds]
    blocks = len(names)
    names += [name for name, cell in cells.items() if cell["type"] not in kinds]
    nets: dict[int, set[int]] = {}
    for place, name in enumerate(names):
        for bits in cells[name]["connections"].values():
            for bit in bits:
                # Constants are strings.
                if isinstance(bit, int):
                    nets.setdefault(bit, set()).add(place)
    springs: list[tuple[int, int, float]] = []
    points = len(names)
    for pins in nets.values():
        if len(pins) == 2:
            springs.append((min(pins), max(pins), 1.0))
        elif 2 < len(pins) <= MOST_PINS:
            springs += [(pin, points, len(pins) / (len(pins) - 1)) for pin in pins]
            points += 1
    left, right, strength = (np.array(column) for column in zip(*springs, strict=True))
    one_way = coo_array((strength, (left, right)), shape=(points, points))
    both = (one_way + one_way.T).tocsr()
    # What hangs on nothing is tied to the origin, so weakly that it makes no difference.
    laplacian = (diags_array(both.sum(axis=1) + 1e-6) - both).tocsc()
    inner, outer = laplacian[blocks:, blocks:].tocsc(), laplacian[blocks:, :blocks].toarray()
    solved = splu(
        inner,
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    ).solve(outer)
    strengths = np.maximum(outer.T @ solved - laplacian[:blocks, :blocks].toarray(), 0.0)
    np.fill_diagonal(strengths, 0.0)
    return names[:blocks], strengths


def blocks_alone(kinds: Mapping[str, int]) -> str:
    """A netlist of nothing but so many blocks of each kind, for nextpnr to show its sites."""
    cells = {
        f"{kind}_{number}": {
            "type": kind,
            "parameters": {},
            "attributes": {},
            "port_directions": {},
            "connections": {},
        }
        for kind, count in kinds.items()
        for number in range(count)
    }
    top = {"attributes": {"top": "1"}, "ports": {}, "cells": cells, "netnames": {}}
    return json.dumps({"creator": "boards.floorplan", "modules": {"top": top}})


def sites(placed: Path) -> dict[str, list[str]]:
    """What nextpnr calls the sites that it gave to the cells of each type in a netlist."""
    found: dict[str, list[str]] = {}
    for cell in json.loads(placed.read_text())["modules"]["top"]["cells"].values():
        found.setdefault(cell["type"], []).append(cell["attributes"]["NEXTPNR_BEL"])
    return {kind: sorted(names) for kind, names in found.items()}


def arrange(
    strengths: Floats, kinds: Sequence[str], there: Mapping[str, Sequence[str]], *, seed: int
) -> list[str]:
    """A site for each block, so that strengths times lengths, columns plus rows, sum to little.

    Annealed from a random arrangement (Kirkpatrick, Gelatt and Vecchi, Science 220, 1983): in each
    of MOVES moves two sites of one kind swap what they hold, if that costs less than the
    temperature of the move allows.

    Parameters
    ----------
    strengths: B x B
    kinds: of the B blocks
    there: names of the sites of each kind, at least as many as there are blocks
    seed: of the moves

    Raises ValueError where there are fewer sites than blocks.
    """
    rng = np.random.default_rng(seed)
    names = np.array([name for found in there.values() for name in found])
    kinds_of_sites = np.array([kind for kind, found in there.items() for _ in found])
    # Sites that stay empty hold blocks that nothing is tied to.
    held = list(kinds)
    for kind, found in there.items():
        if (empty := len(found) - held.count(kind)) < 0:
            raise ValueError(
                f"sites of {kind} must be at least its {held.count(kind)} blocks, not {len(found)}"
            )
        held += [kind] * empty
    sites, blocks = len(names), np.array(held)
    ties = np.zeros((sites, sites), dtype=np.float32)
    ties[: len(kinds), : len(kinds)] = strengths
    at = np.zeros(sites, dtype=np.int64)
    for kind in there:
        at[blocks == kind] = rng.permutation(np.flatnonzero(kinds_of_sites == kind))
    places = np.array([_place(name) for name in names])
    distances = np.abs(places[:, None] - places[None]).sum(axis=2).astype(np.float32)

    # What each block would cost at each site if the others stayed.
    costs = ties @ distances[at]
    typical = costs[np.arange(sites), at].sum() / max(1, len(kinds))
    pairs = np.argwhere(np.triu(blocks[:, None] == blocks[None], 1))
    pairs = pairs[(pairs < len(kinds)).any(axis=1)]
    moves = pairs[rng.integers(len(pairs), size=MOVES if len(pairs) else 0)]
    allowed = np.geomspace(*TEMPERATURES, len(moves)) * typical * rng.exponential(size=len(moves))
    for (one, other), limit in zip(moves.tolist(), allowed.tolist(), strict=True):
        here, beyond = at[one], at[other]
        change = costs[one, beyond] - costs[one, here] + costs[other, here] - costs[other, beyond]
        if change + 2 * ties[one, other] * distances[here, beyond] < limit:
            further = distances[beyond] - distances[here]
            costs += np.outer(ties[:, one] - ties[:, other], further)
            at[one], at[other] = beyond, here
    return names[at[: len(kinds)]].tolist()


def fix(netlist: dict[str, Any], there: Mapping[str, Sequence[str]], *, seed: int) -> None:
    """Give every block of a netlist's module `top` a site, which nextpnr will leave it at."""
    cells = netlist["modules"]["top"]["cells"]
    blocks, strengths = couplings(cells, list(there))
    kinds = [cells[name]["type"] for name in blocks]
    for name, site in zip(blocks, arrange(strengths, kinds, there, seed=seed), strict=True):
        cells[name]["attributes"]["BEL"] = site


def _place(site: str) -> tuple[int, int]:
    """Column and row of the tile of a site."""
    found = _BEL.match(site)
    if found is None:
        raise ValueError(f"a site must begin with its tile, as in X4/Y22/EBR0, not {site!r}")
    return int(found[1]), int(found[2])
