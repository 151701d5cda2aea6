"""Recipes trained briefly, for tests of what does not depend on how good a network is."""

from __future__ import annotations

from fiedler import DenseCoder, DenseMap, DSCDANRecipe, Round, Training


def brief_dual(training: Training) -> DSCDANRecipe:
    """Return a small dense dual autoencoder, both phases trained like this."""
    return DSCDANRecipe(
        coder=DenseCoder((16,)),
        n_codes=4,
        critic_width=16,
        spectral=DenseMap((16,)),
        pretraining=training,
        rounds=(Round(training=training),),
        views=None,
        joint_batch=16,
    )
