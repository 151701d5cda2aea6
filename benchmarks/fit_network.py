"""One clustering of a set in a process of its own: scores, seconds, memory, warnings as JSON.

    python benchmarks/fit_network.py mnist_test default --seed 0 [--rows 2000] [--steps 20]

Used by spectralnet.py, spectralnet_package.py and the scripts of DSCDAN, so that each figure has a
fresh process and its own peak. No method sees a label.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from common import SETS
from runs import peak_mb
from sklearn.cluster import KMeans
from torch import nn

import fiedler
from fiedler import (
    Autoencoder,
    BatchAffinity,
    DenseMap,
    DSCDANRecipe,
    Siamese,
    SpectralNetRecipe,
    Training,
)
from fiedler.evaluation import accuracy, nmi
from fiedler.networks import build_autoencoder
from fiedler.networks.build import Standardize
from fiedler.training import RowReader, outputs_of, train
from fiedler.training.codes import AutoencoderTask

Labels = tuple[np.ndarray, Callable[[Any], np.ndarray]]


@dataclass(frozen=True)
class Split:
    """Rows to fit, as they were published (images as images), and rows to predict, if any."""

    X: Any
    y: np.ndarray
    X_new: Any = None
    y_new: np.ndarray | None = None


def _whole(name: str, first: int | None = None) -> Callable[[], Split]:
    def get() -> Split:
        data = fiedler.load_dataset(name)
        return Split(data.X[:first], data.y[:first])

    return get


def _named(name: str) -> Callable[[], Split]:
    return lambda: Split(*SETS[name]())


def _mnist_split() -> Split:
    data = fiedler.load_dataset("mnist")
    return Split(data.X[:60_000], data.y[:60_000], data.X[60_000:], data.y[60_000:])


SPLITS: dict[str, Callable[[], Split]] = {
    "mnist": _whole("mnist"),
    "mnist_60k_10k": _mnist_split,
    "mnist_test": _named("mnist_test"),
    "mnist_20k": _whole("mnist", 20_000),
    "usps": _named("usps"),
    "fashion_mnist": _whole("fashion_mnist"),
    "fashion_test": _named("fashion_test"),
    "coil20": _named("coil20"),
    "yaleb": _named("yaleb"),
    "cifar10_10k": _named("cifar10_10k"),
    "reuters_r8": _named("reuters_r8"),
    # without the messages that hold no term: they would be everyone's neighbours
    "20newsgroups": _named("20newsgroups_filled"),
}


def load_split(name: str, rows: int = 0) -> Split:
    """A set, or so many of its rows drawn at random: sets may be sorted by class.

    A name that ends in ``.npz`` is a file's, with X and y.
    """
    if name.endswith(".npz"):
        with np.load(name) as file:
            return Split(file["X"], file["y"])
    whole = SPLITS[name]()
    if not 0 < rows < len(whole.y):
        return whole
    chosen = np.sort(np.random.default_rng(0).permutation(len(whole.y))[:rows])
    return replace(whole, X=whole.X[chosen], y=whole.y[chosen])


def flat(rows: Any) -> Any:
    """Rows (n, d), float32: what a method gets that knows of no images."""
    return rows.astype(np.float32) if sp.issparse(rows) else _dense(rows)


def _dense(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32)


def package_recipe(n: int, k: int) -> SpectralNetRecipe:
    """The defaults of the package ``spectralnet`` 1.1.0: layers, epochs as steps, rates, affinity.

    It trains on nine tenths of the rows and of the pairs, and watches the rest.
    """

    def training(epochs: int, size: int, of: int, lowest: float) -> Training:
        steps = epochs * math.ceil(0.9 * of / size)
        return Training(
            steps=steps, batch_size=size, patience=10, drop=0.1, min_learning_rate=lowest
        )

    return SpectralNetRecipe(
        codes=Autoencoder((512, 512, 2048), 10, training=training(40, 256, n, 1e-7)),
        siamese=Siamese(
            (1024, 1024, 512), 10, n_neighbors=2, training=training(30, 128, 4 * n, 1e-7)
        ),
        affinity=BatchAffinity(n_neighbors=30, scale_neighbor=15, scale="local"),
        network=DenseMap((1024, 1024, 512), batch_norm=False, head="tanh"),
        views=None,
        normalized=False,
        extra_outputs=0,
        training=training(30, 1024, n, 1e-8),
    )


def paper_recipe(X: Any) -> SpectralNetRecipe:
    """The published procedure: for texts with the published settings of Reuters."""
    recipe = SpectralNetRecipe.named("paper")
    if not sp.issparse(X):
        return recipe
    widths = (512, 256, 128)
    assert isinstance(recipe.siamese, Siamese)
    return replace(
        recipe,
        siamese=replace(recipe.siamese, widths=widths, n_neighbors=100),
        affinity=BatchAffinity(n_neighbors=30, scale_neighbor=10),
        network=replace(recipe.network, widths=widths),
        training=replace(recipe.training, batch_size=2048, learning_rate=5e-5, patience=5),
    )


def shortened(recipe: SpectralNetRecipe, steps: int) -> SpectralNetRecipe:
    """The recipe with at most so many steps of each training; 0: as it is."""
    if not steps:
        return recipe

    def cut(part: Any) -> Any:
        return part and replace(part, training=_cut(part.training, steps))

    training = _cut(recipe.training, steps)
    return replace(recipe, codes=cut(recipe.codes), siamese=cut(recipe.siamese), training=training)


def _cut(training: Any, steps: int) -> Training:
    if training == "auto":
        return Training(steps)
    return replace(training, steps=min(steps, training.steps))


def spectral_net(make: Callable[[Any, int], SpectralNetRecipe]) -> Callable[..., Labels]:
    """A method that fits SpectralNet with a recipe made for rows and clusters."""

    def fit(X: Any, k: int, seed: int, steps: int) -> Labels:
        recipe = shortened(make(X, k), steps)
        model = fiedler.SpectralNet(k, recipe=recipe, random_state=seed).fit(X)
        return model.labels_, model.predict

    return fit


def dscdan(name: str) -> Callable[..., Labels]:
    """A method that fits DSCDAN with a named recipe."""

    def fit(X: Any, k: int, seed: int, steps: int) -> Labels:
        recipe = shortened_dual(DSCDANRecipe.named(name), steps)
        model = fiedler.DSCDAN(k, recipe=recipe, random_state=seed).fit(X)
        return model.labels_, model.predict

    return fit


def shortened_dual(recipe: DSCDANRecipe, steps: int) -> DSCDANRecipe:
    """The recipe with at most so many steps of pretraining and of each round; 0: as it is."""
    if not steps:
        return recipe
    rounds = tuple(replace(each, training=_cut(each.training, steps)) for each in recipe.rounds)
    pretraining = recipe.pretraining and _cut(recipe.pretraining, steps)
    return replace(recipe, pretraining=pretraining, rounds=rounds)


def dual_codes(information: bool, relative: bool) -> Callable[..., Labels]:
    """An ablation of the paper's table 4: k-means on the codes of the pretrained autoencoder."""

    def fit(X: Any, k: int, seed: int, steps: int) -> Labels:
        paper = DSCDANRecipe.named("paper")
        loss = paper.loss
        if not information:
            # the prior of the codes is a part of the paper's L_e
            loss = replace(loss, global_information=0.0, local_information=0.0, prior=0.0)
        if not relative:
            loss = replace(loss, relative=0.0)
        recipe = shortened_dual(replace(paper, loss=loss, spectral=None), steps)
        model = fiedler.DSCDAN(k, recipe=recipe, random_state=seed).fit(X)
        return model.labels_, model.predict

    return fit


