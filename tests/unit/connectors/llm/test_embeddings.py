import json
from typing import Any

import numpy as np
import pytest

from connectors.cache.semantic.embed import Embedder
from connectors.llm import embeddings
from connectors.llm.embeddings import MOST_DIMENSIONS, PER_REQUEST, Embeddings, read
from connectors.llm.errors import WrongAnswerError
from connectors.llm.settings import Endpoint

ENDPOINT = Endpoint(name="first", base_url="http://127.0.0.1:9/v1", model="embed-1")


def written(*vectors: tuple[int, list[Any]], **more: object) -> bytes:
    data = [{"index": index, "embedding": vector} for index, vector in vectors]
    return json.dumps({"data": data, **more}).encode()


def test_vectors_are_taken_in_their_order_and_made_1_long() -> None:
    answer = read("first", written((1, [0.0, 2.0]), (0, [3.0, -4.0]), usage={"prompt_tokens": 7}), 2, None)
    assert answer.vectors.dtype == np.float32
    assert answer.vectors.tolist() == [pytest.approx([0.6, -0.8]), [0.0, 1.0]]
    assert answer.prompt_tokens == 7


@pytest.mark.parametrize("size", [1e-320, 1e-200, 1e200, 1e308])
def test_numbers_may_be_huge_or_tiny(size: float) -> None:
    (vector,) = read("first", written((0, [size, -size, 0.0])), 1, 3).vectors
    assert vector.tolist() == pytest.approx([0.5**0.5, -(0.5**0.5), 0.0])


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        written(),
        written((0, [1.0])),
        written((0, [1.0, 0.0]), (1, [1.0, 0.0])),
        written((1, [1.0, 0.0])),
        written((0, [1.0, 0.0]), (0, [1.0, 0.0])),
        written((0, [0.0, 0.0])),
        written((0, [])),
        written((0, [1.0, None])),
        written((0, [1.0, "sk-secret"])),
        b'{"data": [{"index": 0, "embedding": [NaN, 1.0]}]}',
        b'{"data": [{"index": 0, "embedding": [Infinity, 1.0]}]}',
        b'{"data": [{"index": 0, "embedding": [1e999, 1.0]}]}',
        b'{"data": [{"index": 0, "embedding": "AACAPwAAAAA="}]}',
        b'{"data": [{"embedding": [1.0, 0.0]}]}',
        written((0, [1.0] * (MOST_DIMENSIONS + 1))),
        written(*((n, [1.0, 0.0]) for n in range(PER_REQUEST + 1))),
        written((0, [1.0, 0.0]), usage={"prompt_tokens": -1}),
    ],
)
def test_anything_else_is_no_answer(answer: bytes) -> None:
    with pytest.raises(WrongAnswerError, match="protocol") as wrong:
        read("first", answer, 1, 2)
    assert "secret" not in str(wrong.value)


def test_vectors_of_several_lengths_are_no_answer() -> None:
    with pytest.raises(WrongAnswerError, match="dimensions"):
        read("first", written((0, [1.0, 0.0]), (1, [1.0])), 2, None)


async def test_it_is_an_embedder_by_its_form() -> None:
    async with Embeddings(ENDPOINT, 256, 1.0) as one:
        embedder: Embedder = one
        assert (embedder.version, embedder.dimensions) == ("embed-1-256", 256)
    async with Embeddings(ENDPOINT, None, 1.0) as one:
        assert (one.version, one.dimensions) == ("embed-1-own", 0)


async def test_blank_texts_are_not_sent() -> None:
    async with Embeddings(ENDPOINT, 4, 1.0) as one:  # nobody answers there
        assert (await one.embed(["", "  \n"])).tolist() == [[0.0] * 4] * 2
        assert (await one.embed([])).shape == (0, 4)


@pytest.mark.parametrize("dimensions", [0, -1, MOST_DIMENSIONS + 1])
def test_dimensions_that_cannot_be_are_refused(dimensions: int) -> None:
    with pytest.raises(ValueError, match="dimensions"):
        Embeddings(ENDPOINT, dimensions, 1.0)


def test_the_largest_answer_that_can_be_is_read() -> None:
    # A number as JSON writes it has 24 characters at the most, and a separator of two.
    assert PER_REQUEST * MOST_DIMENSIONS * 26 + 100 * PER_REQUEST < embeddings.MOST_BYTES
