"""Files of questions as they are sent, and files of answers as they may come back."""

import json
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, SecretStr

from connectors.llm import batches
from connectors.llm.batches import Question, jsonl, lines, result
from connectors.llm.settings import Endpoint, OutputLimit

ENDPOINT = Endpoint(name="first", api_key=SecretStr("sk-secret"), model="m", reasoning_tokens=5)


class Verdict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str


async def cut(chunks: Sequence[bytes]) -> list[bytes]:
    async def stream() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return [line async for line in lines(stream())]


def said(body: object, *, status: object = 200, key: object = "7") -> bytes:
    return json.dumps({"custom_id": key, "response": {"status_code": status, "body": body}}).encode()


def completion(content: object = '{"text": "fine"}', **change: object) -> dict[str, Any]:
    choice = {"message": {"content": content}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 10, "completion_tokens": 4}
    return {"choices": [choice], "model": "m-1", "usage": usage} | change


def test_each_question_is_a_line_with_its_key_and_without_the_key_of_the_endpoint() -> None:
    questions = [Question("1", "Be brief.", "Was läuft?\nSag es.", 100), Question("2", "s", "u", 200)]
    written = jsonl(ENDPOINT, questions, Verdict)
    assert written.endswith(b"\n")
    first, second = (json.loads(line) for line in written.splitlines())
    assert [first[name] for name in ("custom_id", "method", "url")] == ["1", "POST", "/v1/chat/completions"]
    assert first["body"]["messages"][-1] == {"role": "user", "content": "Was läuft?\nSag es."}
    assert first["body"]["response_format"]["json_schema"]["strict"] is True
    assert [line["body"]["max_completion_tokens"] for line in (first, second)] == [105, 205]
    assert b"sk-secret" not in written


def test_no_limit_is_told_to_a_server_that_takes_none() -> None:
    endpoint = ENDPOINT.model_copy(update={"output_limit": OutputLimit.NONE})
    assert set(json.loads(jsonl(endpoint, [Question("1", "s", "u", 9)], Verdict))["body"]) == {
        "model",
        "messages",
        "response_format",
    }


@given(st.binary().flatmap(lambda text: st.tuples(st.just(text), st.lists(st.integers(0, len(text))))))
async def test_lines_are_the_same_wherever_the_file_is_cut(case: tuple[bytes, list[int]]) -> None:
    text, cuts = case
    bounds = [0, *sorted(cuts), len(text)]
    chunks = [text[start:end] for start, end in pairwise(bounds)]
    assert await cut(chunks) == [line for line in text.split(b"\n") if line]


async def test_a_line_that_is_too_long_is_left_out_and_those_around_it_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batches, "MOST_LINE", 4)
    assert await cut([b"abcd\nabc", b"de", b"fghijk\nab\n", b"xxxxx"]) == [b"abcd", b"ab"]


async def test_no_more_is_read_of_a_file_than_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MOST_BYTES", 6)
    assert await cut([b"ab\ncd\n", b"e", b"f\ngh\n"]) == [b"ab", b"cd"]


def test_an_answer_is_read_with_what_it_took() -> None:
    found = result(ENDPOINT, said(completion()), Verdict)
    assert found is not None
    assert found.reply is not None
    assert (found.key, found.reply.answer, found.reply.model) == ("7", Verdict(text="fine"), "m-1")
    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (10, 4)
    assert not found.is_free


@pytest.mark.parametrize(
    "body",
    [
        completion('{"text": 7}'),
        completion("no JSON"),
        completion(None),
        completion(choices=[]),
        completion(choices=[{"message": {"content": "{", "refusal": None}, "finish_reason": "length"}]),
        completion(choices=[{"message": {"refusal": "No."}}]),
    ],
)
def test_an_answer_that_cannot_be_used_has_cost_what_it_took(body: dict[str, Any]) -> None:
    found = result(ENDPOINT, said(body), Verdict)
    assert found is not None
    assert (found.reply, found.usage.prompt_tokens, found.is_free) == (None, 10, False)


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "text",
        completion(usage={"prompt_tokens": -1}),
        completion(usage={"prompt_tokens": 2**62, "completion_tokens": 4}),
        completion(usage={"prompt_tokens": 2**63}),
    ],
)
def test_what_nobody_can_believe_is_no_answer_and_says_nothing_of_its_cost(body: object) -> None:
    found = result(ENDPOINT, said(body), Verdict)
    assert found is not None
    assert (found.reply, found.usage.prompt_tokens, found.is_free) == (None, 0, False)


@pytest.mark.parametrize("line", [said({"error": {}}, status=429), b'{"custom_id": "7", "error": {"code": "expired"}}'])
def test_what_was_turned_away_costs_nothing(line: bytes) -> None:
    found = result(ENDPOINT, line, Verdict)
    assert found is not None
    assert (found.key, found.reply, found.is_free) == ("7", None, True)


@pytest.mark.parametrize(
    "line",
    [
        b"<html>",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        b'{"custom_id": 7}',
        b"[" * 100_000,
        said(completion(), key="x" * 201),
        said(completion(), status="fine"),
    ],
)
def test_a_line_of_nobody_is_passed_over(line: bytes) -> None:
    assert result(ENDPOINT, line, Verdict) is None


@given(st.binary())
def test_no_line_fails_the_others(line: bytes) -> None:
    result(ENDPOINT, line, Verdict)
