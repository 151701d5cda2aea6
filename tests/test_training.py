"""The training loop: exact on small tasks, resumable at any step, the same in two processes."""

from __future__ import annotations

import json
import os
import runpy
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from PIL import Image
from torch import Tensor, nn

import fiedler.models.network as shared
from fiedler import ImageFolder
from fiedler.exceptions import CollapsedOutputsError, InputError, OutputError
from fiedler.networks import ConvMap, DenseMap, RandomAffine, build_autoencoder, build_map
from fiedler.networks.build import Standardize
from fiedler.training import (
    Autoencoder,
    Checkpoint,
    RowReader,
    Siamese,
    Training,
    outputs_of,
    train,
)
from fiedler.training.adam import Adam
from fiedler.training.checkpoint import load_module, module_arrays
from fiedler.training.codes import AutoencoderTask, SiameseTask
from fiedler.training.loop import Task
from fiedler.training.precision import autocast
from fiedler.training.processes import from_first, is_first, join_processes, own_device, own_part
from fiedler.training.reader import BLOCK
from fiedler.training.spectral import BatchTask, Forward, PairTask, WholeTask

CPU = torch.device("cpu")


class LeastSquares(Task):
    """Fit a linear map to random batches; every batch has the same solution."""

    def __init__(self, batch: int = 32, *, network: nn.Module | None = None) -> None:
        rng = np.random.default_rng(0)
        self.rows = rng.normal(size=(200, 4)).astype(np.float32)
        self.true = np.array([[1.0, -2.0, 0.5, 3.0]], dtype=np.float32)
        self.module = network or build_map(DenseMap(()), (4,), 1, seed=0)
        self.batch, self.steps_per_epoch = batch, 5

    def loss(self, step: int, rng: np.random.Generator) -> Tensor:
        rows = self.rows[rng.integers(200, size=self.batch)]
        wanted = torch.from_numpy(rows @ self.true.T + 2.0)
        return (self.module(torch.from_numpy(rows)) - wanted).square().mean()


class Constant(LeastSquares):
    """A loss that never falls."""

    def loss(self, step: int, rng: np.random.Generator) -> Tensor:
        return super().loss(step, rng) * 0.0 + 1.0


def weights(module: nn.Module) -> dict[str, np.ndarray]:
    return module_arrays(module, "")


def assert_equal_states(got: nn.Module, wanted: nn.Module) -> None:
    for name, value in weights(wanted).items():
        np.testing.assert_array_equal(weights(got)[name], value, err_msg=name)


def without_seconds(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: row[key] for key in row if key != "seconds"} for row in history]


# The loop


def test_least_squares_reaches_the_solution() -> None:
    task = LeastSquares()
    seen: list[tuple[str, float, float]] = []
    settings = Training(steps=605, learning_rate=0.05)
    history = train(task, settings, stage="s", seed=0, progress=lambda *a: seen.append(a))
    network: Any = task.module
    np.testing.assert_allclose(network[0].weight.detach(), task.true, atol=1e-4)
    np.testing.assert_allclose(network[0].bias.detach(), [2.0], atol=1e-4)
    assert [row["step"] for row in history] == [*range(10, 601, 10), 605]
    assert {tuple(row) for row in history} == {
        ("stage", "step", "loss", "learning_rate", "seconds")
    }
    assert json.loads(json.dumps(history)) == history
    losses, rates = ([row[key] for row in history] for key in ("loss", "learning_rate"))
    assert losses[-1] < 1e-6 < 1.0 < losses[0]
    half_cosine = (
        0.05 * 0.5 * (1 + np.cos(np.pi * (np.array([h["step"] for h in history]) - 1) / 605))
    )
    np.testing.assert_allclose(rates, half_cosine)
    seconds = [row["seconds"] for row in history]
    assert seconds == sorted(seconds)
    assert seen == [("s", i, 605) for i in [*range(1, 606), 605]]
    assert not task.module.training


def test_loss_of_a_row_is_the_mean_of_its_steps() -> None:
    task = LeastSquares()
    losses: list[float] = []
    inner = task.loss

    def recorded(step: int, rng: np.random.Generator) -> Tensor:
        loss = inner(step, rng)
        losses.append(loss.item())
        return loss

    task.loss = recorded  # type: ignore[method-assign]
    history = train(task, Training(steps=25), stage="s", seed=0)
    means = [np.mean(losses[:10]), np.mean(losses[10:20]), np.mean(losses[20:])]
    np.testing.assert_allclose([row["loss"] for row in history], means, rtol=1e-6)


def test_seed_and_stage_alone_decide_the_draws() -> None:
    def draws(seed: int, stage: str) -> list[float]:
        history = train(LeastSquares(), Training(steps=20), stage=stage, seed=seed)
        return [row["loss"] for row in history]

    torch.manual_seed(1)
    first = draws(0, "a")
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert draws(0, "a") == first
    assert draws(1, "a") != first
    assert draws(0, "b") != first
    assert torch.equal(torch.get_rng_state(), before)


