"""Networks written as ONNX are what onnxruntime computes; what has no network says so."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from fiedler import (
    DSCDAN,
    ConvCoder,
    ConvMap,
    DenseMap,
    DSCDANRecipe,
    Round,
    SpectralClustering,
    SpectralNet,
    SpectralNetRecipe,
    Training,
)
from fiedler.exceptions import InputError, OutputError
from fiedler.persistence.onnx import export_onnx

pytest.importorskip("onnxscript")
runtime = pytest.importorskip("onnxruntime")


class Net(torch.nn.Module):
    """Two outputs by name, from flat rows."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(6, 3)

    def forward(self, rows: torch.Tensor) -> dict[str, torch.Tensor]:
        embedding = torch.tanh(self.layer(rows))
        return {"embedding": embedding, "probabilities": torch.softmax(embedding, dim=1)}


def with_network(module: Any, example: torch.Tensor) -> Any:
    return SimpleNamespace(export_module=lambda: (module.eval(), example))


def test_a_network_is_written_checked_and_takes_any_number_of_rows(tmp_path: Path) -> None:
    net = Net()
    path = tmp_path / "net.onnx"
    check = export_onnx(with_network(net, torch.randn(4, 6)), path)
    assert (check.rows, check.outputs) == (4, 2)
    assert check.largest_difference < 1e-5
    assert [file.name for file in tmp_path.iterdir()] == ["net.onnx"]
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rows = torch.randn(11, 6)
    embedding, probabilities = session.run(["embedding", "probabilities"], {"rows": rows.numpy()})
    with torch.inference_mode():
        expected = net(rows)
    np.testing.assert_allclose(embedding, expected["embedding"].numpy(), atol=1e-5)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)


BRIEF = Training(steps=6, batch_size=40)
OF_IMAGES = [
    SpectralNet(
        3, recipe=SpectralNetRecipe(network=ConvMap((4,), 8), training=BRIEF), random_state=0
    ),
    DSCDAN(
        3,
        recipe=DSCDANRecipe(
            coder=ConvCoder((4, 8), (2, 2), width=16),
            n_codes=8,
            critic_width=8,
            pretraining=BRIEF,
            spectral=DenseMap((16,)),
            rounds=(Round(training=BRIEF),),
        ),
        random_state=0,
    ),
]


@pytest.mark.parametrize("model", OF_IMAGES, ids=lambda model: type(model).__name__)
def test_convolutions_take_any_number_of_rows(tmp_path: Path, model: Any) -> None:
    images = np.random.default_rng(0).normal(size=(60, 10, 10)).astype(np.float32)
    images[::2, :5] += 3.0
    model.fit(images)
    path = tmp_path / "net.onnx"
    assert export_onnx(model, path).largest_difference < 1e-3
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rows = images[:7].reshape(7, -1)
    embedding = session.run(["embedding"], {"rows": rows})[0]
    np.testing.assert_allclose(embedding, model.transform(images[:7]), atol=1e-3)


def test_a_network_bound_to_the_size_of_the_example_is_refused(tmp_path: Path) -> None:
    class Bound(torch.nn.Module):
        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            return rows.reshape(len(rows), 2, 3).sum(dim=1)

    with pytest.raises(OutputError, match="cannot run the exported network on 1 rows"):
        export_onnx(with_network(Bound(), torch.randn(4, 6)), tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


def test_what_has_no_network_is_refused(tmp_path: Path) -> None:
    model = SpectralClustering(2, random_state=0).fit(np.eye(8) + 0.1)
    with pytest.raises(InputError, match="SpectralClustering has no network"):
        export_onnx(model, tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_computes_something_else_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fiedler.persistence import onnx

    def write_another(module: Any, example: torch.Tensor, part: Path) -> list[str]:
        other = Net()
        torch.nn.init.constant_(other.layer.weight, 3.0)
        return written(other.eval(), example, part)

    written = onnx._write
    monkeypatch.setattr(onnx, "_write", write_another)
    with pytest.raises(OutputError, match="something else than torch"):
        export_onnx(with_network(Net(), torch.randn(4, 6)), tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []
