"""Texts: files, tf-idf and its stored state."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fiedler.data import SourceRecipe, TextVectorizer, open_rows
from fiedler.exceptions import InputError

TEXTS = ["The cat sat on the mat.", "Dogs chase cats", "Ein Fluß, café", "stocks fell, cat rose"]


def stored(vectorizer):
    """The vectoriser after a trip through JSON and arrays."""
    settings_, arrays = vectorizer.to_state()
    return TextVectorizer.from_state(json.loads(json.dumps(settings_)), arrays)


def test_rows_follow_the_formula():
    texts = ["apple apple pear", "apple", "pear plum plum"]
    vectorizer = TextVectorizer()
    rows = vectorizer.fit_transform(texts)
    counts = np.array([[2, 1, 0], [1, 0, 0], [0, 1, 2]])
    idf = np.log((1 + 3) / (1 + (counts > 0).sum(axis=0))) + 1
    weights = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0) * idf
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    assert vectorizer.vocabulary_ == ["apple", "pear", "plum"]
    assert rows.dtype == np.float32
    assert rows.format == "csr"
    np.testing.assert_allclose(rows.toarray(), weights, atol=1e-6)
    np.testing.assert_allclose(vectorizer.idf_, idf)


@pytest.mark.parametrize(
    "vectorizer",
    [
        TextVectorizer(),
        TextVectorizer(3, stop_words=None),
        TextVectorizer(50, analyzer="char_wb", ngram_range=(2, 3)),
        TextVectorizer(ngram_range=(1, 2)),
    ],
)
def test_stored_vectoriser_transforms_alike(vectorizer):
    rows = vectorizer.fit_transform(TEXTS)
    again = stored(vectorizer)
    assert repr(again) == repr(vectorizer)
    np.testing.assert_array_equal(again.transform(TEXTS).toarray(), rows.toarray())
    assert rows.shape[1] <= vectorizer.max_features
    assert stored(again).vocabulary_ == vectorizer.vocabulary_


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=5))
def test_a_row_does_not_depend_on_the_others(texts):
    vectorizer = stored(TextVectorizer().fit(TEXTS))
    together = vectorizer.transform(texts).toarray()
    for text, row in zip(texts, together, strict=True):
        np.testing.assert_array_equal(vectorizer.transform([text]).toarray()[0], row)


def test_unknown_words_give_zeros():
    vectorizer = TextVectorizer().fit(TEXTS)
    assert vectorizer.transform(["zzz unheard"]).nnz == 0


def test_vectoriser_errors():
    with pytest.raises(InputError, match="not fitted yet"):
        TextVectorizer().transform(["a"])
    with pytest.raises(InputError, match="2 texts give no terms"):
        TextVectorizer().fit(["the", "of 12"])
    with pytest.raises(InputError, match="not the state"):
        TextVectorizer.from_state({"vocabulary": ["a"]}, {})
    state, _ = TextVectorizer().fit(TEXTS).to_state()
    with pytest.raises(InputError, match="terms, but idf"):
        TextVectorizer.from_state(state, {"idf": np.ones(2)})


def test_lists_of_texts_and_the_callers_vectoriser():
    mine = TextVectorizer(2, stop_words=None)
    source = open_rows(TEXTS, text=mine)
    assert source.kind == "text"
    assert source.texts == TEXTS
    assert source.shape == (4, 2)
    assert mine._fitted is None
    for same in (np.array(TEXTS), np.array(TEXTS, dtype=object), pd.Series(TEXTS), tuple(TEXTS)):
        assert open_rows(same).texts == TEXTS


def test_folder_of_texts(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "b.txt").write_text(TEXTS[0], encoding="utf-8")
    (tmp_path / "sub" / "a.txt").write_bytes(TEXTS[2].encode("latin-1"))
    (tmp_path / ".hidden.txt").write_text("hidden")
    (tmp_path / "note.md").write_text("other")
    source = open_rows(tmp_path)
    assert list(source.ids) == ["b.txt", "sub/a.txt"]
    assert source.texts == [TEXTS[0], TEXTS[2]]
    recipe = SourceRecipe.from_state(*source.recipe.to_state())
    again = open_rows(tmp_path / "b.txt", recipe=recipe)
    np.testing.assert_array_equal(again.rows.toarray(), source.rows[[0]].toarray())


def test_lines_of_a_text_file(tmp_path):
    (tmp_path / "x.txt").write_text("first words\n\n  \nfourth words\n")
    source = open_rows(tmp_path / "x.txt")
    assert source.texts == ["first words", "fourth words"]
    assert list(source.ids) == [1, 4]


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz"])
def test_jsonl(tmp_path, suffix):
    lines = [json.dumps({"text": text, "title": f"t {i} word"}) for i, text in enumerate(TEXTS)]
    data = ("\n".join([lines[0], "", *lines[1:]]) + "\n").encode()
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(gzip.compress(data) if suffix.endswith("gz") else data)
    source = open_rows(path)
    assert source.texts == TEXTS
    assert list(source.ids) == [1, 3, 4, 5]
    titles = open_rows(path, column="title")
    assert titles.texts[0] == "t 0 word"
    again = open_rows(path, recipe=titles.recipe)
    np.testing.assert_array_equal(again.rows.toarray(), titles.rows.toarray())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ('{"text": "a"}\n{"text": \n', "near line 2"),
        ('{"text": "a"}\n[1]\n', "line 2: a JSON object is needed, got list"),
        ('{"body": "a"}\n', "line 1: no field 'text'; there are 'body'.*column="),
        ('{"text": 3}\n', "line 1: field 'text' is int, not text"),
    ],
)
def test_bad_jsonl(tmp_path, content, message):
    (tmp_path / "x.jsonl").write_text(content)
    with pytest.raises(InputError, match=message):
        open_rows(tmp_path / "x.jsonl")


def test_truncated_jsonl_gz(tmp_path):
    whole = gzip.compress(b'{"text": "some words here"}\n' * 5000)
    (tmp_path / "x.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cannot be read near line"):
        open_rows(tmp_path / "x.jsonl.gz")


def test_empty_text_file(tmp_path):
    (tmp_path / "x.txt").write_text(" \n")
    with pytest.raises(InputError, match="holds no lines"):
        open_rows(tmp_path / "x.txt")


def test_options_of_other_kinds_are_refused():
    with pytest.raises(InputError, match="image_mode cannot be given here"):
        open_rows(TEXTS, image_mode="L")
    with pytest.raises(InputError, match="column cannot be given here"):
        open_rows(TEXTS, column="text")


def test_a_field_of_classes(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "red apple", "kind": 1}\n\n{"text": "blue car", "kind": "b"}\n')
    source = open_rows(path, labels="kind")
    assert source.labels.tolist() == ["1", "b"]
    with pytest.raises(InputError, match=r"line 1: no field 'sort'; there are 'text', 'kind'\.$"):
        open_rows(path, labels="sort")
    (tmp_path / "x.txt").write_text("red apple\nblue car\n")
    with pytest.raises(InputError, match="labels cannot be given here: plain texts"):
        open_rows(tmp_path / "x.txt", labels="kind")
