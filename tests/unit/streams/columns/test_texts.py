"""Arrow's texts as arrays, and their hashes."""

import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from streams.columns.texts import Texts

TEXTS = [
    "",
    "a",
    "pump-7",
    "sevenby",
    "eight by",
    "nine byte",
    "Füllstand",
    "x" * 15,
    "x" * 16,
    "x" * 128,
    "\0",
    "\0\0",
]
ZERO = np.zeros(2, dtype=np.uint64)


def read(texts: Texts) -> list[str]:
    bounds = texts.bounds.tolist()
    return [texts.data[start:end].tobytes().decode() for start, end in pairwise(bounds)]


def test_hashes_are_those_of_python_itself() -> None:
    # CPython hashes bytes with SipHash-1-3; without a seed the key is zero, and the empty text has no hash.
    program = f"print([hash(text.encode()) for text in {TEXTS[1:]!r}])"
    done = subprocess.run(  # noqa: S603  # our own words
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert sys.hash_info.algorithm == "siphash13"

    assert str(Texts.of(pa.array(TEXTS[1:])).hashes(ZERO).view(np.int64).tolist()) == done.stdout.strip()


def test_another_key_gives_other_hashes() -> None:
    texts = Texts.of(pa.array(TEXTS))
    found = [texts.hashes(np.array(key, dtype=np.uint64)).tolist() for key in ([0, 0], [1, 0], [0, 1], [2**63, 0])]

    assert len({number for hashes in found for number in hashes}) == 4 * len(TEXTS)


@pytest.mark.parametrize(("start", "length"), [(0, 12), (3, 4), (11, 1), (5, 0)])
def test_a_part_of_a_column(start: int, length: int) -> None:
    texts = Texts.of(pa.array(TEXTS).slice(start, length))

    assert len(texts) == length
    assert read(texts) == TEXTS[start : start + length]
    assert texts.lengths().tolist() == [len(text.encode()) for text in TEXTS[start : start + length]]
    assert texts.hashes(ZERO).tolist() == Texts.of(pa.array(TEXTS)).hashes(ZERO).tolist()[start : start + length]


@pytest.mark.parametrize("column", [pa.array([], pa.string()), pa.array(["", ""]), pa.array(["a"]).slice(1)])
def test_columns_without_a_byte(column: pa.Array) -> None:
    assert read(Texts.of(column)) == column.to_pylist() == read(Texts.empty(len(column)))