def test_plateau_drops_the_rate_and_stops() -> None:
    settings = Training(
        steps=1000, learning_rate=0.1, patience=2, drop=0.1, min_learning_rate=0.5e-3
    )
    history = train(Constant(), settings, stage="s", seed=0)
    # epochs of 5 steps: the first is the best, every two without a lower one drop the rate
    rates = [row["learning_rate"] for row in history]
    # losses are looked at every ten steps: the drop after step 15 holds from step 21
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.01, 0.001])
    assert history[-1]["step"] == 40
    with_progress = train(LeastSquares(), settings, stage="s", seed=0)
    assert [row["learning_rate"] for row in with_progress[:5]] == [0.1] * 5
    assert with_progress[-1]["loss"] < 1e-3 < 1 < with_progress[0]["loss"]


def test_a_loss_that_is_not_finite() -> None:
    class Diverging(LeastSquares):
        def loss(self, step: int, rng: np.random.Generator) -> Tensor:
            return super().loss(step, rng) * (torch.nan if step == 23 else 1.0)

    message = r"loss of s became nan within 10 steps of step 30; lower the learning rate, or scale"
    with pytest.raises(CollapsedOutputsError, match=message):
        train(Diverging(), Training(steps=100), stage="s", seed=0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": 0}, "steps >= 1, batch_size >= 2 and learning_rate > 0, got 0, 1024"),
        ({"batch_size": 1}, "got 1000, 1 and 0.001"),
        ({"learning_rate": 0.0}, "and 0.0"),
        ({"learning_rate": float("nan")}, "and nan"),
        ({"patience": 0}, "patience must be None or at least 1, got 0"),
        ({"drop": 1.0}, "drop must be between 0 and 1, got 1.0"),
    ],
)
def test_settings_that_cannot_train(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Training(**wrong)


def test_precision() -> None:
    with pytest.raises(InputError, match=r"'auto', 'bfloat16', 'float32'\], got 'half'"):
        autocast(CPU, "half")  # type: ignore[arg-type]
    rows, layer = torch.ones(4, 4), nn.Linear(4, 2)
    for precision, dtype in [("float32", torch.float32), ("bfloat16", torch.bfloat16)]:
        with autocast(CPU, precision):  # type: ignore[arg-type]
            assert layer(rows).dtype == dtype


# Interrupted and resumed

PLATEAU = Training(steps=60, learning_rate=0.1, patience=1, drop=0.3, min_learning_rate=5e-3)


class Interrupt:
    """Raises KeyboardInterrupt when a step of the given number is done."""

    def __init__(self, at: int) -> None:
        self.at = at

    def __call__(self, stage: str, done: float, total: float) -> None:
        if done == self.at:
            raise KeyboardInterrupt


@pytest.mark.parametrize("every", [0.0, 1e9])
@pytest.mark.parametrize(
    ("kind", "settings"), [(LeastSquares, Training(steps=33)), (Constant, PLATEAU)]
)
def test_interrupted_at_any_step_and_resumed(
    kind: type[LeastSquares], settings: Training, every: float, tmp_path: Path
) -> None:
    whole = kind()
    wanted = train(whole, settings, stage="s", seed=3)
    last = wanted[-1]["step"]
    for at in {1, 9, 10, 11, last - 8, last - 1, last}:
        path = tmp_path / f"{at}.checkpoint"
        stopped = kind()
        save = Checkpoint(path, {"a": 1}, every)
        with pytest.raises(KeyboardInterrupt):
            train(stopped, settings, stage="s", seed=3, progress=Interrupt(at), checkpoint=save)
        resumed, steps = kind(), []
        saved = Checkpoint(path, {"a": 1}, every)
        history = train(
            resumed,
            settings,
            stage="s",
            seed=3,
            progress=lambda stage, done, total: steps.append(done),  # noqa: B023
            checkpoint=saved,
        )
        assert steps[0] == (at + 1 if at < last else settings.steps)
        assert without_seconds(history) == without_seconds(wanted)
        assert_equal_states(resumed.module, whole.module)
        # a finished stage is only loaded
        loaded = kind()
        again = train(loaded, settings, stage="s", seed=3, checkpoint=Checkpoint(path, {"a": 1}))
        assert again == history
        assert_equal_states(loaded.module, whole.module)


def test_a_torn_step_leaves_the_checkpoint_before_it(tmp_path: Path) -> None:
    class Torn(LeastSquares):
        def loss(self, step: int, rng: np.random.Generator) -> Tensor:
            if step == 17:
                raise KeyboardInterrupt
            return super().loss(step, rng)

    settings, whole, resumed = Training(steps=33), LeastSquares(), LeastSquares()
    wanted = train(whole, settings, stage="s", seed=0)
    path = tmp_path / "c"
    with pytest.raises(KeyboardInterrupt):
        train(Torn(), settings, stage="s", seed=0, checkpoint=Checkpoint(path, {}, every=0.0))
    found = Checkpoint(path, {}).read("s")
    assert found is not None
    assert found[0]["step"] == 17
    history = train(resumed, settings, stage="s", seed=0, checkpoint=Checkpoint(path, {}))
    assert without_seconds(history) == without_seconds(wanted)
    assert_equal_states(resumed.module, whole.module)


class Pictures(Task):
    """A convolutional network, whose weights lie in memory in another order than their shape."""

    def __init__(self) -> None:
        self.module = build_map(ConvMap((8, 8), 8), (6, 6, 3), 2, seed=0)
        self.rows = torch.from_numpy(np.random.default_rng(0).random((40, 108))).float()
        self.steps_per_epoch = 1

    def loss(self, step: int, rng: np.random.Generator) -> Tensor:
        return (self.module(self.rows) - self.rows[:, :2]).square().mean()


def test_a_convolutional_network_resumes_too(tmp_path: Path) -> None:
    settings, whole, resumed = Training(steps=8, learning_rate=1e-2), Pictures(), Pictures()
    wanted = train(whole, settings, stage="s", seed=0)
    save = Checkpoint(tmp_path / "c", {})
    with pytest.raises(KeyboardInterrupt):
        train(Pictures(), settings, stage="s", seed=0, progress=Interrupt(4), checkpoint=save)
    history = train(resumed, settings, stage="s", seed=0, checkpoint=Checkpoint(tmp_path / "c", {}))
    assert without_seconds(history) == without_seconds(wanted)
    assert_equal_states(resumed.module, whole.module)


def test_checkpoint_holds_stages_of_one_training(tmp_path: Path) -> None:
    path = tmp_path / "c"
    one = Checkpoint(path, {"rows": "abc", "seed": 1})
    assert one.read("a") is None
    one.write("a", {"step": 1}, {"x": np.arange(3)})
    one.write("b", {"step": 2}, {"x": np.ones(2), "y": np.array(4)})
    one.write("a", {"step": 3}, {"z": np.zeros(1)})
    two = Checkpoint(path, {"seed": 1, "rows": "abc"})
    found = {stage: two.read(stage) for stage in "abc"}
    assert found["c"] is None
    assert found["a"] is not None
    assert found["b"] is not None
    assert (found["a"][0], list(found["a"][1])) == ({"step": 3}, ["z"])
    assert (found["b"][0], sorted(found["b"][1])) == ({"step": 2}, ["x", "y"])
    for other in ({"rows": "abc", "seed": 2}, {"rows": "abd", "seed": 1}, {}):
        with pytest.raises(
            InputError, match=r"checkpoint of other rows.*delete it or name another"
        ):
            Checkpoint(path, other)
    assert os.listdir(tmp_path) == ["c"]
    two.remove()
    two.remove()
    assert os.listdir(tmp_path) == []


def test_checkpoint_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"folder of checkpoint .* does not exist; create it"):
        Checkpoint(tmp_path / "no" / "c", {})
    (tmp_path / "c").write_bytes(b"\x80\x04nonsense")
    with pytest.raises(InputError, match="not a fiedler model file"):
        Checkpoint(tmp_path / "c", {})


