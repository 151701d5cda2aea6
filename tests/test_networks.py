"""Networks: each against a brute-force oracle, and what the batches of the training rely on."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from fiedler.exceptions import CollapsedOutputsError, InputError
from fiedler.networks import (
    ConvMap,
    DenseMap,
    OrthonormalLayer,
    RandomAffine,
    batch_affinity,
    build_autoencoder,
    build_map,
    contrastive_loss,
    known_pair_loss,
    orthonormal_weights,
    pair_loss,
    random_views,
    spectral_loss,
    vc_capacity,
    warp,
)
from fiedler.networks.batch_affinity import squared_distances
from fiedler.networks.build import Standardize, as_images, from_images
from fiedler.networks.capacity import vc_needed
from fiedler.networks.norm import BatchNorm
from fiedler.networks.orthonormal import ORTHONORMALIZATIONS, effective_rank

METHODS: Any = ORTHONORMALIZATIONS


def tensor(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).to(dtype)


# The orthonormal layer


@given(st.integers(1, 12), st.integers(0, 60), st.integers(0, 10**6), st.sampled_from(METHODS))
def test_weights_make_outputs_orthonormal(k: int, more: int, seed: int, method: Any) -> None:
    rng = np.random.default_rng(seed)
    # columns of scales from a thousandth to a thousand, mixed with each other
    mixed = rng.normal(size=(k + more, k)) * 10.0 ** rng.uniform(-3, 3, k) + rng.normal(size=k)
    if np.linalg.cond(mixed) > 1e5:
        return
    outputs = torch.from_numpy(mixed)
    weights = orthonormal_weights(outputs, method)
    assert weights.dtype == torch.float64
    assert torch.equal(weights, weights.triu())
    assert bool((weights.diagonal() > 0).all())
    product = outputs @ weights
    torch.testing.assert_close(
        product.T @ product, (k + more) * torch.eye(k).double(), atol=1e-4, rtol=0
    )


def test_both_methods_give_the_weights_of_equation_seven() -> None:
    outputs = tensor(50, 6)
    n, factor = 50, np.linalg.cholesky(outputs.numpy().T @ outputs.numpy())
    wanted = np.sqrt(n) * np.linalg.inv(factor).T
    for method in METHODS:
        np.testing.assert_allclose(orthonormal_weights(outputs, method), wanted, rtol=1e-9)


def test_single_precision_is_worked_on_in_double() -> None:
    # squared in float32 the condition number would be lost
    outputs = tensor(200, 3) @ torch.diag(torch.tensor([1.0, 1.0, 1e-4]).double()) + 1.0
    for method in METHODS:
        product = outputs.float().double() @ orthonormal_weights(outputs.float(), method)
        torch.testing.assert_close(
            product.T @ product / 200, torch.eye(3).double(), atol=1e-6, rtol=0
        )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ridge", [0.0, 1e-2])
def test_gradients_flow_through(method: Any, ridge: float) -> None:
    def product(outputs: Tensor) -> Tensor:
        return outputs @ orthonormal_weights(outputs, method, ridge=ridge)

    torch.autograd.gradcheck(product, tensor(9, 3).requires_grad_())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("outputs", "rank"),
    [
        (torch.ones(20, 3), 1),
        (torch.zeros(20, 3), 0),
        (torch.cat([tensor(20, 2), tensor(20, 2).sum(dim=1, keepdim=True)], dim=1), 2),
        (torch.cat([tensor(20, 2), torch.zeros(20, 1)], dim=1), 2),
        (torch.full((20, 3), torch.nan), 0),
        (tensor(20, 3).clone().index_fill_(0, torch.tensor([4]), torch.inf), 0),
    ],
    ids=["constant", "zero", "dependent", "dead column", "nan", "infinite"],
)
def test_too_few_dimensions(method: Any, outputs: Tensor, rank: int) -> None:
    message = f"network's 3 outputs span only {rank} dimensions.*fewer clusters.*learning rate"
    with pytest.raises(CollapsedOutputsError, match=message):
        orthonormal_weights(outputs, method)
    assert effective_rank(outputs) == rank


def test_a_ridge_bridges_few_distinct_rows() -> None:
    outputs = torch.ones(20, 3).double()
    weights = orthonormal_weights(outputs, ridge=1e-5)
    assert bool(weights.isfinite().all())
    # what is there stays nearly orthonormal
    healthy = tensor(100, 4)
    product = healthy @ orthonormal_weights(healthy, ridge=1e-5)
    gram = product.T @ product / 100
    torch.testing.assert_close(gram, torch.eye(4).double(), atol=1e-4, rtol=0)
    mean = float((healthy.T @ healthy / 100).diagonal().mean())
    wanted = torch.linalg.cholesky(healthy.T @ healthy / 100 + 1e-5 * mean * torch.eye(4))
    torch.testing.assert_close(
        orthonormal_weights(healthy, ridge=1e-5), torch.linalg.inv(wanted).T, rtol=1e-9, atol=0
    )
    with pytest.raises(CollapsedOutputsError):
        orthonormal_weights(torch.zeros(20, 3), ridge=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_too_few_rows(method: Any) -> None:
    with pytest.raises(InputError, match=r"5 orthonormal outputs need .* at least 5 rows, got 4"):
        orthonormal_weights(tensor(4, 5), method)
    square = tensor(5, 5)
    product = square @ orthonormal_weights(square, method)
    torch.testing.assert_close(product.T @ product, 5 * torch.eye(5).double(), atol=1e-6, rtol=0)


def test_unknown_method() -> None:
    with pytest.raises(InputError, match="must be 'cholesky' or 'qr', got 'lu'"):
        orthonormal_weights(tensor(9, 2), "lu")  # type: ignore[arg-type]


def test_the_layer_keeps_its_weights_with_the_module() -> None:
    layer = OrthonormalLayer(4, 2)
    assert torch.equal(layer(torch.eye(4)), torch.eye(4, 2))
    outputs = tensor(30, 4)
    layer.set_weight(orthonormal_weights(outputs)[:, :2])
    assert list(layer.parameters()) == []
    again = OrthonormalLayer(4, 2)
    again.load_state_dict(layer.state_dict())
    product = again(outputs.float())
    torch.testing.assert_close(product.T @ product / 30, torch.eye(2), atol=1e-4, rtol=0)


# Losses


def symmetric(m: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    weights = np.triu(rng.random((m, m)) * (rng.random((m, m)) < 0.5), 1)
    return weights + weights.T


@pytest.mark.parametrize("normalized", [False, True])
def test_spectral_loss_is_its_double_sum(normalized: bool) -> None:
    outputs, affinity = tensor(12, 3), symmetric(12)
    affinity[3] = affinity[:, 3] = 0.0  # a row without neighbours
    y = outputs.numpy().copy()
    degrees = affinity.sum(axis=1)
    total = 0.0
    for i in range(12):
        for j in range(12):
            a, b = y[i], y[j]
            if normalized and affinity[i, j] > 0:
                a, b = a / np.sqrt(degrees[i]), b / np.sqrt(degrees[j])
            total += affinity[i, j] * np.sum((a - b) ** 2)
    got = spectral_loss(outputs, torch.from_numpy(affinity), normalized=normalized)
    assert float(got) == pytest.approx(total / 12**2, rel=1e-12)
    single = spectral_loss(outputs.float(), torch.from_numpy(affinity), normalized=normalized)
    assert single.dtype == torch.float32
    assert float(single) == pytest.approx(total / 12**2, rel=1e-5)


def test_pair_loss_is_its_sum() -> None:
    left, right = tensor(7, 3, seed=1), tensor(7, 3, seed=2)
    wanted = np.mean([float(((a - b) ** 2).sum()) for a, b in zip(left, right, strict=True)])
    assert float(pair_loss(left, right)) == pytest.approx(wanted, rel=1e-12)


@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(-1, 4))
def test_known_pair_loss_is_its_sum(seed: int, m: int, most: int) -> None:
    left, right = tensor(m, 3, seed=seed), tensor(m, 3, seed=seed + 1)
    labels = np.random.default_rng(seed).integers(-1, most + 1, 2 * m)
    y = torch.cat([left, right]).numpy()
    total = 0.0
    for i in range(2 * m):
        own = float(((y[i] - y[(i + m) % (2 * m)]) ** 2).sum())
        others = [j for j in range(2 * m) if j != i and labels[i] == labels[j] >= 0]
        if others:
            own = (own + np.mean([((y[i] - y[j]) ** 2).sum() for j in others])) / 2.0
        total += own / (2 * m)
    got = known_pair_loss(left, right, torch.from_numpy(labels))
    assert float(got) == pytest.approx(total, rel=1e-9)


def test_known_pair_loss_s_gradient() -> None:
    left, right = (tensor(5, 2, seed=seed).requires_grad_() for seed in (1, 2))
    labels = torch.tensor([0, 0, 2, 2, -1, 2, 0, 1, 1, -1])
    assert torch.autograd.gradcheck(lambda a, b: known_pair_loss(a, b, labels), (left, right))
    alone = known_pair_loss(left, right, torch.arange(10))
    assert alone.item() == pytest.approx(pair_loss(left, right).item())


@pytest.mark.parametrize("margin", [1.0, 3.0])
def test_contrastive_loss_is_its_sum(margin: float) -> None:
    left, right = tensor(40, 3, seed=1), tensor(40, 3, seed=2)
    positive = torch.arange(40) % 3 == 0
    terms = []
    for a, b, same in zip(left.numpy(), right.numpy(), positive, strict=True):
        distance = np.linalg.norm(a - b)
        terms.append(distance**2 if same else max(margin - distance, 0) ** 2)
    got = contrastive_loss(left, right, positive, margin=margin)
    assert float(got) == pytest.approx(np.mean(terms), rel=1e-9)


def test_contrastive_loss_of_equal_rows_has_a_gradient() -> None:
    left = tensor(4, 2).requires_grad_()
    loss = contrastive_loss(left, left.detach(), torch.tensor([True, False, True, False]))
    (gradient,) = torch.autograd.grad(loss, left)
    assert bool(gradient.isfinite().all())
    assert loss.item() == pytest.approx(0.5, abs=1e-5)


# The affinity within a batch


def affinity_by_loops(
    rows: np.ndarray, n_neighbors: int | None, scale_neighbor: int, scale: str
) -> np.ndarray:
    m = len(rows)
    distance = np.array([[np.linalg.norm(a - b) for b in rows] for a in rows])
    others = [[j for j in np.argsort(distance[i], kind="stable") if j != i] for i in range(m)]
    at = min(scale_neighbor, m - 1) - 1
    kth = np.array([distance[i, others[i][at]] for i in range(m)])
    positive = np.sort(kth[kth > 0])
    typical = positive[(len(positive) - 1) // 2] if len(positive) else 1.0
    own = np.where(kth > 0, kth, typical)
    weights = np.zeros((m, m))
    for i in range(m):
        for j in others[i][:n_neighbors]:
            divisor = 2 * typical**2 if scale == "global" else own[i] * own[j]
            weights[i, j] = math.exp(-(distance[i, j] ** 2) / divisor)
    return (weights + weights.T) / 2


@pytest.mark.parametrize("scale", ["global", "local"])
@pytest.mark.parametrize("n_neighbors", [None, 1, 3, 16, 17, 40])
@pytest.mark.parametrize("scale_neighbor", [1, 2, 7, 40])
def test_batch_affinity_is_its_loop(
    scale: Any, n_neighbors: int | None, scale_neighbor: int
) -> None:
    rows = tensor(18, 4).numpy()
    got = batch_affinity(
        torch.from_numpy(rows), n_neighbors, scale_neighbor=scale_neighbor, scale=scale
    )
    assert got.dtype == torch.float32
    wanted = affinity_by_loops(rows, n_neighbors, scale_neighbor, scale)
    np.testing.assert_allclose(got, wanted, atol=2e-5)
    assert torch.equal(got, got.T)
    assert bool((got.diagonal() == 0).all())
    assert bool((got >= 0).all())


@pytest.mark.parametrize("scale", ["global", "local"])
def test_batch_affinity_of_duplicates(scale: Any) -> None:
    rows = np.repeat(tensor(6, 3).numpy(), 3, axis=0)
    got = batch_affinity(torch.from_numpy(rows), 2, scale_neighbor=3, scale=scale)
    # both duplicates of a row are its two nearest, at distance 0
    wanted = np.kron(np.eye(6), np.ones((3, 3)) - np.eye(3))
    np.testing.assert_allclose(got, wanted, atol=1e-5)
    # the scale is distance 0 for each: then it is what other rows have, or one
    for same in (rows, np.ones((5, 2))):
        near = batch_affinity(torch.from_numpy(same), None, scale_neighbor=2, scale=scale)
        assert bool(near.isfinite().all())
        assert float(near[0, 1]) == pytest.approx(1.0, abs=1e-5)
    ring = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    tied = batch_affinity(ring, 1, scale_neighbor=1, scale=scale)
    assert bool((tied.sum(dim=1) > 0).all())
    assert torch.equal(tied, tied.T)


@pytest.mark.parametrize("scale", ["global", "local"])
def test_batch_affinity_does_not_depend_on_units(scale: Any) -> None:
    rows = tensor(20, 5, dtype=torch.float32)
    wanted = batch_affinity(rows, 4, scale_neighbor=2, scale=scale)
    for factor in (1e-6, 1e6):
        got = batch_affinity(rows * factor, 4, scale_neighbor=2, scale=scale)
        torch.testing.assert_close(got, wanted, atol=1e-4, rtol=0)
    moved = batch_affinity(rows + 100.0, 4, scale_neighbor=2, scale=scale)
    torch.testing.assert_close(moved, wanted, atol=1e-3, rtol=0)


def test_two_rows_and_far_groups() -> None:
    pair = batch_affinity(torch.tensor([[0.0], [2.0]]), 3, scale_neighbor=2)
    np.testing.assert_allclose(pair, [[0, math.exp(-0.5)], [math.exp(-0.5), 0]], rtol=1e-6)
    # far groups have neighbours within the group only
    group = np.arange(40) % 2
    for away in (100.0, 1e4):
        rows = tensor(40, 3) + away * torch.from_numpy(group)[:, None]
        weights = batch_affinity(rows, 5, scale_neighbor=2).numpy()
        assert (weights[group[:, None] != group] == 0).all()
        if away == 100.0:  # in float32 the distances within groups are lost at 1e4 times their size
            by_loops = affinity_by_loops(rows.numpy(), 5, 2, "global")
            np.testing.assert_allclose(weights, by_loops, atol=2e-3)


def test_squared_distances() -> None:
    rows = tensor(15, 4)
    wanted = ((rows[:, None] - rows) ** 2).sum(dim=2)
    torch.testing.assert_close(squared_distances(rows), wanted)
    assert bool((squared_distances(rows).diagonal() == 0).all())


# Random views


def pictures(m: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).random((m, *shape))).float()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


NONE = RandomAffine(rotation=0, scale=0, shift=0, shear=0)


def test_no_amounts_leave_images_as_they_are() -> None:
    views = random_views(5, NONE, generator())
    assert views.shape == (5, 2, 3)
    torch.testing.assert_close(views, torch.eye(2, 3).expand(5, 2, 3))
    for shape in [(1, 8, 8), (3, 7, 12)]:
        images = pictures(5, *shape)
        torch.testing.assert_close(warp(images, views), images, atol=1e-5, rtol=0)


def test_a_known_shift() -> None:
    images = pictures(2, 1, 6, 10)
    right = torch.tensor([[1.0, 0.0, 2.0 * 0.1], [0.0, 1.0, 0.0]]).expand(2, 2, 3)
    shifted = warp(images, right)  # the view looks a tenth of the width, one pixel, to the right
    torch.testing.assert_close(shifted[..., :-1], images[..., 1:], atol=1e-5, rtol=0)
    darkest = images.amin(dim=(1, 2, 3))[:, None, None].expand(2, 1, 6)
    torch.testing.assert_close(shifted[..., -1], darkest, atol=1e-5, rtol=0)
    mirrored = warp(images, torch.tensor([[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).expand(2, 2, 3))
    torch.testing.assert_close(mirrored, images.flip(-1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 7, 12), (2, 1, 5)])
def test_warp_is_torchs_affine_sampling(shape: tuple[int, int, int]) -> None:
    images = pictures(5, *shape)
    views = random_views(5, RandomAffine(25, 0.3, 0.1, 0.4, flip=True), generator())
    grid = F.affine_grid(views, [5, *shape], align_corners=False)
    darkest = images.amin(dim=(1, 2, 3), keepdim=True)
    wanted = F.grid_sample(images - darkest, grid, align_corners=False) + darkest
    torch.testing.assert_close(warp(images, views), wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("amounts", "entries", "most"),
    [
        (RandomAffine(0, 0, 0.25, 0), [(0, 2), (1, 2)], 0.5),
        (RandomAffine(0, 0.3, 0, 0), [(0, 0), (1, 1)], 0.3),
        (RandomAffine(0, 0, 0, 0.2), [(0, 1)], 0.2),
        (RandomAffine(30, 0, 0, 0), [(0, 1), (1, 0)], 0.5),
    ],
    ids=["shift", "scale", "shear", "rotation"],
)
def test_amounts_are_the_largest_either_way(
    amounts: RandomAffine, entries: list[tuple[int, int]], most: float
) -> None:
    away = random_views(4000, amounts, generator()) - torch.eye(2, 3)
    for row, column in entries:
        values = away[:, row, column]
        assert float(values.abs().max()) <= most + 1e-6
        assert float(values.min()) < -0.95 * most
        assert float(values.max()) > 0.95 * most
        assert abs(float(values.mean())) < 0.05 * most


def test_rotation_keeps_lengths_and_half_are_mirrored() -> None:
    views = random_views(500, RandomAffine(90, 0, 0, 0), generator())[:, :, :2]
    torch.testing.assert_close(views @ views.mT, torch.eye(2).expand(500, 2, 2))
    flips = random_views(1000, RandomAffine(0, 0, 0, 0, flip=True), generator())[:, 0, 0]
    assert set(flips.tolist()) == {-1.0, 1.0}
    assert 400 < int((flips < 0).sum()) < 600


def test_views_follow_the_generator() -> None:
    amounts = RandomAffine(flip=True)
    one, two = (random_views(50, amounts, generator(3)) for _ in range(2))
    assert torch.equal(one, two)
    assert not torch.equal(one, random_views(50, amounts, generator(4)))
    before = torch.get_rng_state()
    warp(pictures(50, 1, 8, 8), one)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 1), (5, 6, 3)])
def test_rows_as_images_and_back(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).random((4, *shape))
    rows = torch.from_numpy(images.reshape(4, -1))
    seen = as_images(rows, shape)
    assert seen.shape == (4, shape[2] if len(shape) > 2 else 1, 5, 6)
    np.testing.assert_array_equal(seen[:, 0], images if len(shape) == 2 else images[..., 0])
    assert torch.equal(from_images(seen), rows)


# Maps


@pytest.mark.parametrize("spec", [DenseMap((16,)), ConvMap((4, 8), 16)], ids=repr)
@pytest.mark.parametrize("shape", [(8, 8), (7, 9), (5, 6, 3), (4, 4, 1), (11, 1)])
def test_maps_take_images_of_any_shape(spec: DenseMap | ConvMap, shape: tuple[int, ...]) -> None:
    network = build_map(spec, shape, 5, seed=0)
    rows = tensor(6, math.prod(shape), dtype=torch.float32)
    assert network(rows).shape == (6, 5)
    network(rows).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_dense_maps_have_the_layers_asked_for() -> None:
    kinds = [type(layer) for layer in build_map(DenseMap((9, 7)), (4,), 2, seed=0).children()]
    linear, normal = [nn.Linear, BatchNorm, nn.ReLU], [nn.Linear, nn.ReLU]
    assert kinds == linear * 2 + [nn.Linear]
    plain = build_map(DenseMap((9, 7), batch_norm=False, head="tanh"), (4,), 2, seed=0)
    assert [type(layer) for layer in plain.children()] == normal * 2 + [nn.Linear, nn.Tanh]
    outputs = plain(1e3 * tensor(20, 4, dtype=torch.float32))
    assert outputs.abs().max().item() <= 1.0
    assert len(list(build_map(DenseMap(()), (4,), 2, seed=0).children())) == 1


def state(network: nn.Module) -> list[Tensor]:
    return list(network.state_dict().values())


@pytest.mark.parametrize(
    "build",
    [
        lambda seed: build_map(DenseMap((8,)), (6, 6), 3, seed=seed),
        lambda seed: build_map(ConvMap((4,), 8), (6, 6), 3, seed=seed),
        lambda seed: nn.ModuleList(build_autoencoder(36, (8, 9), 3, seed=seed)),
    ],
    ids=["dense", "convolutional", "autoencoder"],
)
def test_weights_come_from_the_seed_alone(build: Callable[[int], nn.Module]) -> None:
    torch.manual_seed(1)
    one, before = state(build(7)), torch.get_rng_state()
    torch.manual_seed(2)
    two = state(build(7))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one, state(build(8)), strict=True))
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_autoencoder_is_mirrored() -> None:
    encoder, decoder = build_autoencoder(20, (8, 16), 3, seed=0)

    def sizes(network: nn.Module) -> list[tuple[int, int]]:
        layers = [m for m in network.modules() if isinstance(m, nn.Linear)]
        return [(layer.in_features, layer.out_features) for layer in layers]

    assert sizes(encoder) == [(20, 8), (8, 16), (16, 3)]
    assert sizes(decoder) == [(b, a) for a, b in reversed(sizes(encoder))]
    assert decoder(encoder(tensor(4, 20, dtype=torch.float32))).shape == (4, 20)


def test_maps_that_cannot_be_built() -> None:
    with pytest.raises(
        InputError, match=r"ConvMap needs images, got rows of shape \(36,\).*image_"
    ):
        build_map(ConvMap(), (36,), 3, seed=0)
    with pytest.raises(InputError, match="network must be a DenseMap or a ConvMap, got 'dense'"):
        build_map("dense", (36,), 3, seed=0)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"head must be one of .*, got 'relu'"):
        build_map(DenseMap(head="relu"), (36,), 3, seed=0)  # type: ignore[arg-type]


# What stands before and between the layers


def test_standardize() -> None:
    rows = 5.0 + tensor(400, 3, dtype=torch.float32) * torch.tensor([1.0, 2.0, 10.0])
    layer = Standardize(3)
    assert torch.equal(layer(rows), rows)
    layer.measure(rows)
    got = layer(rows)
    np.testing.assert_allclose(got.mean(dim=0), 0, atol=1e-5)
    assert float(got.square().mean()) == pytest.approx(1.0, rel=1e-4)
    # one factor for all: distances keep their proportions
    ratio = torch.pdist(got) / torch.pdist(rows)
    torch.testing.assert_close(ratio, ratio[0].expand_as(ratio), rtol=1e-3, atol=0)
    layer.measure(torch.ones(9, 3))
    assert torch.equal(layer(torch.ones(2, 3)), torch.zeros(2, 3))
    assert list(layer.parameters()) == []
    assert set(layer.state_dict()) == {"shift", "factor"}


@pytest.mark.parametrize("shape", [(16, 5), (6, 5, 4, 3)])
def test_batch_norm_of_one_process_is_that_of_torch(shape: tuple[int, ...]) -> None:
    ours = BatchNorm(5)
    theirs: Any = nn.BatchNorm1d(5) if len(shape) == 2 else nn.BatchNorm2d(5)
    for seed in range(3):
        rows = 3.0 + tensor(*shape, seed=seed, dtype=torch.float32)
        assert torch.equal(ours(rows), theirs(rows))
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name
    ours.eval()
    theirs.eval()
    assert torch.equal(ours(rows), theirs(rows))
    with pytest.raises(ValueError, match="expected 2 or 4 dimensions, got 3"):
        ours(torch.zeros(2, 5, 3))


def test_capacity() -> None:
    dense = build_map(DenseMap((10, 7)), (4,), 3, seed=0)
    weights = (4 * 10 + 10) + (10 * 7 + 7) + (7 * 3 + 3)
    assert vc_capacity(dense) == pytest.approx(3 * weights * math.log2(weights))
    conv = build_map(ConvMap((6,), 5), (8, 8), 2, seed=0)
    weights = (9 * 6 + 6) + (6 * 16 * 5 + 5) + (5 * 2 + 2)
    assert vc_capacity(conv) == pytest.approx(3 * weights * math.log2(weights))
    assert vc_capacity(nn.ReLU()) == 0.0
    assert vc_needed(70_000) == 7000.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomAffine(rotation="x"), "rotation must be a number not below zero, got 'x'"),
        (lambda: RandomAffine(shear=-0.1), r"shear must be a number not below zero, got -0\.1"),
        (lambda: RandomAffine(scale=2.0), r"scale must be below 1, .* got 2\.0"),
        (lambda: RandomAffine(flip=1), "flip must be True or False, got 1"),
        (lambda: DenseMap((8,), batch_norm="no"), "batch_norm must be True or False, got 'no'"),
        (lambda: DenseMap((8,), head="sine"), r"head must be one of .*, got 'sine'"),
    ],
)
def test_parts_that_cannot_be(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
