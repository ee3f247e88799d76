"""Vectors from the stand-in server: the real `openai` library, a real socket."""

import asyncio

import numpy as np
import pytest
from pydantic import SecretStr

from connectors.llm import embeddings
from connectors.llm.embeddings import PER_REQUEST, Embeddings
from connectors.llm.errors import BusyEndpointError, RefusedRequestError, WrongAnswerError
from connectors.llm.settings import Endpoint
from tests.fakes.stand_in import StandIn

KEY = "sk-test-0123456789abcdef"


def connected(
    stand_in: StandIn, model: str = "embed-1", dimensions: int | None = None, timeout_s: float = 10.0
) -> Embeddings:
    endpoint = Endpoint(name="first", base_url=stand_in.url, api_key=SecretStr(KEY), model=model)
    return Embeddings(endpoint, dimensions, timeout_s)


async def test_each_text_has_its_vector_of_length_1(stand_in: StandIn) -> None:
    texts = [*(f"Is pump {n} hot?" for n in range(PER_REQUEST + 6)), "", "Is pump 3 hot?", "\ud800"]
    async with connected(stand_in) as one:
        vectors = await one.embed(texts)
        assert one.dimensions == vectors.shape[1] == 16
        assert one.prompt_tokens > 0
    assert vectors.shape == (PER_REQUEST + 9, 16)
    assert vectors.dtype == np.float32
    lengths = np.linalg.norm(vectors, axis=1)
    assert lengths[-3] == 0.0
    assert np.delete(lengths, -3) == pytest.approx(1.0, abs=1e-6)
    assert vectors[-2].tolist() == vectors[3].tolist() != vectors[4].tolist()
    first, second = stand_in.requests()
    assert (first["path"], len(first["body"]["input"]), len(second["body"]["input"])) == ("/v1/embeddings", 64, 8)
    assert first["body"].keys() == {"model", "input", "encoding_format"}
    assert first["headers"]["authorization"] == f"Bearer {KEY}"


async def test_as_many_dimensions_as_asked_for(stand_in: StandIn) -> None:
    async with connected(stand_in, dimensions=5) as one:
        assert (await one.embed(["Is it hot?"])).shape == (1, 5)
    (request,) = stand_in.requests()
    assert request["body"]["dimensions"] == 5


async def test_other_dimensions_than_before_are_no_answer(stand_in: StandIn) -> None:
    async with connected(stand_in) as one:
        one.dimensions = 8  # as if the server's model had changed
        with pytest.raises(WrongAnswerError, match="dimensions"):
            await one.embed(["Is it hot?"])


@pytest.mark.parametrize("model", ["429:7", "500", "503", "reset", "cut"])
async def test_what_passes_is_told_from_what_does_not(stand_in: StandIn, model: str) -> None:
    async with connected(stand_in, model) as one:
        with pytest.raises(BusyEndpointError) as busy:
            await one.embed(["Is it hot?"])
    assert busy.value.retry_after_s == (7.0 if model == "429:7" else None)
    assert len(stand_in.requests()) == 1, "no retries"


@pytest.mark.parametrize("model", ["400", "401", "404"])
async def test_a_refusal_shows_no_key(stand_in: StandIn, model: str) -> None:
    async with connected(stand_in, model) as one:
        with pytest.raises(RefusedRequestError) as refused:
            await one.embed(["Is it hot?"])
    assert KEY not in str(refused.value)


@pytest.mark.parametrize("model", ["hang", "drip:0.02"])
async def test_a_server_that_is_too_slow_is_left(stand_in: StandIn, model: str) -> None:
    async with connected(stand_in, model, timeout_s=0.3) as one:
        with pytest.raises(BusyEndpointError, match=r"0\.3 s"):
            await one.embed(["Is it hot?"])
    assert stand_in.ended("disconnected")


async def test_an_answer_that_is_none_or_too_large_is_refused(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(stand_in, "garbage") as one:
        with pytest.raises(WrongAnswerError, match="protocol"):
            await one.embed(["Is it hot?"])
    monkeypatch.setattr(embeddings, "MOST_BYTES", 100)
    async with connected(stand_in) as one:
        with pytest.raises(WrongAnswerError, match="larger"):
            await one.embed(["Is it hot?"])


async def test_who_no_longer_waits_closes_the_connection(stand_in: StandIn) -> None:
    async with connected(stand_in, "hang") as one:
        asking = asyncio.create_task(one.embed(["Is it hot?"]))
        assert await asyncio.to_thread(stand_in.started)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert stand_in.ended("disconnected")
