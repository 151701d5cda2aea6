"""Rows from arrays and from .npy and .npz files."""

from __future__ import annotations

import io

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fiedler.data import SourceRecipe, open_rows
from fiedler.exceptions import InputError


def test_arrays_are_not_copied():
    X = np.arange(12.0).reshape(4, 3)
    source = open_rows(X)
    assert source.rows is X
    assert source.kind == "vectors"
    assert list(source.ids) == [0, 1, 2, 3]
    assert source.labels is None
    assert len(source) == 4
    assert source.shape == (4, 3)


def test_tensors_share_their_memory():
    tensor = torch.zeros(3, 2, requires_grad=True)
    rows = open_rows(tensor).rows
    with torch.no_grad():
        tensor[1, 1] = 7
    assert rows[1, 1] == 7


def test_lists_become_arrays():
    assert open_rows([[1, 2], [3, 4]]).shape == (2, 2)


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil"])
@pytest.mark.parametrize("kind", [sp.random, sp.random_array])
def test_sparse_becomes_csr(form, kind):
    shape = (6, 5) if kind is sp.random else ((6, 5),)
    X = kind(*shape, density=0.4, format=form, rng=0)
    rows = open_rows(X).rows
    assert rows.format == "csr"
    np.testing.assert_array_equal(rows.toarray(), X.toarray())


@pytest.mark.parametrize(
    ("shape", "dtype", "kind", "row_shape"),
    [
        ((5, 4, 3), np.uint8, "images", (4, 3)),
        ((5, 4, 6, 3), np.uint8, "images", (4, 6, 3)),
        ((5, 4, 6, 1), np.uint8, "images", (4, 6)),
        ((5, 7), np.uint8, "vectors", (7,)),
        ((5, 4, 3), np.float32, "vectors", (4, 3)),
    ],
)
def test_kind_follows_shape_and_type(shape, dtype, kind, row_shape):
    source = open_rows(np.zeros(shape, dtype))
    assert source.kind == kind
    assert source.shape == (5, *row_shape)
    assert source.recipe == SourceRecipe(kind, row_shape)


def test_npy_is_memory_mapped(tmp_path):
    X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", X)
    source = open_rows(tmp_path / "x.npy")
    assert isinstance(source.rows, np.memmap)
    np.testing.assert_array_equal(source.rows, X)
    assert open_rows(str(tmp_path / "x.npy")).shape == (20, 3)


@settings(max_examples=25, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.int32, np.float32, np.float64, np.bool_]),
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=6),
    )
)
def test_npy_and_npz_give_back_what_was_saved(tmp_path_factory, X):
    folder = tmp_path_factory.mktemp("saved")
    np.save(folder / "x.npy", X)
    np.savez(folder / "x.npz", X=X, y=np.arange(len(X)))
    np.testing.assert_array_equal(open_rows(folder / "x.npy").rows, X)
    source = open_rows(folder / "x.npz")
    np.testing.assert_array_equal(source.rows, X)
    np.testing.assert_array_equal(source.labels, np.arange(len(X)))


def test_npz_takes_the_only_array_and_sparse(tmp_path):
    X = np.eye(4)
    np.savez(tmp_path / "one.npz", features=X)
    np.testing.assert_array_equal(open_rows(tmp_path / "one.npz").rows, X)
    np.savez(tmp_path / "two.npz", features=X, y=np.zeros(4))
    assert open_rows(tmp_path / "two.npz").labels is not None
    sp.save_npz(tmp_path / "sparse.npz", sp.csr_matrix(X))
    np.testing.assert_array_equal(open_rows(tmp_path / "sparse.npz").rows.toarray(), X)


def test_npz_with_unclear_arrays(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.eye(2), b=np.eye(2))
    with pytest.raises(InputError, match=r"'a', 'b'.*Name the rows 'X'"):
        open_rows(tmp_path / "x.npz")
    np.savez(tmp_path / "y.npz", X=np.eye(3), y=np.zeros(2))
    with pytest.raises(InputError, match=r"labels 'y' have shape \(2,\).*3 rows"):
        open_rows(tmp_path / "y.npz")


