"""Matrix products in pieces: the same numbers, in sizes that OpenBLAS treats as small."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, strategies as st

from minidrop.ops import products
from minidrop.ops.products import SMALL_PRODUCT, matmul, pieces

LAYOUTS = ["rows", "columns"]


def integers(shape, layout="rows", dtype="float32"):
    """Small whole numbers, whose products are exact in any order; with the rows or the columns together in memory."""
    values = np.random.default_rng(0).integers(-9, 9, shape).astype(dtype)
    return values if layout == "rows" else np.ascontiguousarray(values.swapaxes(-1, -2)).swapaxes(-1, -2)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((20, 7), (7, 28_672)),
        ((3, 5), (2, 4, 5, 70_001)),
        ((4, 3, 5), (4, 5, 80_000)),
        ((2, 1, 3, 5), (4, 5, 70_000)),
        ((16, 1000), (1000, 576)),
        ((3, 400, 150), (150, 64)),
        ((2, 3, 150, 400), (3, 400, 32)),
        ((1000, 16), (16, 999)),
    ],
)
@pytest.mark.parametrize("left_layout", LAYOUTS)
@pytest.mark.parametrize("right_layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_are_products(left, right, left_layout, right_layout, dtype):
    a, b = integers(left, left_layout, dtype), integers(right, right_layout, dtype)
    expected = a @ b
    np.testing.assert_array_equal(matmul(a, b), expected)
    out = np.full(expected.shape, 7, dtype)
    assert matmul(a, b, out=out) is out
    np.testing.assert_array_equal(out, expected)


def test_fill_what_is_given_with_gaps_and_in_any_order():
    a, b = integers((6, 20)), integers((20, 20_000), "columns")
    out = np.zeros((20_000, 12), dtype="float32")
    assert matmul(a, b, out=out.T[::2]) is not None
    np.testing.assert_array_equal(out.T[::2], a @ b)
    assert (out.T[1::2] == 0).all()


@given(st.integers(0, 300), st.integers(0, 2000), st.integers(0, 3000), st.booleans(), st.booleans())
def test_pieces_are_small_and_cover_the_longer_side(rows, inner, columns, a_by_rows, b_by_rows):
    cuts = pieces(rows, inner, columns, a_by_rows, b_by_rows)
    assert cuts[0] == 0 and cuts[-1] == max(rows, columns)
    if len(cuts) > 2:
        assert all(stop - start > 0 for start, stop in pairwise(cuts))
        assert max(stop - start for start, stop in pairwise(cuts)) * min(rows, columns) * inner <= SMALL_PRODUCT


@pytest.mark.parametrize(
    ("shape", "by_rows", "expected"),
    [
        ((384, 147, 64), (False, True), 4),  # the paper's first layer, a row of outputs: pieces of 96 rows
        ((147, 384, 64), (True, True), 4),  # its gradient of the weight
        (
            (16, 1000, 1024),
            (True, False),
            17,
        ),  # a gradient through the dense layer: thin, so the inner axis may be the fast one
        ((384, 147, 64), (True, False), 1),  # not thin enough for that
        ((16, 1024, 1000), (True, True), 1),  # would cut the weight into runs of 59 numbers
        ((1000, 1000, 1000), (True, True), 1),  # long on both sides
        ((32, 128, 64), (True, True), 1),  # small as it is
    ],
)
def test_where_it_pays(shape, by_rows, expected):
    assert len(pieces(*shape, *by_rows)) - 1 == expected


def test_openblas_is_given_the_pieces(monkeypatch):
    widths, product = [], np.matmul
    monkeypatch.setattr(np, "matmul", lambda a, b, out: (widths.append(b.shape[-1]), product(a, b, out=out)))
    matmul(np.ones((20, 16), "float32"), np.ones((16, 10_000), "float32"))
    assert widths == [2500] * 4


@pytest.mark.parametrize(("left", "right"), [((0, 5), (5, 9)), ((5, 0), (0, 10**6)), ((2, 3), (3, 0))])
def test_without_rows_columns_or_terms(left, right):
    np.testing.assert_array_equal(matmul(np.ones(left), np.ones(right)), np.zeros((left[0], right[1])))


def test_number_types_that_differ_are_left_to_numpy(monkeypatch):
    monkeypatch.setattr(products, "pieces", None)
    assert matmul(np.ones((2, 3), "float32"), np.ones((3, 2), "float64")).dtype == "float64"
