"""The stand-in streams as the real client expects it: what comes in pieces is what comes at once."""

import time
from collections.abc import AsyncIterator

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionChunk

from tests.fakes.stand_in import StandIn

WORDS = "It rose to {value}. " * 20


@pytest.fixture
async def client(stand_in: StandIn) -> AsyncIterator[AsyncOpenAI]:
    stand_in.content(WORDS)
    async with AsyncOpenAI(base_url=stand_in.url, api_key="k", max_retries=0, timeout=10) as opened:
        yield opened


async def chunks(client: AsyncOpenAI) -> AsyncIterator[ChatCompletionChunk]:
    stream = await client.chat.completions.create(
        model="test-1",
        messages=[{"role": "user", "content": "What happened?"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    async for chunk in stream:
        yield chunk


async def collect(client: AsyncOpenAI, seen: list[ChatCompletionChunk]) -> None:
    async for chunk in chunks(client):
        seen.append(chunk)  # noqa: PERF401  # what came before a failure counts


def text(seen: list[ChatCompletionChunk]) -> str:
    return "".join(choice.delta.content or "" for chunk in seen for choice in chunk.choices)


async def test_pieces_add_up_to_the_answer_and_its_usage(client: AsyncOpenAI) -> None:
    seen = [chunk async for chunk in chunks(client)]
    whole = await client.chat.completions.create(
        model="test-1", messages=[{"role": "user", "content": "What happened?"}]
    )
    assert text(seen) == WORDS == whole.choices[0].message.content
    assert len(seen) > 20
    assert [choice.finish_reason for choice in seen[-2].choices] == ["stop"]
    assert seen[-1].usage == whole.usage is not None
    assert not any(chunk.usage for chunk in seen[:-1])


async def test_the_first_piece_comes_long_before_the_last(client: AsyncOpenAI, stand_in: StandIn) -> None:
    stand_in.queue("drip:0.02")
    at = [time.monotonic() async for _ in chunks(client)]
    assert at[-1] - at[0] > 0.3


@pytest.mark.parametrize(("behaviour", "finish"), [("truncated", "length"), ("truncated-json", "stop")])
async def test_a_stream_may_end_too_early(client: AsyncOpenAI, stand_in: StandIn, behaviour: str, finish: str) -> None:
    stand_in.queue(behaviour)
    seen = [chunk async for chunk in chunks(client)]
    assert text(seen) == WORDS[: len(WORDS) // 2]
    assert seen[-2].choices[0].finish_reason == finish


async def test_a_stream_may_break(client: AsyncOpenAI, stand_in: StandIn) -> None:
    stand_in.queue("cut")
    seen: list[ChatCompletionChunk] = []
    with pytest.raises(openai.APIConnectionError):
        await collect(client, seen)
    assert 0 < len(text(seen)) < len(WORDS)
