"""A fitted network with its rotation and centres as one module, for other runtimes."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from fiedler.partition import Partition


class ExportedNetwork(nn.Module):
    """Network, rotation and centres in one: rows to ``"embedding"`` and ``"distances"``.

    Parameters
    ----------
    network : nn.Module
    rotation : ndarray of shape (n_outputs, n_components)
        Of its outputs to eigenvectors.
    partition : Partition
        Its centres, and how points are compared with them.
    offset : ndarray of shape (d,) or None
        What rows lie about, taken from them in float64.
    """

    offset: torch.Tensor | None
    rotation: torch.Tensor
    centers: torch.Tensor

    def __init__(
        self,
        network: nn.Module,
        rotation: np.ndarray,
        partition: Partition,
        offset: np.ndarray | None,
    ) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("offset", None if offset is None else torch.from_numpy(offset))
        self.register_buffer("rotation", torch.from_numpy(rotation).float())
        self.register_buffer("centers", torch.from_numpy(partition.centers).float())
        clusters = range(partition.n_clusters)
        self.unit_rows = partition.unit_rows
        self.members = [np.flatnonzero(partition.center_labels == c).tolist() for c in clusters]

    def forward(self, rows: torch.Tensor) -> dict[str, torch.Tensor]:
        """Map rows (m, d) to their embedding and their distances to each cluster's centres."""
        if self.offset is not None:
            rows = (rows - self.offset).float()
        embedding = self.network(rows) @ self.rotation
        points = embedding[:, : self.centers.shape[1]]
        if self.unit_rows:
            points = points / points.square().sum(dim=1, keepdim=True).clamp_min(1e-30).sqrt()
        squared = (points[:, None, :] - self.centers).square().sum(dim=2)
        nearest = [squared[:, own].min(dim=1).values for own in self.members]
        return {"embedding": embedding, "distances": torch.stack(nearest, dim=1).sqrt()}