def test_states_come_back_in_the_order_of_memory() -> None:
    one, two = (build_map(ConvMap((4,), 8), (6, 6, 3), 2, seed=seed) for seed in (0, 1))
    load_module(two, weights(one), "")
    assert_equal_states(two, one)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert a.stride() == b.stride()


@pytest.mark.parametrize("spec", [DenseMap((7,)), ConvMap((4,), 8)])
def test_adam_is_that_of_torch(spec: Any) -> None:
    ours, torchs, resumed = (build_map(spec, (6, 6, 3), 2, seed=0) for _ in range(3))
    mine, theirs = Adam(ours.parameters()), torch.optim.Adam(torchs.parameters(), fused=True)
    again = Adam(resumed.parameters())
    generator = torch.Generator().manual_seed(0)
    for step in range(6):
        rows = torch.randn(9, 108, generator=generator)
        for network, optimizer in ((ours, mine), (torchs, theirs), (resumed, again)):
            optimizer.zero_grad()
            network(rows).square().sum().backward()
            if step == 2:  # a parameter without a gradient stays
                next(network.parameters()).grad = None
        theirs.param_groups[0]["lr"] = 0.01 / (step + 1)
        mine.step(0.01 / (step + 1))
        theirs.step()
        again.step(0.01 / (step + 1))
        assert_equal_states(ours, torchs)
        arrays = again.arrays("state.")
        again = Adam(resumed.parameters())
        again.load(arrays, "state.")
    assert_equal_states(ours, resumed)


def test_training_does_not_import_the_compiler() -> None:
    run = (
        "import sys, numpy as np, fiedler; "
        "fiedler.SpectralNet(2, random_state=0).fit(np.random.default_rng(0).normal(size=(60, 3)));"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", run]).returncode == 0


# Rows


def as_folder(images: np.ndarray, folder: Path, **options: Any) -> ImageFolder:
    folder.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i:03}.png")
    return ImageFolder(folder, **options)


def holders(tmp_path: Path) -> dict[str, Any]:
    images = np.random.default_rng(0).integers(0, 255, (30, 4, 5), dtype=np.uint8)
    flat = images.reshape(30, -1)
    np.save(tmp_path / "rows.npy", flat)
    return {
        "bytes": flat,
        "floats": flat.astype(np.float64),
        "half": flat.astype(np.float16),
        "images": images,
        "columns first": np.asfortranarray(flat.astype(np.float32)),
        "memory map": np.load(tmp_path / "rows.npy", mmap_mode="r"),
        "csr": sp.csr_matrix(flat.astype(np.float64)),
        "csr of integers": sp.csr_matrix(flat.astype(np.int32)),
        "folder": as_folder(images, tmp_path / "kept"),
        "folder on disk": as_folder(images, tmp_path / "disk", keep_bytes=0),
    }


