"""Rows from tables: .csv, .tsv, .parquet and data frames."""

from __future__ import annotations

import gzip
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from fiedler.data import SourceRecipe, open_rows
from fiedler.exceptions import InputError


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "width": rng.normal(size=6),
            "height": rng.integers(0, 9, size=6),
            "good": [True, False] * 3,
            "note": ["red apple", "green apple", "red car", "blue car", "green car", "red"],
        }
    )


def numbers(frame):
    return frame[["width", "height", "good"]].to_numpy(dtype=np.float32)


def written(frame, folder, suffix):
    path = folder / f"table{suffix}"
    if suffix == ".parquet":
        parquet.write_table(pa.Table.from_pandas(frame, preserve_index=False), path)
    elif suffix == "frame":
        return frame
    else:
        frame.to_csv(path, index=False, sep="\t" if ".tsv" in suffix else ",")
    return path


FORMS = [".csv", ".tsv", ".csv.gz", ".parquet", "frame"]


@pytest.mark.parametrize("form", FORMS)
def test_numeric_columns_become_float32(frame, tmp_path, form):
    source = open_rows(written(frame.drop(columns="note"), tmp_path, form))
    np.testing.assert_allclose(source.rows, numbers(frame), rtol=1e-6)
    assert source.rows.dtype == np.float32
    assert source.kind == "vectors"
    assert source.recipe.columns == ("width", "height", "good")


@pytest.mark.parametrize("form", FORMS)
def test_text_columns_are_refused_by_name(frame, tmp_path, form):
    with pytest.raises(InputError, match=r"'note' \(.*red apple.*column='note'"):
        open_rows(written(frame, tmp_path, form))