def k_means(X: Any, k: int, seed: int, steps: int) -> Labels:
    """k-means on the rows."""
    model = KMeans(k, n_init=10, random_state=seed).fit(flat(X))
    return model.labels_, lambda new: model.predict(flat(new))


def spectral_clustering(X: Any, k: int, seed: int, steps: int) -> Labels:
    """``fiedler.SpectralClustering`` with its defaults."""
    model = fiedler.SpectralClustering(k, random_state=seed).fit(flat(X))
    return model.labels_, lambda new: model.predict(flat(new))


def train_encoder(X: Any, seed: int, steps: int) -> nn.Module:
    """The encoder of the paper's autoencoder, trained on rows; from rows (m, d) to codes."""
    spec = Autoencoder()
    settings = _cut(spec.training, steps) if steps else spec.training
    reader = RowReader(X, torch.device("cpu"))
    standardize = Standardize(reader.n_features)
    standardize.measure(reader.sample(np.random.default_rng(seed)))
    encoder, decoder = build_autoencoder(reader.n_features, spec.widths, spec.n_codes, seed=seed)
    task = AutoencoderTask(standardize, encoder, decoder, reader, settings)
    train(task, settings, stage="autoencoder", seed=seed)
    return nn.Sequential(standardize, encoder)


def codes_of(encoder: nn.Module, X: Any) -> np.ndarray:
    """Codes (n, 10), float32."""
    return outputs_of(encoder, RowReader(X, torch.device("cpu")))