def test_a_reader_takes_rows_from_any_storage(tmp_path: Path) -> None:
    everything = holders(tmp_path)
    flat = everything["bytes"].astype(np.float32)
    indices = np.array([7, 3, 3, 29, 0, 7])
    for name, rows in everything.items():
        reader = RowReader(rows, CPU)
        assert (len(reader), reader.n_features) == (30, 20), name
        taken = reader.take(indices)
        assert taken.dtype == torch.float32, name
        np.testing.assert_array_equal(taken, flat[indices], err_msg=name)
        assert reader.take(np.array([], dtype=np.int64)).shape == (0, 20), name
        blocks = list(reader.blocks())
        np.testing.assert_array_equal(torch.cat([b for _, b in blocks]), flat, err_msg=name)
        sample = reader.sample(np.random.default_rng(0))
        np.testing.assert_array_equal(sample, flat, err_msg=name)
        taken.fill_(-1.0)  # is no view of the rows
        np.testing.assert_array_equal(reader.take(indices), flat[indices], err_msg=name)


def test_a_sample_is_without_replacement() -> None:
    rows = np.arange(9000, dtype=np.float64)[:, None]
    reader = RowReader(rows, CPU)
    sample = reader.sample(np.random.default_rng(0))[:, 0]
    assert len(sample) == len(torch.unique(sample)) == 4096
    assert abs(float(sample.mean()) - 4500) < 200


def test_a_memory_map_is_read_in_order_and_in_parts(tmp_path: Path) -> None:
    asked: list[np.ndarray] = []

    class Recorded:
        shape = (100, 3)

        def __getitem__(self, key: Any) -> np.ndarray:
            asked.append(key)
            return np.zeros((len(np.arange(100)[key]), 3), dtype=np.float32)

    reader = RowReader(Recorded(), CPU)
    assert reader.take(np.array([9, 2, 9, 50])).shape == (4, 3)
    np.testing.assert_array_equal(asked[0], [2, 9, 50])


NETWORKS: dict[str, nn.Module] = {
    "dense": nn.Sequential(Standardize(48), build_map(DenseMap((64, 32)), (48,), 5, seed=0)),
    "convolutional": build_map(ConvMap((8, 16), 32), (4, 4, 3), 5, seed=0),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_do_not_depend_on_the_company(name: str) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(2 * BLOCK + 77, 48)).astype(np.float32)
    rotation = rng.normal(size=(5, 3))

    def outputs(part: np.ndarray) -> np.ndarray:
        return outputs_of(NETWORKS[name], RowReader(part, CPU), rotation)

    together = outputs(rows)
    assert together.shape == (len(rows), 3)
    assert together.dtype == np.float64
    order = rng.permutation(len(rows))
    np.testing.assert_array_equal(outputs(rows[order]), together[order])
    for i in (0, 1, BLOCK - 1, BLOCK, len(rows) - 1):
        np.testing.assert_array_equal(outputs(rows[i : i + 1]), together[i : i + 1])
    np.testing.assert_array_equal(outputs(np.repeat(rows[:1], 300, axis=0))[299], together[0])
    plain = outputs_of(NETWORKS[name], RowReader(rows, CPU))
    assert plain.dtype == np.float32
    np.testing.assert_allclose(plain.astype(np.float64) @ rotation, together, atol=1e-5)
    with torch.no_grad():
        direct = NETWORKS[name].eval()(torch.from_numpy(rows))
    np.testing.assert_allclose(plain, direct, atol=1e-5)


# What is trained on


def ring_graph(n: int, seed: int = 0) -> sp.csr_matrix:
    """A ring with weights from 1 to 4, and some chords."""
    rng = np.random.default_rng(seed)
    left = np.concatenate([np.arange(n), rng.integers(n, size=n)])
    right = np.concatenate([(np.arange(n) + 1) % n, rng.integers(n, size=n)])
    apart = left != right
    half = sp.coo_matrix((rng.uniform(1, 4, apart.sum()), (left[apart], right[apart])), (n, n))
    return sp.csr_matrix(half + half.T)


def forward_of(n: int, outputs: int = 3, d: int = 6, **options: Any) -> Forward:
    rows = np.random.default_rng(1).normal(size=(n, d)).astype(np.float32)
    network = build_map(DenseMap((16,), batch_norm=False), (d,), outputs, seed=0)
    return Forward(network, RowReader(rows, CPU), "float32", **options)