@pytest.mark.parametrize("form", FORMS)
def test_columns_can_be_chosen(frame, tmp_path, form):
    source = open_rows(written(frame, tmp_path, form), column=["height", "width"])
    np.testing.assert_allclose(source.rows, numbers(frame)[:, [1, 0]], rtol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_a_text_column_becomes_tfidf(frame, tmp_path, form):
    source = open_rows(written(frame, tmp_path, form), column="note")
    assert source.kind == "text"
    assert list(source.texts) == list(frame["note"])
    assert source.recipe.vectorizer.vocabulary_ == ["apple", "blue", "car", "green", "red"]
    assert source.shape == (6, 5)


@pytest.mark.parametrize("form", FORMS)
def test_missing_cells_are_named(frame, tmp_path, form):
    frame.loc[[1, 3], "width"] = np.nan
    message = r"2 cells are missing: row 2 of column 'width', row 4 of column 'width' \(rows"
    with pytest.raises(InputError, match=message):
        open_rows(written(frame, tmp_path, form), column=["width", "height"])


@pytest.mark.parametrize("form", FORMS)
def test_recipe_finds_the_same_columns(frame, tmp_path, form):
    recipe = open_rows(frame, column=["height", "width"]).recipe
    recipe = SourceRecipe.from_state(*recipe.to_state())
    moved = frame[["note", "width", "good", "height"]]
    source = open_rows(written(moved, tmp_path, form), recipe=recipe)
    np.testing.assert_allclose(source.rows, numbers(frame)[:, [1, 0]], rtol=1e-6)
    with pytest.raises(InputError, match="no column 'height'; its columns are"):
        open_rows(written(frame.drop(columns="height"), tmp_path, form), recipe=recipe)


def test_recipe_of_a_text_column(frame):
    first = open_rows(frame, column="note")
    recipe = SourceRecipe.from_state(*first.recipe.to_state())
    again = open_rows(frame.iloc[[2]], recipe=recipe)
    np.testing.assert_array_equal(again.rows.toarray(), first.rows[[2]].toarray())
    other = open_rows(frame.rename(columns={"note": "words"}), recipe=recipe, column="words")
    np.testing.assert_array_equal(other.rows.toarray(), first.rows.toarray())


def test_index_of_a_frame_names_its_rows(frame):
    frame.index = list("abcdef")
    assert list(open_rows(frame.drop(columns="note")).ids) == list("abcdef")


def test_an_arrow_table_is_a_frame(frame):
    table = pa.Table.from_pandas(frame.drop(columns="note"), preserve_index=False)
    np.testing.assert_allclose(open_rows(table).rows, numbers(frame), rtol=1e-6)


def test_a_first_line_of_numbers_is_data(tmp_path):
    (tmp_path / "x.csv").write_text("1,2.5\n-3,4e2\n")
    source = open_rows(tmp_path / "x.csv")
    np.testing.assert_array_equal(source.rows, [[1, 2.5], [-3, 400]])
    assert source.recipe.columns == ("f0", "f1")


def test_semicolons_separate_too(tmp_path):
    (tmp_path / "x.csv").write_text("a;b\n1;2\n3;4\n")
    np.testing.assert_array_equal(open_rows(tmp_path / "x.csv").rows, [[1, 2], [3, 4]])


def test_texts_that_look_like_numbers_stay_as_written(tmp_path):
    (tmp_path / "x.csv").write_text("code,n\n007,1\n010,2\n")
    assert open_rows(tmp_path / "x.csv", column=["n"]).shape == (2, 1)
    with pytest.raises(InputError, match="give no terms"):
        open_rows(tmp_path / "x.csv", column="code")


def test_one_odd_cell_is_shown(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n3,4\n5,oops\n")
    with pytest.raises(InputError, match=r"1 of 2 columns are not numeric.*row 3: 'oops'"):
        open_rows(tmp_path / "x.csv")


def test_quoted_newlines(tmp_path):
    (tmp_path / "x.csv").write_text('n,text\n1,"two\nlines"\n2,one\n')
    assert open_rows(tmp_path / "x.csv", column="text").texts == ["two\nlines", "one"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read as a table"),
        (b"a,b\n", "is empty: 0 rows"),
        (b"a,b\n1,2\n3\n", "cannot be read as a table"),
        (b"a,a\n1,2\n", "several columns called 'a'"),
        (b"a\n\xff\xfe\xff\n", "cannot be read as a table|not numeric"),
        (b"\xff\xfe", "cannot be read as a table"),
    ],
)
def test_bad_csv(tmp_path, content, message):
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        open_rows(tmp_path / "x.csv")


def test_bad_compressed_and_parquet(tmp_path):
    whole = gzip.compress(b"a,b\n" + b"1,2\n" * 5000)
    (tmp_path / "x.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cannot be read as a table"):
        open_rows(tmp_path / "x.csv.gz")
    (tmp_path / "x.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match="cannot be read as a table"):
        open_rows(tmp_path / "x.parquet")


def test_mixed_frame_is_refused():
    with pytest.raises(InputError, match="mixed or unknown types"):
        open_rows(pd.DataFrame({"a": [1, "x", {}]}))


def test_options_of_other_kinds_are_refused(frame):
    with pytest.raises(InputError, match="image_size cannot be given here"):
        open_rows(frame, column=["width"], image_size=(2, 2))


# One scale


def test_standardized_columns_have_one_scale_and_new_rows_follow(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("height,income,same\n1.5,1000,7\n1.7,3000,7\n1.9,5000,7\n")
    source = open_rows(table, standardize=True)
    third = np.sqrt(1.5)
    expected = np.array([[-third, -third, 0], [0, 0, 0], [third, third, 0]])
    np.testing.assert_allclose(source.rows, expected, atol=1e-6)
    recipe = SourceRecipe.from_state(*source.recipe.to_state())
    new = tmp_path / "new.csv"
    new.write_text("income,same,height\n3000,8,1.9\n")
    np.testing.assert_allclose(open_rows(new, recipe=recipe).rows, [[third, 0, 1]], atol=1e-6)
    with pytest.raises(InputError, match="standardize cannot be given here: the recipe"):
        open_rows(new, recipe=recipe, standardize=True)
    with pytest.raises(InputError, match="standardize cannot be given here: arrays have no"):
        open_rows(np.eye(3), standardize=True)


def test_columns_of_very_different_spread_are_told(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("height,income\n1.5,1000\n1.7,3000\n1.9,5000\n")
    with pytest.warns(UserWarning, match=r"'income' varies 10,000 times as much as 'height'.*Pass"):
        open_rows(table)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_rows(table, standardize=True)
        open_rows(table, column=["income"])


# Known classes


def test_a_column_of_classes_is_no_feature(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("width,kind,note\n1.5,3,red\n1.7,4,blue\n1.9,3,red car\n")
    source = open_rows(table, column=["width"], labels="kind")
    assert source.labels.tolist() == ["3", "4", "3"]
    assert source.recipe.columns == ("width",)
    numbers = open_rows(pd.DataFrame({"width": [1.0, 2.0], "kind": ["a", "b"]}), labels="kind")
    assert (numbers.shape, numbers.labels.tolist()) == ((2, 1), ["a", "b"])
    texts = open_rows(table, column="note", labels="kind")
    assert (texts.kind, texts.labels.tolist()) == ("text", ["3", "4", "3"])
    with pytest.raises(InputError, match="has no column 'sort'"):
        open_rows(table, column=["width"], labels="sort")
    with pytest.raises(InputError, match="labels cannot be given here: arrays have no columns"):
        open_rows(np.eye(3), labels="kind")


@pytest.mark.parametrize("form", [".csv", ".parquet", "frame"])
def test_columns_far_from_zero_keep_their_digits(tmp_path, form):
    cells = np.random.default_rng(0).integers(0, 200, size=(40, 2)) + 1_600_000_000
    frame = pd.DataFrame(cells, columns=["a", "b"])
    source = open_rows(written(frame, tmp_path, form))
    assert source.rows.dtype == np.float64
    np.testing.assert_array_equal(source.rows, cells)
    recipe = SourceRecipe.from_state(*source.recipe.to_state())
    np.testing.assert_array_equal(open_rows(frame[:1], recipe=recipe).rows, cells[:1])
    scaled = open_rows(frame, standardize=True)
    wanted = (cells - cells.mean(axis=0)) / cells.std(axis=0)
    np.testing.assert_allclose(scaled.rows, wanted, atol=1e-6)
    again = open_rows(frame[:1], recipe=scaled.recipe)
    np.testing.assert_array_equal(again.rows, scaled.rows[:1])


def test_one_odd_cell_does_not_hide_what_float32_would_round():
    stamps = pd.DataFrame({"at": 1_600_000_000 + np.arange(50)})
    stamps.loc[7, "at"] = 0
    assert len(np.unique(open_rows(stamps).rows)) == 50
