"""Batches against the stand-in server: the real `openai` library, a real socket."""

import json
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, SecretStr

from connectors.errors import ConnectorError
from connectors.llm import batches
from connectors.llm.batches import Question, Remote
from connectors.llm.errors import BusyEndpointError, RefusedRequestError
from connectors.llm.settings import Endpoint
from tests.fakes.stand_in import StandIn

KEY = "sk-test-0123456789abcdef"
QUESTIONS = [Question(str(n), "Be brief.", f"What is up with pump {n}?", 100) for n in range(1, 5)]


class Verdict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str


def remote(stand_in: StandIn, path: str = "", **change: Any) -> Remote:  # noqa: ANN401  # fields of an endpoint
    endpoint = Endpoint(name="first", base_url=stand_in.url + path, api_key=SecretStr(KEY), model="test-1", batch=True)
    return Remote(endpoint.model_copy(update=change))


async def test_what_is_asked_in_a_batch_comes_back_by_its_keys(stand_in: StandIn) -> None:
    stand_in.queue("ok", "wrong-schema", "500", "ok")  # the last line first
    async with remote(stand_in) as one:
        batch = await one.submit("mine", QUESTIONS, Verdict)
        (written,) = stand_in.lines().values()
        assert [line["custom_id"] for line in written] == ["1", "2", "3", "4"]
        status = await one.look(batch)
        assert (status.ended, len(status.files)) == ("completed", 2)
        found = {each.key: each for file in status.files for each in await one.results(file, Verdict)}
    assert {key: each.reply is not None for key, each in found.items()} == {
        "1": True,
        "2": False,
        "3": False,
        "4": True,
    }
    assert {key: each.is_free for key, each in found.items()} == {"1": False, "2": True, "3": False, "4": False}
    assert all((found[key].usage.prompt_tokens > 0) for key in "134")
    assert {request["headers"]["authorization"] for request in stand_in.requests()} == {f"Bearer {KEY}"}


@pytest.mark.parametrize(("behaviour", "ended"), [("fail", "failed"), ("expire", "expired"), ("hang", None)])
async def test_a_batch_that_is_not_completed_says_so(stand_in: StandIn, behaviour: str, ended: str | None) -> None:
    stand_in.batches(behaviour)
    async with remote(stand_in) as one:
        status = await one.look(await one.submit("mine", QUESTIONS, Verdict))
    assert status.ended == ended
    assert len(status.files) == (behaviour == "expire")


async def test_a_batch_is_found_again_by_its_key(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "PAGE", 2)
    async with remote(stand_in) as one:
        assert await one.find("mine") is None
        ids = [await one.submit(key, QUESTIONS, Verdict) for key in "abcde"]
        assert [await one.find(key) for key in "abcdef"] == [*ids, None]


async def test_a_server_without_batches_refuses(stand_in: StandIn) -> None:
    async with remote(stand_in, "/without") as one:
        for calling in (
            one.submit("mine", QUESTIONS, Verdict),
            one.find("mine"),
            one.look("b"),
            one.results("f", Verdict),
        ):
            with pytest.raises(RefusedRequestError) as refused:
                await calling
            assert refused.value.status in {400, 404}
            assert KEY not in str(refused.value)


async def test_a_server_that_is_away_is_busy() -> None:
    one = Remote(Endpoint(name="first", base_url="http://127.0.0.1:9/v1", api_key=SecretStr(KEY), batch=True))
    with pytest.raises(BusyEndpointError):
        await one.submit("mine", QUESTIONS, Verdict)
    await one.close()


def test_an_endpoint_that_cannot_be_used_is_refused_at_once() -> None:
    with pytest.raises(ConnectorError, match="base_url"):
        Remote(Endpoint(name="first", base_url="nowhere", batch=True))


async def test_the_lines_ask_as_a_call_would(stand_in: StandIn) -> None:
    async with remote(stand_in) as one:
        await one.submit("mine", QUESTIONS[:1], Verdict)
    ((line,),) = stand_in.lines().values()
    assert json.dumps(line["body"]["response_format"]).count("Verdict") >= 1
    assert line["body"]["max_completion_tokens"] == 100