class Bomb:
    """Unpickling this would leave a trace."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('unpickled')",))


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_pickles_are_never_loaded(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    array = np.array([[Bomb()]], dtype=object)
    np.save(path, array) if suffix == "npy" else np.savez(path, X=array)
    with pytest.raises(InputError, match="never unpickled"):
        open_rows(path)


@pytest.mark.parametrize("suffix", ["npy", "npz"])
@pytest.mark.parametrize("kept", [0.0, 0.5, 0.95])
def test_truncated_files(tmp_path, suffix, kept):
    buffer = io.BytesIO()
    X = np.random.default_rng(0).normal(size=(50, 20))
    np.save(buffer, X) if suffix == "npy" else np.savez(buffer, X=X)
    data = buffer.getvalue()
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(InputError, match=r"cannot be read .*truncated"):
        open_rows(path)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros(5), r"shape \(5,\).*reshape\(-1, 1\)"),
        (3.0, r"shape \(\)"),
        (np.zeros((0, 4)), "is empty"),
        ([], "needed"),
        (np.zeros((4, 0)), "rows without any values"),
        (np.array([["a", "b"], ["c", "d"]]), r"dtype <U1.*Strings cannot be compared"),
        ([["a", "b"], ["c", "d"]], "Strings cannot be compared"),
        (np.array([[b"a"]]), "Strings cannot be compared"),
        (np.array([[1, "a"], [None, 2]], dtype=object), "dtype object.*Convert it to numbers"),
        (np.zeros((3, 3), complex), "real and imaginary"),
        ([[1, 2], [3]], "same number of values"),
        (np.zeros((5, 3, 8, 8), np.uint8), "moveaxis"),
        (sp.csr_matrix((0, 3)), "is empty"),
    ],
)
def test_bad_arrays(bad, message):
    with pytest.raises(InputError, match=message):
        open_rows(bad)


def test_bad_paths(tmp_path):
    with pytest.raises(InputError, match="there is no file or folder"):
        open_rows(tmp_path / "absent.npy")
    (tmp_path / "x.docx").write_bytes(b"")
    with pytest.raises(InputError, match=r"'.docx' cannot be opened. Allowed"):
        open_rows(tmp_path / "x.docx")


@pytest.mark.parametrize("options", [{"column": "a"}, {"image_size": (2, 2)}, {"image_mode": "L"}])
def test_options_that_do_not_apply_are_refused(options):
    with pytest.raises(InputError, match=f"{next(iter(options))} cannot be given here"):
        open_rows(np.eye(3), **options)


def test_recipe_checks_the_rows():
    first = open_rows(np.eye(4))
    assert open_rows(np.ones((1, 4)), recipe=first.recipe).shape == (1, 4)
    with pytest.raises(InputError, match=r"shape \(3,\), but \(4,\) is needed"):
        open_rows(np.eye(3), recipe=first.recipe)
    with pytest.raises(InputError, match="kind 'images', but 'vectors'"):
        open_rows(np.zeros((2, 2, 2), np.uint8), recipe=first.recipe)
    with pytest.raises(InputError, match="kind 'text', but 'vectors'"):
        open_rows(["some words"], recipe=first.recipe)
    with pytest.raises(InputError, match="column cannot be given here"):
        open_rows(np.eye(4), recipe=first.recipe, column="a")


def test_recipe_states():
    recipe = SourceRecipe("images", (8, 9, 3))
    assert SourceRecipe.from_state(*recipe.to_state()) == recipe
    with pytest.raises(InputError, match="unknown kind"):
        SourceRecipe.from_state({"kind": "sounds", "row_shape": [2]}, {})
    with pytest.raises(InputError, match="not the state"):
        SourceRecipe.from_state({"kind": "images"}, {})