def autoencoder_k_means(X: Any, k: int, seed: int, steps: int) -> Labels:
    """k-means on the codes of the paper's autoencoder."""
    encoder = train_encoder(X, seed, steps)
    model = KMeans(k, n_init=10, random_state=seed).fit(codes_of(encoder, X))
    return model.labels_, lambda new: model.predict(codes_of(encoder, new))


METHODS: dict[str, Callable[[Any, int, int, int], Labels]] = {
    "k-means": k_means,
    "SpectralClustering": spectral_clustering,
    "autoencoder + k-means": autoencoder_k_means,
    "SpectralNet, default": spectral_net(lambda X, k: SpectralNetRecipe.named("default")),
    "SpectralNet, paper": spectral_net(lambda X, k: paper_recipe(X)),
    "SpectralNet, paper without Siamese": spectral_net(
        lambda X, k: replace(paper_recipe(X), siamese=None)
    ),
    "SpectralNet, paper on the rows": spectral_net(
        lambda X, k: replace(paper_recipe(X), codes=None, siamese=None)
    ),
    "DSCDAN, default": dscdan("default"),
    "DSCDAN, paper": dscdan("paper"),
    "DSCDAN, ConvAE": dual_codes(information=False, relative=False),
    "DSCDAN, ConvAE + MI": dual_codes(information=True, relative=False),
    "DSCDAN, ConvAE + RS": dual_codes(information=False, relative=True),
    "DSCDAN, ConvAE + MI + RS": dual_codes(information=True, relative=True),
    "SpectralNet, as the package": spectral_net(lambda X, k: package_recipe(X.shape[0], k)),
}


def main() -> None:
    """Fit, score, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help=f"{', '.join(SPLITS)}, or a file SET.npz with X and y")
    parser.add_argument("method", choices=list(METHODS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=0, help="only so many rows; 0: all")
    parser.add_argument("--steps", type=int, default=0, help="at most, of each training; 0: all")
    given = parser.parse_args()
    split = load_split(given.data, given.rows)
    k = len(np.unique(split.y))
    before = peak_mb()
    start, cpu = time.perf_counter(), time.process_time()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        labels, predict = METHODS[given.method](split.X, k, given.seed, given.steps)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    result: dict[str, Any] = {
        "n": len(split.y),
        "k": k,
        "acc": accuracy(split.y, labels),
        "nmi": nmi(split.y, labels),
        "seconds": seconds,
        "cpu seconds": cpu,  # of all threads: other work on the machine hardly counts
        "peak_mb": peak_mb(),  # before the prediction of new rows
        "before_mb": before,
        "warnings": [each.category.__name__ for each in caught],
    }
    if torch.cuda.is_available():
        result["gpu_mb"] = torch.cuda.max_memory_allocated() / 1e6
    for each in caught:
        warnings.showwarning(each.message, each.category, each.filename, each.lineno)
    if split.y_new is not None:
        new = predict(split.X_new)
        result |= {"acc unseen": accuracy(split.y_new, new), "nmi unseen": nmi(split.y_new, new)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
