"""Scanning cells: matrix products, and of their results only what improves on the best so far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from fiedler.graph.cells import CellIndex, filling, nearest_cells

# Queries meet a cell in groups of this size: few shapes, so few compiled kernels to keep.
_SCAN_ROWS = 512
# Each round of cells is so many times as large as all before it: the more, the wider the rows, as
# large products then save more than tight bounds.
_GROWTH = 3
_GROWTH_PER_COLUMN = 1 / 64


@dataclass(frozen=True)
class _Best:
    """The best candidates of each query so far, in no order.

    Attributes
    ----------
    scores : torch.Tensor of shape (m, kept)
        ``|y|^2 - 2 x y``; infinity for "none yet".
    found : torch.Tensor of shape (m, kept), int32
        Padded positions.
    """

    scores: torch.Tensor
    found: torch.Tensor


def scan_cells(index: CellIndex, block: torch.Tensor, kept: int, n_probes: int) -> torch.Tensor:
    """Return stored positions of the ``kept`` best candidates of each query, shape (m, kept).

    Each query's nearest cell is scanned first, then the next ones in rounds of growing size. From
    the second round on, only scores below a query's worst candidate are looked at, which costs one
    comparison each; a selection of the best of every cell would cost more than the products.
    """
    m, device = len(block), block.device
    probes = nearest_cells(block, index.centroids, n_probes)
    best = _Best(
        torch.full((m, kept), torch.inf, device=device),
        torch.full((m, kept), -1, dtype=torch.int32, device=device),
    )
    block = block.to(index.scanned.dtype)
    growth = 1 + max(_GROWTH, round(block.shape[1] * _GROWTH_PER_COLUMN))
    start, stop = 0, 1
    while start < n_probes:
        best = _scan_round(index, block, probes[:, start:stop], best)
        start, stop = stop, min(stop * growth, n_probes)
    padded = best.found.long()
    positions = index.positions.to(device)
    return torch.where(padded < 0, padded, positions[padded.clamp(min=0)])


def _scan_round(index: CellIndex, block: torch.Tensor, probes: torch.Tensor, best: _Best) -> _Best:
    """Scan some cells of each query, (m, p), cell by cell, and return the best candidates."""
    kept = best.scores.shape[1]
    flat = probes.reshape(-1)
    by_cell = flat.argsort(stable=True)
    queries = by_cell // probes.shape[1]
    stops = torch.bincount(flat, minlength=len(index.sizes)).cumsum(0).tolist()
    bounds = best.scores.amax(dim=1)
    first_round = probes.shape[1] == 1 and bool(bounds.isinf().all())
    better: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    begin = 0
    for first, size, stop in zip(index.starts, index.sizes, stops, strict=True):
        own, begin = queries[begin:stop], stop
        if len(own) == 0 or size == 0:
            continue
        for part in torch.split(own, _SCAN_ROWS):
            score = _scores(index, block, part, first, size)
            if first_round:
                top = score.topk(min(kept, size), dim=1, largest=False, sorted=False)
                best.scores[part, : top.values.shape[1]] = top.values
                best.found[part, : top.values.shape[1]] = (top.indices + first).int()
                continue
            hits = _positions_below(score, bounds[part])
            row = hits // score.shape[1]
            column = hits - row * score.shape[1]
            better.append((part[row], (column + first).int(), score.view(-1)[hits]))
    if first_round or not better:
        return best
    return _merge(best, *(torch.cat(column) for column in zip(*better, strict=True)))


def _scores(
    index: CellIndex, block: torch.Tensor, part: torch.Tensor, first: int, size: int
) -> torch.Tensor:
    """Return ``|y|^2 - 2 x y`` of some queries and a cell's rows, padding included."""
    dtype = index.scanned.dtype
    stop = first + size + filling(size, dtype)
    cell, norms = index.scanned[first:stop].T, index.norms[first:stop]
    if dtype == torch.float32:
        return torch.addmm(norms, block[part], cell, alpha=-2.0)
    filled = torch.cat([part, part[:1].expand(filling(len(part), dtype))])
    product = (block[filled] @ cell)[: len(part)]
    return torch.add(norms, product, alpha=-2.0)


def _positions_below(scores: torch.Tensor, bounds: torch.Tensor) -> torch.Tensor:
    """Return the flat positions of the few scores, (m, w), below their row's bound, (m,)."""
    if scores.device.type == "cpu":  # numpy compares at full width and skips what is false
        return torch.from_numpy(np.flatnonzero(scores.numpy() < bounds.numpy()[:, None]))
    return (scores < bounds[:, None]).view(-1).nonzero()[:, 0]


def _merge(best: _Best, queries: torch.Tensor, found: torch.Tensor, scores: torch.Tensor) -> _Best:
    """Return the best of what was there and of new candidates, given in any order, (c,) each."""
    m, kept = best.scores.shape
    order = scores.argsort()
    order = order[queries[order].to(torch.int16).argsort(stable=True)]  # a radix sort
    queries = queries[order]
    counts = torch.bincount(queries, minlength=m)
    place = torch.arange(len(order), device=order.device) - (counts.cumsum(0) - counts)[queries]
    few = place < kept
    order, queries, place = order[few], queries[few], place[few]
    all_scores = torch.cat([best.scores, torch.full_like(best.scores, torch.inf)], dim=1)
    all_found = torch.cat([best.found, torch.full_like(best.found, -1)], dim=1)
    all_scores[queries, kept + place] = scores[order]
    all_found[queries, kept + place] = found[order]
    top = all_scores.topk(kept, dim=1, largest=False, sorted=False)
    return _Best(top.values, all_found.gather(1, top.indices))
