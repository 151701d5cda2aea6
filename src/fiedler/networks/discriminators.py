"""The critics of the mutual information between a row and its code."""

from __future__ import annotations

from torch import Tensor, nn


class GlobalCritic(nn.Module):
    """``T(x, z)``, the score of a code as that of this row.

    Parameters
    ----------
    n_features : int
        Channels of the row's feature map.
    n_codes, width : int
    n_places : int or None
        Places of the feature map, all of which it sees. None: it sees their mean.
    """

    def __init__(
        self, n_features: int, n_codes: int, width: int, n_places: int | None = None
    ) -> None:
        super().__init__()
        self._whole = n_places is not None
        self.of_row = nn.Linear(n_features * (n_places or 1), width)
        self.of_code = nn.Linear(n_codes, width, bias=False)
        self.score = nn.Sequential(nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.last = nn.Linear(width, 1)

    def forward(self, features: Tensor, codes: Tensor) -> Tensor:
        """Return scores (m,) of feature maps (m, c, h, w) and codes (m, d)."""
        seen = features.flatten(1) if self._whole else features.mean(dim=(2, 3))
        joined = self.of_row(seen) + self.of_code(codes)
        scores: Tensor = self.last(self.score(joined))
        return scores[:, 0]


class LocalCritic(nn.Module):
    """``T2(C_uv, z)``: 1 x 1 convolutions on each place's features with the code beside them.

    The first one, on ``[C_uv, z]``, is the sum of one on ``C`` and a dense layer on ``z``, which
    need not be repeated for each place.

    Parameters
    ----------
    n_features, n_codes, width : int
    """

    def __init__(self, n_features: int, n_codes: int, width: int) -> None:
        super().__init__()
        self.of_place = nn.Conv2d(n_features, width, 1)
        self.of_code = nn.Linear(n_codes, width, bias=False)
        self.score = nn.Sequential(nn.ReLU(), nn.Conv2d(width, width, 1), nn.ReLU())
        self.last = nn.Conv2d(width, 1, 1)

    def forward(self, features: Tensor, codes: Tensor) -> Tensor:
        """Return scores (m, h, w) of each place of feature maps (m, c, h, w) and codes (m, d)."""
        joined = self.of_place(features) + self.of_code(codes)[:, :, None, None]
        scores: Tensor = self.last(self.score(joined))
        return scores[:, 0]
