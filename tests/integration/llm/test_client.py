"""The client against the stand-in server: the real `openai` library, a real socket."""

import asyncio
import json
import logging
import socket
import traceback
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from connectors.errors import ConnectorError, SlowDownError
from connectors.llm.client import Model
from connectors.llm.completion import Reply
from connectors.llm.errors import BusyEndpointError, RefusedRequestError, WrongAnswerError
from connectors.llm.prices import Usage
from connectors.llm.settings import Endpoint
from tests.fakes.stand_in import StandIn

KEY = "sk-test-0123456789abcdef"
SYSTEM, USER = "Be brief.", "What is up with the pümp?"
# Time enough for any answer that comes at all.
PATIENCE_S = 30.0


class Part(BaseModel):
    name: str
    weight: Annotated[float, Field(ge=0.5)]


class Verdict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str
    level: Literal["low", "high"]
    parts: list[Part]
    note: str | None = None


def model(stand_in: StandIn, name: str = "ok", timeout_s: float = PATIENCE_S) -> Model:
    return Model(Endpoint(name="first", base_url=stand_in.url, api_key=SecretStr(KEY), model=name), timeout_s)


async def ask(stand_in: StandIn, name: str, timeout_s: float = PATIENCE_S) -> Reply[Verdict]:
    async with model(stand_in, name, timeout_s) as one:
        return await one.ask(SYSTEM, USER, Verdict)


async def test_an_answer_has_the_type_that_was_asked_for(stand_in: StandIn) -> None:
    reply = await ask(stand_in, "ok")

    assert reply.answer == Verdict(
        text="stand-in text", level="low", parts=[Part(name="stand-in text", weight=0.5)], note="stand-in text"
    )
    assert reply.model == "ok-stand-in"
    content = stand_in_content(reply.answer)
    assert reply.usage == Usage(-(-len((SYSTEM + USER).encode()) // 4), -(-len(content.encode()) // 4))


def stand_in_content(answer: BaseModel) -> str:
    return json.dumps(answer.model_dump())


async def test_the_request_is_strict_structured_output_with_the_key(stand_in: StandIn) -> None:
    await ask(stand_in, "ok")

    (request,) = stand_in.requests()
    assert request["path"] == "/v1/chat/completions"
    assert request["headers"]["authorization"] == f"Bearer {KEY}"
    assert request["body"]["messages"] == [{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}]
    form = request["body"]["response_format"]["json_schema"]
    assert (form["name"], form["strict"]) == ("Verdict", True)
    # Strict output: every field is required, also the one with a default, and no other may come.
    assert form["schema"]["required"] == ["text", "level", "parts", "note"]
    assert form["schema"]["additionalProperties"] is False


async def test_one_model_is_asked_many_things_at_once(stand_in: StandIn) -> None:
    async with model(stand_in, "hang") as one, asyncio.timeout(20):
        asked = [asyncio.create_task(one.ask(SYSTEM, USER, Verdict)) for _ in range(20)]
        # None of them is answered, so all of them wait together.
        while len(stand_in.requests()) < len(asked):  # noqa: ASYNC110  # what is waited for is in another process
            await asyncio.sleep(0.01)
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
async def test_a_status_that_passes_means_slow_down(stand_in: StandIn, status: int) -> None:
    with pytest.raises(BusyEndpointError, match=f"HTTP {status}") as caught:
        await ask(stand_in, str(status))

    assert isinstance(caught.value, SlowDownError)
    assert caught.value.retry_after_s is None
    assert len(stand_in.requests()) == 1, "the client tries once; who asks decides about more"


async def test_retry_after_is_told(stand_in: StandIn) -> None:
    with pytest.raises(BusyEndpointError, match="rate_limit_exceeded") as caught:
        await ask(stand_in, "429:7")

    assert caught.value.retry_after_s == 7.0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_a_refused_request_is_no_slow_down(stand_in: StandIn, status: int) -> None:
    with pytest.raises(RefusedRequestError, match=r"Check its api_key, model and base_url") as caught:
        await ask(stand_in, str(status))

    assert not isinstance(caught.value, SlowDownError)
    assert caught.value.status == status


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param("hang", id="never answers"),
        pytest.param("slow:60", id="answers too late"),
        pytest.param("drip:0.05", id="each read is fast, the whole is not"),
    ],
)
async def test_a_call_ends_at_its_timeout_and_upstream_learns_of_it(stand_in: StandIn, behaviour: str) -> None:
    with pytest.raises(BusyEndpointError, match=r"no answer within 0\.5 s"):
        await asyncio.wait_for(ask(stand_in, behaviour, timeout_s=0.5), 10)

    assert await asyncio.to_thread(stand_in.ended, "disconnected")


async def test_cancelling_ends_the_call_upstream(stand_in: StandIn) -> None:
    call = asyncio.ensure_future(ask(stand_in, "hang"))
    assert await asyncio.to_thread(stand_in.started)

    call.cancel()

    with pytest.raises(asyncio.CancelledError):
        await call
    assert await asyncio.to_thread(stand_in.ended, "disconnected")


