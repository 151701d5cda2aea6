"""What a notebook and scikit-learn's tools ask of the estimators and plots."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from bokeh.embed import json_item
from bokeh.plotting import figure
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fiedler import KNN, SpectralClustering, SpectralEmbedding, load
from fiedler.evaluation import nmi
from fiedler.exceptions import InputError
from fiedler.report import describe, plots


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    X, y = load_digits(return_X_y=True)
    return X[:400], y[:400]


@pytest.fixture(scope="module")
def model(digits: tuple[np.ndarray, np.ndarray]) -> SpectralClustering:
    return SpectralClustering(10, random_state=0).fit(digits[0])


def test_estimators_show_themselves_as_html(model: SpectralClustering) -> None:
    for estimator in (model, SpectralClustering(3, affinity=KNN(5)), SpectralEmbedding()):
        shown = estimator._repr_html_()
        assert type(estimator).__name__ in shown
        assert "estimator" in shown
    assert "KNN(n_neighbors=5" in SpectralClustering(3, affinity=KNN(5))._repr_html_()


def test_pipeline_clone_and_grid_search(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits
    pipeline = make_pipeline(StandardScaler(), SpectralClustering(10, random_state=0))
    labels = pipeline.fit_predict(X)
    np.testing.assert_array_equal(clone(pipeline).fit(X).predict(X), labels)
    search = GridSearchCV(
        pipeline,
        {"spectralclustering__affinity": [KNN(3), KNN(10)]},
        scoring=lambda fitted, rows, known: nmi(known, fitted.predict(rows)),
        cv=2,
    )
    search.fit(X, y)
    assert search.best_score_ > 0.5
    assert "KNN" in str(search.best_params_)


def test_every_plot_is_a_figure_of_a_height(
    model: SpectralClustering, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    y = digits[1]
    drawn = [
        plots.plot_map(model),
        plots.plot_map(model, ids=[f"n{i}" for i in range(400)], known=y, texts=["a text"] * 400),
        plots.plot_sizes(model),
        plots.plot_eigenvalues(model),
        plots.plot_eigenvectors(model),
        plots.plot_affinity(model),
        plots.plot_confusion(y, model.labels_),
    ]
    for plot in drawn:
        assert isinstance(plot, figure)
        assert plot.height >= 300
        json.dumps(json_item(plot))


def test_history_is_drawn_stage_by_stage(model: SpectralClustering) -> None:
    rows = [{"stage": s, "step": i, "loss": 1.0 / (i + 1)} for s in ("a", "b") for i in range(3)]
    trained: Any = SimpleNamespace(
        labels_=model.labels_, embedding_=model.embedding_, history_=rows
    )
    assert isinstance(plots.plot_history(trained, "a"), figure)
    with pytest.raises(InputError, match="name one stage of 'a', 'b'"):
        plots.plot_history(trained)
    trained.history_ = rows[:3]
    assert isinstance(plots.plot_history(trained), figure)
    with pytest.raises(InputError, match="has no history_"):
        plots.plot_history(model)
    with pytest.raises(InputError, match="has no eigenvalues_"):
        plots.plot_eigenvalues(trained)
    with pytest.raises(InputError, match="has no affinity_matrix_"):
        plots.plot_affinity(trained)


def test_describe_takes_what_the_estimator_has(
    model: SpectralClustering, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    data = describe(
        model, known=digits[1], texts=[["aa", "bb", "cc", "dd"][label % 4] for label in digits[1]]
    )
    assert data.metrics["accuracy"] > 0.7
    assert data.confidence is not None
    assert data.affinity.shape == (400, 400)
    assert len(data.words) == 10
    assert data.parameters["n_clusters"] == 10
    assert "progress" not in data.parameters
    with pytest.raises(InputError, match="fit a clustering first"):
        describe(SpectralClustering(3))


def test_top_words_are_those_of_the_cluster() -> None:
    texts = ["apple pear plum", "pear plum tree", "engine gear", "gear wheel engine"] * 5
    labels = np.array([0, 0, 1, 1] * 5)
    fitted = SimpleNamespace(labels_=labels, embedding_=np.eye(2)[labels])
    words = describe(fitted, texts=texts).words
    assert set(words[0][:2]) == {"pear", "plum"}
    assert set(words[1][:2]) == {"engine", "gear"}
    assert describe(fitted, texts=["1 2 3"] * 20).words == []


def test_galleries_come_from_the_estimator() -> None:
    pictures = [np.eye(4), np.zeros((4, 4))]
    found = {"title": "Layer 1", "text": "Maps.", "pictures": pictures, "captions": ["a", "b"]}
    labels = np.array([0, 1] * 10)
    fitted = SimpleNamespace(
        labels_=labels, embedding_=np.eye(2)[labels], galleries=lambda: [found]
    )
    assert describe(fitted).galleries[0].title == "Layer 1"
    found["captions"] = ["a"]
    with pytest.raises(InputError, match="2 pictures and 1 captions"):
        describe(fitted)


def test_the_affinity_matrix_is_the_same_after_loading(
    model: SpectralClustering, digits: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    model.save(tmp_path / "m.fiedler")
    again = load(tmp_path / "m.fiedler").affinity_matrix_
    assert (model.affinity_matrix_ != again).nnz == 0
    given = SpectralClustering(10, affinity="precomputed", random_state=0)
    given.fit(model.affinity_matrix_).save(tmp_path / "g.fiedler")
    assert not hasattr(load(tmp_path / "g.fiedler"), "affinity_matrix_")