def rng_of(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("even", [False, True])
def test_pairs_are_drawn_in_proportion_to_their_weights(even: bool) -> None:
    graph = ring_graph(12)
    if even:
        graph.data[:] = 0.7
    task = PairTask(forward_of(12), graph, 1000)
    counts = np.zeros((12, 12))
    for seed in range(100):
        indices = task.draw(rng_of(seed))
        assert indices.shape == (1000,)
        np.add.at(counts, (indices[:500], indices[500:]), 1)
    # 50,000 draws of an edge with probability p: a standard deviation of root p / 50,000
    wanted = graph.toarray() / graph.sum()
    assert (np.abs(counts / counts.sum() - wanted) <= 5 * np.sqrt(wanted / 50_000)).all()
    assert task.steps_per_epoch == 1


@pytest.mark.parametrize("method", ["cholesky", "qr"])
@pytest.mark.parametrize("normalized", [False, True])
def test_pair_loss_estimates_that_of_the_whole_graph(normalized: bool, method: Any) -> None:
    n, graph = 12, ring_graph(12)
    forward = forward_of(n, orthonormalization=method)
    task = PairTask(forward, graph, 40_000, normalized=normalized)
    whole = WholeTask(forward, graph, normalized=normalized)
    got = task.loss(0, rng_of(0)).item()
    wanted = whole.loss(0, rng_of(0)).item()
    # the whole task's is 1 / W sum W |a - b|^2 too, with rows of mean square one in the measure;
    # both are traces of the form on the same basis, so equal up to the drawing
    assert got == pytest.approx(wanted, rel=0.05)
    oracle = dense_loss(forward, graph.toarray(), normalized)
    assert wanted == pytest.approx(oracle, rel=1e-3)


def test_all_pairs_of_known_clusters_count_half() -> None:
    n, graph = 12, ring_graph(12)
    known = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, -1, -1, -1])
    forward = forward_of(n)
    got = PairTask(forward, graph, 40_000, known=known).loss(0, rng_of(0)).item()
    affinity = graph.toarray()
    degrees = affinity.sum(axis=1)
    # what a batch draws: each row in proportion to its degree, of its cluster any other
    chance = np.outer(degrees, degrees) * (known[:, None] == known) * (known >= 0)
    together = degrees[:, None] * chance / chance.sum(axis=1, keepdims=True).clip(min=1e-9)
    drawn = affinity * np.where(known >= 0, 0.5, 1.0)[:, None]
    wanted = dense_loss(forward, drawn + 0.5 * together, True, affinity)
    assert got == pytest.approx(wanted, rel=0.02)


def dense_loss(
    forward: Forward, affinity: np.ndarray, normalized: bool, measured: np.ndarray | None = None
) -> float:
    """The mean of W |y_i - y_j|^2 with Y^T B Y = n I, by double sums in float64.

    B is made of the degrees of W, or of another affinity.
    """
    measured = affinity if measured is None else measured
    with torch.no_grad():
        outputs = forward.module(forward.reader.take(np.arange(len(affinity)))).double().numpy()
    degrees = measured.sum(axis=1)
    measure = degrees / degrees.mean() if normalized else np.ones(len(affinity))
    gram = outputs.T @ (outputs * measure[:, None]) / len(affinity)
    y = outputs @ np.linalg.inv(np.linalg.cholesky(gram)).T
    squared = ((y[:, None] - y) ** 2).sum(axis=2)
    return float((affinity * squared).sum() / affinity.sum())


def test_views_of_pairs() -> None:
    images = np.random.default_rng(0).integers(0, 255, (30, 36), dtype=np.uint8)
    network = build_map(DenseMap((8,)), (6, 6), 3, seed=0)
    forward = Forward(network, RowReader(images, CPU), "float32")
    task = PairTask(
        forward, ring_graph(30), 2000, views=RandomAffine(), image_shape=(6, 6), same_row=0.25
    )
    indices = task.draw(rng_of(0))
    assert abs(np.mean(indices[:1000] == indices[1000:]) - 0.25) < 0.05
    one, two = task.loss(0, rng_of(0)), task.loss(0, rng_of(0))
    assert one.isfinite()
    assert one.item() == two.item()
    still = PairTask(
        forward,
        ring_graph(30),
        2000,
        views=RandomAffine(0, 0, 0, 0),
        image_shape=(6, 6),
        same_row=1.0,
    )
    # two equal views of one row are at no distance
    assert still.loss(0, rng_of(0)).item() == pytest.approx(0.0, abs=1e-6)
    plain = PairTask(forward, ring_graph(30), 2000, same_row=0.9)
    assert (plain.draw(rng_of(0))[:1000] != plain.draw(rng_of(0))[1000:]).all()


@pytest.mark.parametrize("normalized", [False, True])
def test_graphs_without_edges(normalized: bool) -> None:
    for graph in (sp.csr_matrix((9, 9)), sp.csr_matrix(np.eye(9))):
        for make in (lambda f, g: WholeTask(f, g), lambda f, g: PairTask(f, g, 8)):
            with pytest.raises(InputError, match="no edges to train on; raise n_neighbors"):
                make(forward_of(9), graph)


def batch_weights(indices: np.ndarray) -> Tensor:
    whole = torch.from_numpy(ring_graph(40).toarray()).float()
    return whole[indices][:, indices]


