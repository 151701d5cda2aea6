"""The dual autoencoder: losses against closed forms, shapes, switches, resuming, real digits."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from torch.distributions import Normal, kl_divergence

import fiedler
from fiedler import (
    DSCDAN,
    KNN,
    ConvCoder,
    DenseCoder,
    DenseMap,
    DSCDANRecipe,
    DualLoss,
    LearnedGraph,
    Round,
    Training,
)
from fiedler.evaluation import accuracy
from fiedler.exceptions import (
    CollapsedOutputsError,
    CollapsedOutputsWarning,
    DisconnectedGraphWarning,
    InputError,
)
from fiedler.models.dscdan.recipe import joint_rows, settle
from fiedler.models.dscdan.rounds import best_round, changed_share
from fiedler.networks import RandomAffine
from fiedler.networks.coder import build_coder
from fiedler.networks.discriminators import GlobalCritic, LocalCritic
from fiedler.networks.dual import DualNetwork, UnitRange
from fiedler.networks.dual_losses import (
    cluster_prior_loss,
    information_loss,
    noisy,
    prior_loss,
    reconstruction_loss,
    relative_loss,
    sampled,
)
from fiedler.training import RowReader
from fiedler.training.dual import DualTask

IMAGES = load_digits().images[:400].astype(np.uint8)
CLASSES = load_digits().target[:400]
SMALL = ConvCoder((4, 8), (2, 2), width=16)
STEPS = Training(steps=6, batch_size=64)
BRIEF = DSCDANRecipe(
    coder=SMALL,
    n_codes=8,
    critic_width=8,
    spectral=DenseMap((16,)),
    pretraining=STEPS,
    rounds=(Round(training=STEPS), Round(LearnedGraph(), known=0.5, training=STEPS)),
    settled=0.0,
    joint_batch=32,
    extra_outputs=0,
)

CODES = replace(BRIEF, spectral=None)
PAPER = DSCDANRecipe.named("paper")


ROW = {"stage", "step", "loss", "learning_rate", "seconds"}


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).float()


def fit(recipe: DSCDANRecipe, images: Any = IMAGES, k: int = 4, **options: Any) -> DSCDAN:
    return DSCDAN(k, recipe=recipe, random_state=0, **options).fit(images)


# losses


def test_priors_are_torchs_divergences() -> None:
    mean, log_variance, centers = numbers(7, 5), numbers(7, 5, seed=1), numbers(7, 5, seed=2)
    own = Normal(mean, (0.5 * log_variance).exp())
    for prior, got in (
        (Normal(0.0, 1.0), prior_loss(mean, log_variance)),
        (Normal(centers, 1.0), cluster_prior_loss(mean, log_variance, centers)),
    ):
        torch.testing.assert_close(got, kl_divergence(own, prior).sum(dim=1).mean())


def test_prior_of_the_prior_itself_is_nothing() -> None:
    centers = numbers(3, 4)
    assert float(cluster_prior_loss(centers, torch.zeros(3, 4), centers)) == 0.0


def test_decoding_losses_by_loops() -> None:
    a, b = numbers(4, 6), numbers(4, 6, seed=1)
    wanted = sum(float((a[i, j] - b[i, j]) ** 2) for i in range(4) for j in range(6)) / 4
    assert float(reconstruction_loss(a, b)) == pytest.approx(wanted, rel=1e-5)
    assert float(relative_loss(a, b)) == pytest.approx(wanted, rel=1e-5)


def test_information_loss_is_that_of_the_paper() -> None:
    joint, product = numbers(5, 3), numbers(5, 3, seed=1)
    s = torch.sigmoid
    wanted = -(s(joint).log().mean() + (1 - s(product)).log().mean())
    torch.testing.assert_close(information_loss(joint, product), wanted)


def test_information_loss_of_the_best_critic_measures_the_divergence() -> None:
    """With T = log p/q the loss is 2 log 2 - 2 JSD(p, q); here p and q on four values."""
    p, q = torch.tensor([0.4, 0.3, 0.2, 0.1]), torch.tensor([0.1, 0.2, 0.3, 0.4])
    counts_p, counts_q = (p * 10).round().long(), (q * 10).round().long()
    scores = (p / q).log()
    loss = information_loss(scores.repeat_interleave(counts_p), scores.repeat_interleave(counts_q))
    m = (p + q) / 2
    jsd = 0.5 * (p * (p / m).log()).sum() + 0.5 * (q * (q / m).log()).sum()
    assert float(loss) == pytest.approx(2 * np.log(2) - 2 * float(jsd), rel=1e-5)


@given(st.floats(0.0, 2.0))
def test_noise_is_multiplicative(sigma: float) -> None:
    codes = numbers(2000, 3)
    codes[:, 0] = 0.0
    got = noisy(codes, sigma, torch.randn(2000, 3, generator=torch.Generator().manual_seed(0)))
    assert (got[:, 0] == 0).all()
    spread = (got[:, 1:] / codes[:, 1:] - 1).std()
    assert float(spread) == pytest.approx(sigma, rel=0.1, abs=1e-4)


def test_sampled_codes_have_the_given_spread() -> None:
    mean = torch.full((20_000, 1), 3.0)
    noise = torch.randn(20_000, 1, generator=torch.Generator().manual_seed(0))
    got = sampled(mean, torch.full((20_000, 1), np.log(0.25)), noise)
    assert float(got.mean()) == pytest.approx(3.0, abs=0.02)
    assert float(got.std()) == pytest.approx(0.5, abs=0.02)


# networks


def test_local_critic_is_a_convolution_on_both_side_by_side() -> None:
    critic = LocalCritic(4, 3, 5)
    features, codes = numbers(2, 4, 3, 2), numbers(2, 3, seed=1)
    weight = torch.cat([critic.of_place.weight[:, :, 0, 0], critic.of_code.weight], dim=1)
    for u in range(3):
        for v in range(2):
            both = torch.cat([features[:, :, u, v], codes], dim=1)
            hidden = both @ weight.T + critic.of_place.bias
            one = critic.last(critic.score(hidden[:, :, None, None]))[:, 0, 0, 0]
            torch.testing.assert_close(critic(features, codes)[:, u, v], one)


def test_global_critic_sees_the_places_or_their_mean() -> None:
    features, codes = numbers(2, 4, 3, 2), numbers(2, 3, seed=1)
    turned = features.flip(2)
    for places, same in ((None, True), (6, False)):
        critic = GlobalCritic(4, 3, 5, places)
        scores = critic(features, codes)
        assert scores.shape == (2,)
        assert torch.allclose(scores, critic(turned, codes), atol=1e-6) == same


@pytest.mark.parametrize(
    ("spec", "shape"),
    [
        (ConvCoder(), (28, 28)),
        (ConvCoder(), (5, 9)),
        (ConvCoder((4, 6), (2, 3), kernel=5, width=None), (16, 17, 3)),
        (ConvCoder((4, 6, 5), (1, 2, 3), kernel=(3, 5, 1)), (11, 8)),
        (ConvCoder((16, 16, 32, 32), (1, 2, 1, 2), width=None, batch_norm=False), (13, 4, 1)),
        (DenseCoder((8, 6)), (7, 5)),
        (DenseCoder((8,), batch_norm=False), (11,)),
    ],
)
def test_decoder_gives_rows_back_in_their_shape(spec: Any, shape: tuple[int, ...]) -> None:
    coder = build_coder(spec, shape, 6, seed=0)
    rows = numbers(3, int(np.prod(shape)))
    features, mean, log_variance = coder.encoder(rows)
    assert features.shape[:2] == (3, coder.n_features)
    assert mean.shape == log_variance.shape == (3, 6)
    torch.testing.assert_close(coder.encoder.eval().codes(rows), coder.encoder(rows)[1])
    decoded = coder.decoder(mean).detach()
    assert decoded.shape == rows.shape
    if isinstance(spec, ConvCoder):
        assert 0 <= float(decoded.min()) <= float(decoded.max()) <= 1


def test_decoder_s_convolutions_are_torchs_transposed() -> None:
    spec = ConvCoder((4, 6, 5), (1, 2, 3), kernel=(3, 5, 1), width=None)
    decoder = build_coder(spec, (11, 8), 6, seed=0).decoder
    layers = [m for m in decoder.modules() if isinstance(m, torch.nn.ConvTranspose2d)]
    assert len(layers) == 3
    for layer in layers:
        assert layer.bias is not None
        maps = numbers(2, layer.in_channels, 4, 3).requires_grad_()
        given = maps, layer.weight, layer.bias
        wanted = torch.nn.ConvTranspose2d.forward(layer, maps)
        found = layer(maps)
        torch.testing.assert_close(found, wanted)
        upstream = numbers(*found.shape, seed=1)
        gradients = (torch.autograd.grad(out, given, upstream) for out in (found, wanted))
        for own, torchs in zip(*gradients, strict=True):
            torch.testing.assert_close(own, torchs)


def test_unit_range_and_back() -> None:
    rows = numbers(50, 4) * 30 + 7
    for images in (True, False):
        scale = UnitRange(4, images)
        scale.measure(rows)
        scaled = scale(rows)
        if images:
            assert (float(scaled.min()), float(scaled.max())) == pytest.approx((0, 1), abs=1e-6)
        else:
            torch.testing.assert_close(scaled.mean(dim=0), torch.zeros(4), atol=1e-5, rtol=0)
        torch.testing.assert_close(scale.undo(scaled), rows)


def dual_network(seed: int = 0) -> DualNetwork:
    network = DualNetwork(
        SMALL,
        (8, 8),
        n_codes=5,
        spectral=None,
        n_outputs=4,
        n_centers=4,
        critic_width=6,
        whole_map=False,
        seed=seed,
    )
    network.measure(torch.from_numpy(IMAGES.reshape(400, -1)).float())
    return network


TERMS = {
    "relative": "decoder",
    "global_information": "global_critic",
    "local_information": "local_critic",
    "prior": "encoder.log_variance",
}


@pytest.mark.parametrize("term", TERMS)
def test_a_term_of_weight_zero_trains_nothing(term: str) -> None:
    reader = RowReader(IMAGES.reshape(400, -1), torch.device("cpu"))
    none = DualLoss(relative=0, global_information=0, local_information=0, prior=0)
    losses = []
    for weights in (none, replace(none, **{term: 1.0})):
        network = dual_network()
        task = DualTask(network, reader, weights, 32)
        loss = task.loss(0, np.random.default_rng(0))
        loss.backward()  # type: ignore[no-untyped-call]
        losses.append(float(loss.detach()))
        assert set(task.terms) == {"reconstruction"} | ({term} if weights is not none else set())
        assert sum(map(float, task.terms.values())) == pytest.approx(losses[-1], rel=1e-6)
        trained = [
            name
            for name, parameter in network.named_parameters()
            if parameter.grad is not None and bool(parameter.grad.any())
        ]
        part = TERMS[term]
        assert any(name.startswith(part) for name in trained) == (
            weights is not none or part == "decoder"
        )
    assert losses[0] != losses[1]


def test_cluster_prior_pulls_the_centers() -> None:
    reader = RowReader(IMAGES.reshape(400, -1), torch.device("cpu"))
    network = dual_network()
    clusters = np.arange(400) % 3
    task = DualTask(network, reader, DualLoss(prior=1.0), 32, clusters=clusters)
    task.loss(0, np.random.default_rng(0)).backward()  # type: ignore[no-untyped-call]
    gradient = network.centers.grad
    assert gradient is not None
    assert gradient[:3].any(dim=1).all()
    assert not gradient[3].any()


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    first, second = dual_network(3), dual_network(3)
    assert torch.equal(before, torch.get_rng_state())
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


# rounds


def test_changed_share_matches_clusters_first() -> None:
    before = np.array([0, 0, 1, 1, 2, 2])
    assert changed_share(before, np.array([2, 2, 0, 0, 1, 1])) == 0.0
    assert changed_share(before, np.array([2, 2, 0, 0, 1, 0])) == pytest.approx(1 / 6)


# the estimator


@pytest.fixture(scope="module")
def model() -> DSCDAN:
    return fit(BRIEF)


def test_what_a_fit_keeps(model: DSCDAN) -> None:
    assert [row["round"] for row in model.rounds_] == [1, 2]
    assert sum(row["kept"] for row in model.rounds_) == 1
    assert list(model.phases_) == ["pretraining", "joint 1", "joint 2"]
    assert model.phases_["pretraining"].shape == (400, 8)
    assert {name: a.shape for name, a in model.examples_.items()} == dict.fromkeys(
        ("rows", "decoded", "decoded_noisy"), (64, 64)
    )
    assert {row["stage"] for row in model.history_} == {"pretraining", "joint 1", "joint 2"}
    assert not np.array_equal(model.examples_["decoded"], model.examples_["decoded_noisy"])
    terms = {"reconstruction", "relative", "global_information", "local_information", "prior"}
    for row in model.history_:
        joint = row["stage"] != "pretraining"
        assert set(row) == ROW | terms | ({"spectral"} if joint else set())
        assert all(np.isfinite(row[term]) for term in terms)
    best = model.rounds_[best_round([row["score"] for row in model.rounds_])]
    assert best["kept"]
    kept = model.phases_[f"joint {best['round']}"]
    np.testing.assert_array_equal(kept, model.embedding_.astype(np.float32))


@pytest.mark.parametrize(
    ("scores", "best"),
    [([0.85], 0), ([0.85, 0.86], 1), ([0.853, 0.8525], 1), ([0.853, 0.85], 0), ([0, 1, 2], 2)],
)
def test_of_tied_rounds_the_last_is_kept(scores: list[float], best: int) -> None:
    assert best_round(scores) == best


def test_each_row_of_the_examples_has_noise_of_its_own() -> None:
    twins = np.repeat(IMAGES[:50], 2, axis=0)
    shown = fit(replace(BRIEF, settled=1.0), twins).examples_
    for i in range(0, 64, 2):
        np.testing.assert_array_equal(shown["decoded"][i], shown["decoded"][i + 1])
        assert not np.array_equal(shown["decoded_noisy"][i], shown["decoded_noisy"][i + 1])


def test_a_file_gives_everything_back(model: DSCDAN, tmp_path: Path) -> None:
    model.save(tmp_path / "a.fiedler")
    found = fiedler.load(tmp_path / "a.fiedler")
    for method in ("predict", "transform", "codes", "reconstruct"):
        np.testing.assert_array_equal(
            getattr(found, method)(IMAGES), getattr(model, method)(IMAGES)
        )
    assert found.rounds_ == model.rounds_
    assert found.history_ == model.history_


def test_a_row_alone_is_the_row_in_company(model: DSCDAN) -> None:
    for method in ("transform", "codes", "reconstruct"):
        together = getattr(model, method)(IMAGES)
        np.testing.assert_array_equal(getattr(model, method)(IMAGES[7:8]), together[7:8])


class Stop:
    def __init__(self, stage: str, step: int) -> None:
        self.at = (stage, step)

    def __call__(self, stage: str, done: float, total: float) -> None:
        if (stage, done) == self.at:
            raise KeyboardInterrupt


@pytest.mark.parametrize("at", [("pretraining", 3), ("joint 1", 2), ("joint 2", 4)])
def test_a_stopped_fit_goes_on_to_the_same_result(at: tuple[str, int], tmp_path: Path) -> None:
    recipe = replace(BRIEF, coder=DenseCoder((12,)), views=None)
    wanted = fit(recipe)
    file = tmp_path / "check"
    with pytest.raises(KeyboardInterrupt):
        fit(recipe, checkpoint=file, progress=Stop(*at))
    assert file.exists()
    found = fit(recipe, checkpoint=file)
    assert not file.exists()
    np.testing.assert_array_equal(found.embedding_, wanted.embedding_)
    np.testing.assert_array_equal(found.labels_, wanted.labels_)
    assert [r["loss"] for r in found.history_] == [r["loss"] for r in wanted.history_]


def test_other_clusters_than_those_of_the_checkpoint(tmp_path: Path) -> None:
    recipe = replace(BRIEF, coder=DenseCoder((12,)), views=None)
    given: dict[str, Any] = {"checkpoint": tmp_path / "check", "n_components": 8}
    with pytest.raises(KeyboardInterrupt):
        fit(recipe, progress=Stop("joint 1", 2), **given)
    for k, other in [(6, {}), (4, {"assign": "kmeans"}), (4, {"max_clusters": 5})]:
        with pytest.raises(InputError, match="checkpoint of other rows, parameters"):
            fit(recipe, k=k, **given, **other)


def test_a_later_round_that_collapses_leaves_the_earlier_one() -> None:
    wild = Training(steps=6, batch_size=64, learning_rate=1e6)
    first, last = BRIEF.rounds[0], Round(LearnedGraph(), training=wild)
    with pytest.warns(CollapsedOutputsWarning, match="round 2 of the joint phase") as seen:
        model = fit(replace(BRIEF, rounds=(first, last, last)))
    assert seen[0].filename == __file__
    wanted = fit(replace(BRIEF, rounds=(first,)))
    np.testing.assert_array_equal(model.embedding_, wanted.embedding_)
    np.testing.assert_array_equal(model.labels_, wanted.labels_)
    np.testing.assert_array_equal(model.transform(IMAGES), wanted.transform(IMAGES))
    assert [row["kept"] for row in model.rounds_] == [True, False]
    assert "ower the learning rate" in model.rounds_[1]["collapsed"]
    with pytest.raises(CollapsedOutputsError):
        fit(replace(BRIEF, rounds=(last, first)))


def test_a_collapse_is_told_at_the_line_of_the_user() -> None:
    # two hidden units and a constant: three dimensions for six clusters
    narrow = replace(BRIEF, spectral=DenseMap((2,), batch_norm=False), settled=1.0)
    with pytest.warns(CollapsedOutputsWarning, match="too few for 6 clusters") as seen:
        fit(narrow, k=6)
    assert {warning.filename for warning in seen} == {__file__}


def test_without_spectral_network_codes_are_clustered() -> None:
    model = fit(replace(BRIEF, spectral=None))
    assert list(model.phases_) == ["pretraining"]
    assert model.rounds_ == []
    np.testing.assert_allclose(
        model.embedding_, model.codes(IMAGES).astype(np.float64) @ model._rotation
    )


def test_a_graph_that_falls_apart_is_told() -> None:
    rows = numbers(92, 4).double().numpy()
    rows[:, 0] += 60.0 * (np.arange(92) % 23)
    recipe = replace(BRIEF, coder="auto", graph=KNN(2), settled=1.0)
    with pytest.warns(DisconnectedGraphWarning, match=r"recipe=DSCDANRecipe\(graph=KNN\(20\)\)"):
        model = fit(recipe, rows, k=3)
    assert model.n_connected_components_ == 23
    assert model.component_sizes_.tolist() == [4] * 23


def test_the_published_ablations_are_kmeans_on_the_codes(tmp_path: Path) -> None:
    recipe = replace(DSCDANRecipe.named("paper"), n_codes=8, pretraining=STEPS, spectral=None)
    model = fit(recipe)
    assert model.eigenvalues_ is None
    codes = model.codes(IMAGES)
    np.testing.assert_array_equal(model.embedding_, codes)
    squared = ((codes[:, None] - model._partition.centers) ** 2).sum(axis=2)
    np.testing.assert_array_equal(model.labels_, squared.argmin(axis=1))
    assert model.n_clusters_ == 4
    # Lloyd's fixed point: each centre is the mean of its rows
    means = np.stack([codes[model.labels_ == c].mean(axis=0) for c in range(4)])
    np.testing.assert_allclose(means, model._partition.centers, atol=0.05 * codes.std())
    model.save(tmp_path / "m")
    np.testing.assert_array_equal(fiedler.load(tmp_path / "m").predict(IMAGES), model.labels_)
    module, _ = model.export_module()
    found = module(torch.from_numpy(IMAGES.reshape(400, -1)).float())["distances"]
    assert (found.argmin(dim=1).numpy() == model.labels_).mean() > 0.99


def test_settled_clusters_end_the_rounds() -> None:
    assert len(fit(replace(BRIEF, settled=1.0)).rounds_) == 1


def test_after_the_first_round_what_is_known_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    assign = DSCDAN._assign

    def spy(self: DSCDAN, *given: Any, own: bool = False) -> Any:
        seen.append(own)
        return assign(self, *given, own=own)

    monkeypatch.setattr(DSCDAN, "_assign", spy)
    fit(BRIEF)
    assert seen == [False, True]


def test_the_published_procedure_runs() -> None:
    paper = DSCDANRecipe.named("paper")
    recipe = replace(
        paper,
        n_codes=8,
        spectral=DenseMap((16,), batch_norm=False),
        pretraining=STEPS,
        rounds=(replace(paper.rounds[0], training=STEPS),) * 2,
    )
    model = fit(recipe)
    assert model.assignment_ == "kmeans"
    assert model.rounds_[-1]["kept"]
    in_turns = fit(replace(recipe, alternate=True))
    assert not np.array_equal(in_turns.embedding_, model.embedding_)


def test_the_published_procedure_is_that_of_the_paper() -> None:
    paper = DSCDANRecipe.named("paper")
    assert (paper.whole_map, paper.normalized, paper.views) == (True, False, None)
    for recipe, rows in ((paper, 128), (DSCDANRecipe(), 32), (DSCDANRecipe(joint_batch=7), 7)):
        training = settle(recipe, (28, 28), 10_000).rounds[0].training
        assert joint_rows(recipe, training) == rows
    for name in ("upright", "gradients"):
        assert not getattr(settle(paper, (28, 28), 10_000), name)
        assert getattr(settle(DSCDANRecipe(), (28, 28), 10_000), name)
        with pytest.raises(InputError, match=rf"{name}=True needs images.*\(graph=KNN\(\)\)"):
            settle(DSCDANRecipe(**{name: True}), (50,), 10_000)
    for shape, channels in (((28, 28), (16, 16, 32, 32)), ((16, 16), (16, 32))):
        coder = settle(paper, shape, 10_000).coder
        assert (coder.channels, coder.kernel, coder.batch_norm) == (channels, 3, False)
        assert sorted(coder.strides)[-2:] == [2, 2]
    assert isinstance(settle(paper, (50,), 10_000).coder, DenseCoder)


def test_images_are_trained_on_by_their_number() -> None:
    unknown = DSCDANRecipe(rounds=tuple(replace(spec, known=0) for spec in DSCDANRecipe().rounds))
    for n, steps, other in (
        (500, [1500, 500], [400, 133]),
        (2000, [1500, 500], [600, 200]),
        (70_000, [3000, 1000], [1500, 500]),
    ):
        for recipe, wanted in ((DSCDANRecipe(), steps), (unknown, other)):
            rounds = settle(recipe, (28, 28), n).rounds
            assert [spec.training.steps for spec in rounds] == wanted
    first = settle(DSCDANRecipe(), (28, 28), 5000, 100).rounds[0].training
    assert first.batch_size == 1200  # some rows of each of many clusters
    vectors = settle(DSCDANRecipe(), (50,), 10_000).rounds
    assert [spec.training.steps for spec in vectors] == [600, 360]


def test_colour_vectors_and_no_pretraining() -> None:
    colour = np.stack([IMAGES, IMAGES.transpose(0, 2, 1), 16 - IMAGES], axis=-1)[:120, :, :7]
    model = fit(replace(BRIEF, pretraining=None), colour)
    assert model.reconstruct(colour[:2]).shape == (2, 8 * 7 * 3)
    vectors = numbers(90, 6).double().numpy()
    dense = replace(BRIEF, coder="auto", settled=1.0)
    assert fit(dense, vectors, k=3).embedding_.shape[0] == 90


@pytest.mark.parametrize("rule", ["auto", "eigengap", "modularity"])
def test_a_rule_may_choose_as_many_as_there_are_outputs(rule: str) -> None:
    images = np.zeros((60, 8, 8))
    images[30:] = 1
    assert DSCDAN(rule, recipe=BRIEF, max_clusters=2, random_state=0).fit(images).n_clusters_ == 2


def test_images_may_come_as_sparse_rows() -> None:
    flat = IMAGES.reshape(len(IMAGES), -1).astype(np.float64)
    recipe = replace(BRIEF, upright=True, gradients=True)
    dense = fit(recipe, flat, image_shape=(8, 8))
    thin = fit(recipe, sp.csr_matrix(flat), image_shape=np.array([8, 8]))
    np.testing.assert_allclose(thin.embedding_, dense.embedding_, atol=1e-6)


def test_one_image_is_no_rows(model: DSCDAN) -> None:
    with pytest.raises(InputError, match=r"one image of shape \(8, 8\).*X\[None\]"):
        model.predict(IMAGES[0])
    assert model.predict(IMAGES[:1]).shape == (1,)


def test_rounds_tell_what_they_took_as_known(model: DSCDAN) -> None:
    shares = [row["known"] for row in model.rounds_]
    assert 0 <= shares[0] <= 1
    assert 0.3 < shares[1] <= 0.55


def test_only_the_kept_round_warns_of_too_few_dimensions(monkeypatch: pytest.MonkeyPatch) -> None:
    def few(self: DSCDAN, k: int, wanted: int) -> str:
        return f"round {len(self.rounds_) + 1}"

    monkeypatch.setattr(DSCDAN, "_too_few_dimensions", few)
    with pytest.warns(CollapsedOutputsWarning) as caught:
        found = fit(BRIEF)
    kept = [row["round"] for row in found.rounds_ if row["kept"]]
    told = [str(w.message) for w in caught if w.category is CollapsedOutputsWarning]
    assert told == [f"round {kept[0]}"]
    assert [row["dimensions"] for row in found.rounds_] == [4, 4]


def test_a_tanh_head_is_not_the_last_hidden_layer() -> None:
    recipe = replace(BRIEF, spectral=DenseMap((16,), head="tanh"))
    network = fit(recipe)._network.cpu()
    codes = network.codes(numbers(5, 64))
    assert isinstance(network.spectral, torch.nn.Sequential)
    wanted = network.spectral[:3](codes)  # linear, batch normalisation, ReLU
    assert wanted.shape == (5, 16)
    torch.testing.assert_close(network.hidden(numbers(5, 64)), wanted)


def test_pretraining_that_diverges_is_told() -> None:
    wild = replace(BRIEF, pretraining=Training(1, 64, 1e10))
    with pytest.raises(CollapsedOutputsError, match="after the pretraining are not finite"):
        fit(wild)


def test_outputs_of_too_few_dimensions_are_a_collapse() -> None:
    narrow = replace(BRIEF, spectral=DenseMap((2,)), settled=1.0)
    with pytest.raises(CollapsedOutputsError, match="span"):
        fit(narrow, assign="cluster_qr", k=8)


def test_fits_in_threads_are_those_of_one() -> None:
    built: list[list[torch.Tensor]] = []

    def build() -> None:
        for _ in range(5):
            coder = build_coder(SMALL, (8, 8), 8, seed=7)
            built.append(list(coder.encoder.parameters()))

    before = torch.get_rng_state()
    threads = [threading.Thread(target=build) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.equal(before, torch.get_rng_state())
    for parameters in built:
        assert all(torch.equal(a, b) for a, b in zip(parameters, built[0], strict=True))


@pytest.mark.parametrize("rule", ["auto", "eigengap", "modularity"])
def test_number_of_clusters_by_rule(rule: str) -> None:
    model = DSCDAN(rule, recipe=replace(BRIEF, settled=1.0), max_clusters=6, random_state=0)
    assert 1 <= model.fit(IMAGES).n_clusters_ <= 6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: DSCDANRecipe(coder=3),
            "coder must be 'auto' or 'paper' or ConvCoder or DenseCoder",
        ),
        (lambda: DSCDANRecipe(rounds=()), "rounds must be a tuple"),
        (lambda: DSCDANRecipe(graph=None), "graph=None"),
        (lambda: DSCDANRecipe(joint_batch=1), "joint_batch"),
        (lambda: DSCDANRecipe(alternate=True), r"alternate=True needs batches of random rows, as"),
        (lambda: Round(known=2), "share between 0 and 1"),
        (lambda: LearnedGraph("pixels"), r"one of \['codes', 'hidden'\]"),  # type: ignore[arg-type]
        (lambda: LearnedGraph(n_neighbors="a"), "n_neighbors must be an integer"),  # type: ignore[arg-type]
        (lambda: DualLoss(relative=-1), "relative must be a finite number of at least 0"),
        (lambda: DualLoss(noise=float("nan")), "noise must be a finite number"),
        (lambda: DualLoss(reconstruction=0), "reconstruction must be above 0"),
        (lambda: Training(learning_rate=float("inf")), "learning_rate > 0"),
        (lambda: DSCDANRecipe(rounds=Round()), "rounds must be a tuple"),  # type: ignore[arg-type]
        (lambda: DSCDANRecipe(n_codes=2.5), "n_codes must be an integer"),  # type: ignore[arg-type]
        (lambda: DSCDANRecipe(critic_width=True), "critic_width must be an integer"),
        (lambda: DSCDANRecipe(joint_weight=float("nan")), "joint_weight must be a finite"),
        (lambda: DSCDANRecipe(normalized="no"), "normalized must be True or False"),  # type: ignore[arg-type]
        (lambda: DSCDANRecipe(alternate="no"), "alternate must be True or False"),  # type: ignore[arg-type]
        (
            lambda: replace(BRIEF, graph=None, rounds=(Round(LearnedGraph("codes"), known=0.5),)),
            "what the first round takes as known is read off the graph",
        ),
        (
            lambda: replace(PAPER, views=RandomAffine()),
            "views are shown along the edges of a graph",
        ),
        (lambda: ConvCoder(kernel="3"), "kernel must be an integer"),  # type: ignore[arg-type]
        (lambda: ConvCoder(width=0), "width must be an integer of at least 1"),
        (lambda: fit(CODES, n_components=50), "leave it out"),
        (lambda: fit(replace(CODES, graph=None), n_components=2), "leave it out"),
        (lambda: fit(BRIEF, n_components="a"), "n_components must be an integer"),
        (lambda: fit(BRIEF, checkpoint=3), "checkpoint must be None or the path"),
        (lambda: fit(BRIEF, progress=3), "progress must be None or a function"),
        (lambda: fit(BRIEF, np.zeros((9, 4, 4, 3, 2))), "rows must be vectors"),
        (
            lambda: fit(replace(BRIEF, views=RandomAffine()), np.eye(9, 120).reshape(9, 3, 40)),
            "at least 4 x 4 pixels",
        ),
        (lambda: ConvCoder((8, 8), (2,)), "one stride for each"),
        (lambda: ConvCoder((8, 8), (2, 2), kernel=(3,)), "one stride for each"),
        (lambda: ConvCoder((8, 8), (2, 2), kernel=(3, 4)), "and odd kernels"),
        (
            lambda: DSCDAN(9, recipe=replace(BRIEF, spectral=None, n_codes=4)).fit(np.eye(30)),
            "but there are n_codes=4: raise it",
        ),
        (
            lambda: DSCDAN(3).fit(np.random.default_rng(0).normal(size=(60, 5)) * 1e-42),
            "scale them",
        ),
        (lambda: fit(replace(CODES, graph=None), k="auto"), "n_clusters must be a number and"),  # type: ignore[arg-type]
        (lambda: fit(replace(CODES, graph=None), assign="discretize"), "clusters the codes by"),
        (lambda: DSCDAN(2, recipe="best").fit(IMAGES), "recipe must be one of"),
        (
            lambda: DSCDAN(2, recipe=DSCDANRecipe(coder=ConvCoder())).fit(np.eye(9)),
            "needs images",
        ),
    ],
)
def test_what_cannot_be_is_refused(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_digits_by_their_shape() -> None:
    """A floor far below what was measured, for a fit of a few seconds."""
    recipe = DSCDANRecipe(
        coder=ConvCoder((16, 32), (2, 2), width=64),
        n_codes=32,
        spectral=DenseMap((64,)),
        pretraining=Training(steps=20, batch_size=128),
        rounds=(Round(training=Training(steps=80, batch_size=256)),),
        joint_batch=64,
    )
    model = fit(recipe, k=10)
    assert accuracy(CLASSES, model.labels_) > 0.75