@pytest.mark.parametrize("behaviour", ["reset", "cut"])
async def test_a_broken_connection_means_slow_down(stand_in: StandIn, behaviour: str) -> None:
    with pytest.raises(BusyEndpointError, match=r"the connection to 127\.0\.0\.1:\d+ broke"):
        await ask(stand_in, behaviour)


async def test_nobody_listening_means_slow_down_and_the_address_is_told_without_its_password(stand_in: StandIn) -> None:
    del stand_in  # for the environment that it clears
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening
        url = f"http://user:hush@127.0.0.1:{taken.getsockname()[1]}/v1"
        async with Model(Endpoint(name="gone", base_url=url), PATIENCE_S) as one:
            with pytest.raises(BusyEndpointError, match=r"'gone': the connection to 127\.0\.0\.1:\d+") as caught:
                await one.ask(SYSTEM, USER, Verdict)

    assert "hush" not in everything(caught.value)


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("refusal", "refusal"),
        ("truncated", "truncated"),
        ("filtered", "filtered"),
        ("empty", "empty"),
        ("truncated-json", "schema"),
        ("wrong-schema", "schema"),
        ("garbage", "protocol"),
        ("odd-usage", "protocol"),
    ],
)
async def test_a_wrong_answer_is_an_error_of_its_own(stand_in: StandIn, behaviour: str, reason: str) -> None:
    with pytest.raises(WrongAnswerError) as caught:
        await ask(stand_in, behaviour)

    assert caught.value.reason == reason
    assert not isinstance(caught.value, SlowDownError)
    # What was spent is told, so that it can be settled.
    spent = 0 if reason == "protocol" else -(-len((SYSTEM + USER).encode()) // 4)
    assert caught.value.usage.prompt_tokens == spent


@pytest.mark.parametrize(
    "wrong",
    [pytest.param({"level": KEY}, id="in a value"), pytest.param({KEY: 1}, id="in a name")],
)
async def test_a_wrong_answer_repeats_nothing_that_the_server_wrote(stand_in: StandIn, wrong: dict[str, Any]) -> None:
    stand_in.content(json.dumps({"text": "x", "level": "low", "parts": [], **wrong}))

    with pytest.raises(WrongAnswerError, match="schema") as caught:
        await ask(stand_in, "ok")

    assert KEY not in everything(caught.value)


async def test_without_usage_the_tokens_are_0(stand_in: StandIn) -> None:
    reply = await ask(stand_in, "no-usage")

    assert reply.usage == Usage(0, 0)


async def test_a_model_recovers_with_its_endpoint(stand_in: StandIn) -> None:
    stand_in.queue("500", "reset", "ok")
    async with model(stand_in, "any-model") as one:
        for _ in range(2):
            with pytest.raises(BusyEndpointError):
                await one.ask(SYSTEM, USER, Verdict)
        reply = await one.ask(SYSTEM, USER, Verdict)

    assert reply.model == "any-model-stand-in"


@pytest.mark.parametrize("behaviour", ["ok", "401", "429:1", "500", "wrong-schema", "reset", "garbage"])
async def test_the_key_is_in_no_log_and_no_error(
    stand_in: StandIn, behaviour: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        caught: ConnectorError | None = None
        try:
            await ask(stand_in, behaviour)
        except ConnectorError as error:
            caught = error

    assert KEY not in caplog.text
    assert (caught is None) == (behaviour == "ok")
    if caught:
        assert KEY not in everything(caught)
    assert stand_in.requests()[0]["headers"]["authorization"] == f"Bearer {KEY}"


def everything(error: BaseException) -> str:
    """What a log shows of an error: its traceback, and whatever it says that it was caused by."""
    return "".join(traceback.format_exception(error)) + repr(error)


async def test_a_key_that_looks_like_an_error_code_is_not_shown_as_one(stand_in: StandIn) -> None:
    endpoint = Endpoint(name="first", base_url=stand_in.url, api_key=SecretStr("hunter"), model="401")
    async with Model(endpoint, PATIENCE_S) as one:
        with pytest.raises(RefusedRequestError) as caught:
            await one.ask(SYSTEM, USER, Verdict)

    assert "hunter" not in everything(caught.value)


async def test_the_key_of_the_environment_goes_to_no_listed_server(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    async with Model(Endpoint(name="local", base_url=stand_in.url, model="ok"), PATIENCE_S) as one:
        await one.ask(SYSTEM, USER, Verdict)

    assert KEY not in json.dumps(stand_in.requests())


async def test_without_an_address_the_library_decides(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", stand_in.url)
    async with Model(Endpoint(name="default", model="ok"), PATIENCE_S) as one:
        await one.ask(SYSTEM, USER, Verdict)

    (request,) = stand_in.requests()
    assert request["headers"]["authorization"] == f"Bearer {KEY}"


async def test_the_list_of_models_repeats_no_key(stand_in: StandIn) -> None:
    stand_in.models("gpt", f"the key is {KEY}")
    async with model(stand_in, "ok") as one:
        assert await one.models() == {"gpt"}