@pytest.mark.parametrize("alternate", [False, True])
@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("size", [40, 24])
def test_batch_loss_is_its_formula(normalized: bool, alternate: bool, size: int) -> None:
    forward = forward_of(40)
    task = BatchTask(forward, batch_weights, size, normalized=normalized, alternate=alternate)
    assert task.steps_per_epoch == -(-40 // size)
    rng = rng_of(5)
    first = task.draw(rng)
    second = task.draw(rng) if alternate else first
    for drawn in (first, second):
        assert len(np.unique(drawn)) == size
    with torch.no_grad():
        outputs = forward.module(forward.reader.take(np.arange(40))).double().numpy()
    gram = outputs[first].T @ outputs[first] / size
    y = outputs[second] @ np.linalg.inv(np.linalg.cholesky(gram)).T
    weights = batch_weights(second).double().numpy()
    degrees = weights.sum(axis=1)
    if normalized:
        y = y / np.sqrt(np.where(degrees > 0, degrees, 1))[:, None]
    total = (weights * ((y[:, None] - y) ** 2).sum(axis=2)).sum()
    # per row for the normalised Laplacian, in units of the mean degree for the other
    wanted = total / (size if normalized else weights.sum())
    loss = task.loss(0, rng_of(5))
    assert loss.item() == pytest.approx(wanted, rel=1e-3)
    loss.backward()
    gradients = [p.grad for p in forward.module.parameters() if p.grad is not None]
    assert sum(float(g.abs().sum()) for g in gradients) > 0


def test_in_turns_the_gradient_flows_through_both_batches() -> None:
    """Made smaller, outputs are made larger again by their own batch: no gradient along scale."""
    forward = forward_of(40)
    task = BatchTask(forward, batch_weights, 20, normalized=False, alternate=True)
    last = [m for m in forward.module.modules() if isinstance(m, torch.nn.Linear)][-1]
    task.loss(0, rng_of(5)).backward()
    assert last.weight.grad is not None
    along = sum(float((p.grad * p.detach()).sum()) for p in (last.weight, last.bias))
    size = float(last.weight.grad.norm() * last.weight.detach().norm())
    assert abs(along) < 1e-3 * size


def test_siamese_pairs() -> None:
    rng = rng_of(0)
    neighbors = (np.arange(9)[:, None] + np.array([1, 2, 3])) % 9
    reader = RowReader(rng.normal(size=(9, 4)), CPU)
    spec = Siamese((8,), 3, n_neighbors=3, training=Training(batch_size=300, precision="float32"))
    network = build_map(DenseMap((8,), batch_norm=False), (4,), 3, seed=0)
    task = SiameseTask(network, reader, neighbors, spec)
    rows, pairs, positive = task.draw(rng)
    assert rows.shape == (225,)
    assert pairs.shape == (300, 2)
    assert positive.sum() == 150
    left, right = rows[pairs].T
    assert np.bincount(pairs[:, 0]).tolist() == [4] * 75
    assert np.bincount(pairs[:, 1])[75:].tolist() == [2] * 150
    near = (right - left) % 9
    assert set(near[positive]) == {1, 2, 3}
    assert set(near[~positive]) == set(range(9))  # of nine rows, a random one may be the row
    both = near[positive].reshape(75, 2)
    assert (both[:, 0] != both[:, 1]).all()
    rows, pairs, positive = task.draw(rng_of(1))
    ends = network(reader.take(rows)).detach().numpy()
    distance = np.linalg.norm(ends[pairs[:, 0]] - ends[pairs[:, 1]], axis=1)
    wanted = np.where(positive, distance**2, np.maximum(1 - distance, 0) ** 2).mean()
    assert task.loss(0, rng_of(1)).item() == pytest.approx(wanted, rel=1e-5)
    history = train(task, Training(steps=100), stage="siamese", seed=0)
    assert history[-1]["loss"] < history[0]["loss"]


def test_autoencoder_learns_a_plane() -> None:
    rng = rng_of(0)
    rows = (rng.normal(size=(300, 2)) @ rng.normal(size=(2, 8))).astype(np.float32)
    standardize = Standardize(8)
    standardize.measure(torch.from_numpy(rows))
    encoder, decoder = build_autoencoder(8, (32,), 2, seed=0)
    settings = Training(steps=300, batch_size=128, learning_rate=1e-2, precision="float32")
    task = AutoencoderTask(standardize, encoder, decoder, RowReader(rows, CPU), settings)
    assert task.steps_per_epoch == 2
    indices = rng_of(4).integers(300, size=128)
    taken = standardize(torch.from_numpy(rows[indices]))
    wanted = (decoder(encoder(taken)) - taken).square().mean().item()
    assert task.loss(0, rng_of(4)).item() == pytest.approx(wanted, rel=1e-5)
    history = train(task, settings, stage="autoencoder", seed=0)
    assert history[-1]["loss"] < 0.02 < 0.5 < history[0]["loss"]
    assert isinstance(Autoencoder().training, Training)


# Several processes


def test_one_process_is_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_first()
    assert own_part(10) == slice(0, 10)
    arrays = {"a": np.arange(3)}
    assert from_first(lambda: arrays) is arrays
    join_processes(CPU)
    assert not torch.distributed.is_initialized()
    gpu = torch.device("cuda")
    assert own_device(gpu) == gpu
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert own_device(gpu) == torch.device("cuda:2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(InputError, match=r"process 3 on a machine with 2 GPUs.* start 2 "):
        own_device(gpu)
    assert own_device(torch.device("cuda:1")) == torch.device("cuda:1")
    assert own_device(CPU) == CPU


WORKER = """
import json, os, sys, warnings
import numpy as np, torch
import torch.distributed as dist
from torch import nn
from fiedler import (DSCDAN, Autoencoder, BatchAffinity, ConvMap, DenseCoder, DenseMap,
                     DSCDANRecipe, Round, Siamese, SpectralNet, SpectralNetRecipe, Training)
from fiedler.networks.norm import BatchNorm
from fiedler.training.processes import from_first

warnings.simplefilter("error")
folder, world = sys.argv[1], int(os.environ.get("WORLD_SIZE", "1"))
rank = int(os.environ.get("RANK", "0"))
rng = np.random.default_rng(0)
rows = rng.normal(size=(301, 5)) + 8 * np.eye(5)[np.arange(301) % 3]
images = rng.normal(size=(151, 6, 6)) + 4 * np.eye(6)[np.arange(151) % 3][:, :, None]
brief = Training(steps=20, batch_size=101, precision="float32")
plateau = Training(steps=20, batch_size=63, precision="float32", patience=1)
known = np.where(np.arange(301) % 10 == 0, np.arange(301) % 3, -1)
published = SpectralNetRecipe(
    codes=Autoencoder((16,), 4, plateau), siamese=Siamese((16,), 4, training=plateau),
    affinity=BatchAffinity(), network=DenseMap((16,), batch_norm=False, head="tanh"),
    normalized=False, alternate=True, extra_outputs=0, training=plateau)
pairs = SpectralNetRecipe(network=DenseMap((16,)), training=brief)
# a learned graph is none of these: rounding moves a neighbour, and then the edges that are drawn
dual = DSCDANRecipe(
    coder=DenseCoder((16,)), n_codes=6, critic_width=8, pretraining=brief, joint_batch=31,
    spectral=DenseMap((16,)), rounds=(Round(training=brief),))
cases = {
    "published": (published, rows, {}),
    "pairs": (pairs, rows, {}),
    "whole": (SpectralNetRecipe(network=DenseMap((16,)),
                                training=Training(steps=20, precision="float32")), rows, {}),
    "known": (pairs, rows, {"known_labels": known}),
    "images": (SpectralNetRecipe(network=ConvMap((4,), 8), training=brief), images, {}),
    "dual": (dual, rows, {}),
}
for name, (recipe, X, options) in cases.items():
    path = os.path.join(folder, f"{name}.checkpoint")
    kind = DSCDAN if name == "dual" else SpectralNet
    net = kind(3, recipe=recipe, random_state=0, checkpoint=path, device="cpu")
    net.fit(X, **options)
    assert dist.is_initialized() == (world > 1)
    history = [{k: r[k] for k in r if k != "seconds"} for r in net.history_]
    np.savez(os.path.join(folder, f"{name}.{world}.{rank}.npz"), labels=net.labels_,
             embedding=net.embedding_, new=net.transform(X[:5] + 0.1), history=json.dumps(history))
unseeded = SpectralNet(3, recipe=pairs, device="cpu").fit(rows)  # all take the seed of the first
np.savez(os.path.join(folder, f"unseeded.{world}.{rank}.npz"), embedding=unseeded.embedding_)
asked = []
shared = from_first(lambda: asked.append(rank) or {"rank": np.array(rank)})
assert (asked, int(shared["rank"])) == ([0] if rank == 0 else [], 0)

for shape in [(24, 5), (24, 5, 3, 2)]:
    # a mean far above the spread
    x = torch.from_numpy(300.0 + np.random.default_rng(1).normal(size=shape)).float()
    norm = BatchNorm(5)
    with torch.no_grad():
        norm.weight.copy_(torch.arange(1.0, 6.0))
    part = slice(24 * rank // world, 24 * (rank + 1) // world)
    mine = x[part].clone().requires_grad_()
    out = norm(mine)
    (out.square() * torch.arange(24.0)[part].view(-1, *[1] * (len(shape) - 1))).sum().backward()
    np.savez(os.path.join(folder, f"norm{len(shape)}.{world}.{rank}.npz"), out=out.detach(),
             grad=mine.grad, weight=norm.weight.grad, bias=norm.bias.grad,
             mean=norm.running_mean, var=norm.running_var)
    norm.eval()
    norm(x)
assert [name for name in os.listdir(folder) if "checkpoint" in name or name.endswith(".part")] == []
if world > 1:
    group = dist.group.WORLD
    dist.destroy_process_group()
    assert sys.getrefcount(group) == 2  # who else has it keeps its threads past the end of Python
    del group  # or this script does
"""


def run_processes(script: Path, folder: Path, world: int) -> None:
    """Start as torchrun does: one process each, found through the environment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(world)}
    started = [
        subprocess.Popen(
            [sys.executable, "-X", "faulthandler", str(script), str(folder)],
            env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world)
    ]
    # one that fails leaves the others waiting for it
    while any(process.poll() is None for process in started):
        if any(process.poll() for process in started):
            for process in started:
                process.kill()
        time.sleep(0.1)
    told = [(*process.communicate(), process.returncode) for process in started]
    assert all((out, code) == ("", 0) for out, _, code in told), "\n".join(map(str, told))


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the same fits in one process and in two."""
    folder = tmp_path_factory.mktemp("processes")
    (folder / "worker.py").write_text(WORKER)
    for world in (1, 2):
        run_processes(folder / "worker.py", folder, world)
    return folder


def results(folder: Path, name: str) -> list[dict[str, np.ndarray]]:
    """Of the single process, then of the first and second of two."""
    return [dict(np.load(folder / f"{name}.{end}.npz")) for end in ("1.0", "2.0", "2.1")]


@pytest.mark.parametrize("name", ["published", "pairs", "whole", "known", "images", "dual"])
def test_two_processes_train_what_one_does(processes: Path, name: str) -> None:
    alone, first, second = results(processes, name)
    for key in ("labels", "embedding", "new", "history"):
        np.testing.assert_array_equal(first[key], second[key], err_msg=key)
    # eigenvectors of nearly equal eigenvalues turn among themselves at the least rounding: compare
    # what no rotation changes
    seen, wanted = (np.vstack([found["embedding"], found["new"]]) for found in (first, alone))
    np.testing.assert_allclose(
        seen @ seen.T, wanted @ wanted.T, atol=0.02 * np.square(wanted).sum(1).max()
    )
    one, two = (json.loads(str(found["history"])) for found in (alone, first))
    assert [(row["stage"], row["step"]) for row in one] == [
        (row["stage"], row["step"]) for row in two
    ]
    for a, b in zip(one, two, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=5e-3), a
        assert b["learning_rate"] == pytest.approx(a["learning_rate"]), a


def test_without_a_seed_all_processes_take_that_of_the_first(processes: Path) -> None:
    _, first, second = results(processes, "unseeded")
    np.testing.assert_array_equal(first["embedding"], second["embedding"])


@pytest.mark.parametrize("dimensions", [2, 4])
def test_batch_norm_over_two_processes(processes: Path, dimensions: int) -> None:
    alone, first, second = results(processes, f"norm{dimensions}")
    for key in ("out", "grad"):
        both = np.concatenate([first[key], second[key]])
        atol = 1e-4 * np.abs(alone[key]).max()
        np.testing.assert_allclose(both, alone[key], rtol=1e-3, atol=atol, err_msg=key)
    for key in ("weight", "bias"):
        summed = first[key] + second[key]
        atol = 5e-4 * np.abs(alone[key]).max()
        np.testing.assert_allclose(summed, alone[key], rtol=1e-3, atol=atol, err_msg=key)
    for key in ("mean", "var"):
        np.testing.assert_array_equal(first[key], second[key])
        np.testing.assert_allclose(first[key], alone[key], rtol=1e-3, err_msg=key)


# Killed

KILLED = """
import sys
import numpy as np
import fiedler.models.network as shared
from functools import partial
from fiedler import Autoencoder, DenseMap, SpectralNet, SpectralNetRecipe, Training

def affinity(A, B):  # its address is another one in every process
    return 1.0 / (1.0 + ((A[:, None] - B[None]) ** 2).sum(axis=2))

shared.Checkpoint = partial(shared.Checkpoint, every=0.0)
rows = np.random.default_rng(0).normal(size=(120, 4)) + 5 * np.eye(4)[np.arange(120) % 3]
recipe = SpectralNetRecipe(
    codes=Autoencoder((8,), 3, Training(steps=20, batch_size=32)), affinity=affinity,
    network=DenseMap((16,)), training=Training(steps=30, batch_size=60))
steps = []

def progress(stage, done, total):
    steps.append((stage, done))
    if "print" in sys.argv:
        print(stage, done, flush=True)

checkpoint = None if sys.argv[1] == "none" else sys.argv[1]
net = SpectralNet(3, recipe=recipe, random_state=0, progress=progress, checkpoint=checkpoint)
net.fit(rows)
new = net.transform(rows[:4] + 1)
history = [(r["stage"], r["step"], r["loss"]) for r in net.history_]
"""


def test_a_killed_run_goes_on_to_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, checkpoint = tmp_path / "fit.py", tmp_path / "c"
    script.write_text(KILLED)
    monkeypatch.setattr(shared, "Checkpoint", shared.Checkpoint)  # put back at the end

    def run_here(name: str) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", ["fit.py", name])
        return runpy.run_path(str(script))

    call = [sys.executable, "-W", "error", str(script), str(checkpoint), "print"]
    with subprocess.Popen(call, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == "spectral map 13":
                process.kill()
                break
    assert process.returncode < 0
    assert checkpoint.exists()
    resumed, whole = run_here(str(checkpoint)), run_here("none")
    assert whole["steps"][0] == ("autoencoder", 1)
    assert resumed["steps"][0] == ("autoencoder", 20)  # only loaded
    first = next(done for stage, done in resumed["steps"] if stage == "spectral map")
    assert 13 <= first <= 20
    assert resumed["history"] == whole["history"]
    for name in ("embedding_", "labels_", "eigenvalues_"):
        np.testing.assert_array_equal(getattr(resumed["net"], name), getattr(whole["net"], name))
    np.testing.assert_array_equal(resumed["new"], whole["new"])
    assert not checkpoint.exists()
