"""What a DSCDAN keeps to be looked at."""

from __future__ import annotations

import numpy as np

from fiedler.networks.dual import CodesOf, DecodedOf, DualNetwork
from fiedler.training import RowReader, outputs_of


def decoded_twice(
    network: DualNetwork, rows: RowReader, sigma: float, seed: int
) -> dict[str, np.ndarray]:
    """Return rows as the decoder gives them back, and from noisy codes.

    Parameters
    ----------
    network : DualNetwork
    rows : RowReader
    sigma : float
        Of the multiplicative noise, drawn for each row.
    seed : int

    Returns
    -------
    dict of str to ndarray of shape (m, d), float32
        ``"rows"``, ``"decoded"`` and ``"decoded_noisy"``.
    """
    codes = outputs_of(CodesOf(network), rows)
    noise = np.random.default_rng(seed).standard_normal(codes.shape)
    noisy = (codes * (1.0 + sigma * noise)).astype(np.float32)
    decoder = DecodedOf(network)
    return {
        "rows": rows.take(np.arange(len(rows))).cpu().numpy(),
        "decoded": outputs_of(decoder, RowReader(codes, rows.device)),
        "decoded_noisy": outputs_of(decoder, RowReader(noisy, rows.device)),
    }
