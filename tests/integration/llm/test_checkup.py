"""What is found out about an endpoint, against the stand-in server."""

import json
import socket
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr

from connectors.clock import SystemClock
from connectors.llm import cures
from connectors.llm.checkup import OUTPUT_TOKENS, TideGate, examine
from connectors.llm.prices import price_of
from connectors.llm.settings import Endpoint, OutputLimit
from tests.fakes.stand_in import StandIn

KEY = "sk-test-0123456789abcdef"
# Time enough for any answer that comes at all.
PATIENCE_S = 30.0
# What has no price in the list, and a price of one's own.
OWN: dict[str, Any] = {"input_usd": Decimal(2), "output_usd": Decimal("8.50")}


Found = dict[str, tuple[bool, str, str]]


async def found(
    stand_in: StandIn,
    model: str = "ok",
    *,
    within_s: float = PATIENCE_S,
    budgeted: bool = False,
    calls: bool = True,
    **fields: object,
) -> Found:
    """Examine an endpoint; give what was found by aspect: whether it is fine, what was seen, and the cure."""
    given: dict[str, object] = {"base_url": stand_in.url, "api_key": SecretStr(KEY), "model": model, **fields}
    endpoint = Endpoint.model_validate({"name": "first", **given})
    signs = await examine(endpoint, SystemClock(), within_s=within_s, budgeted=budgeted, calls=calls)
    assert KEY not in repr(signs)
    assert "/v1" not in "".join(sign.seen for sign in signs), "an address may carry a password: only host and port"
    assert all(sign.fine or sign.cure for sign in signs), "whatever is wrong has a cure"
    assert len({sign.aspect for sign in signs}) == len(signs)
    return {sign.aspect: (sign.fine, sign.seen, sign.cure) for sign in signs}


def asked(stand_in: StandIn) -> list[dict[str, Any]]:
    return [request["body"] for request in stand_in.requests()]


def place(stand_in: StandIn) -> str:
    return stand_in.url.removeprefix("http://").removesuffix("/v1")


async def test_an_endpoint_that_does_all_it_should(stand_in: StandIn) -> None:
    stand_in.models("ok")

    signs = await found(stand_in, **OWN)

    assert list(signs) == ["", "structured answers", "price"]
    assert all(fine and not cure for fine, _, cure in signs.values())
    assert signs[""][1].startswith(f"ok at {place(stand_in)} answers in ")
    assert signs["price"][1] == "$2 in and $8.5 out for a million tokens, as the settings say"
    (body,) = asked(stand_in)
    assert body["max_completion_tokens"] == OUTPUT_TOKENS


async def test_it_says_what_the_call_has_cost(stand_in: StandIn) -> None:
    stand_in.content(json.dumps({"course": "slack", "sluices": 1}))

    signs = await found(stand_in, **OWN)

    sent = sum(len(message["content"].encode()) for message in asked(stand_in)[0]["messages"])
    answered = len('{"course": "slack", "sluices": 1}')
    usd = (-(-sent // 4) * 2 + -(-answered // 4) * Decimal("8.5")) / 1_000_000
    assert signs[""][1].endswith(f" s for ${usd:.6f}".rstrip("0"))


@pytest.mark.parametrize(
    ("model", "fields", "said"),
    [
        ("ok", {}, "at a price that is not known"),
        ("ok", {"input_usd": 0, "output_usd": 0}, "for $0"),
        ("no-usage", OWN, "and does not say how many tokens it took"),
        ("ok", {"input_usd": Decimal("0.000001"), "output_usd": 0}, "for less than $0.000001"),
    ],
)
async def test_a_cost_that_is_none_or_not_known(
    stand_in: StandIn, model: str, fields: dict[str, Any], said: str
) -> None:
    signs = await found(stand_in, model, **fields)

    assert signs[""][0]
    assert signs[""][1].endswith(f" s {said}")


async def test_only_who_reads_the_schema_knows_what_to_answer(stand_in: StandIn) -> None:
    await found(stand_in)

    (body,) = asked(stand_in)
    question = json.dumps(body["messages"])
    schema = body["response_format"]["json_schema"]["schema"]
    for name in TideGate.model_fields:
        assert name not in question
        assert name in schema["required"]
    for word in schema["properties"]["course"]["enum"]:
        assert word not in question


@pytest.mark.parametrize("status", [401, 403])
async def test_a_key_that_is_not_accepted(stand_in: StandIn, status: int) -> None:
    signs = await found(stand_in, str(status))

    fine, seen, cure = signs[""]
    assert not fine
    assert f"HTTP {status}" in seen
    assert "Correct api_key in TIDEGATE_LLM__ENDPOINTS" in cure
    assert "structured answers" not in signs, "nobody knows"
    assert len(asked(stand_in)) == 1, "another limit would not help"


async def test_a_key_that_is_missing(stand_in: StandIn) -> None:
    fine, _, cure = (await found(stand_in, "401", api_key=SecretStr("")))[""]

    assert not fine
    assert cure.startswith("It wants a key: set api_key")


async def test_a_model_that_is_not_there_is_found_by_names_like_it(stand_in: StandIn) -> None:
    stand_in.models("o3", "gpt-4o", "gpt-4o-mini", "gpt-4o-mini-2024-07-18", "gpt-4.1", "gpt-4.1-mini", "whisper-1")
    stand_in.queue("404")

    fine, seen, cure = (await found(stand_in, "gpt-4o-mimi"))[""]

    assert not fine
    assert seen.startswith(f"gpt-4o-mimi at {place(stand_in)} refused the request: HTTP 404")
    begin, _, names = cure.partition("has ")
    assert begin == "Correct model in TIDEGATE_LLM__ENDPOINTS: the server "
    assert names.removesuffix(".").split(", ") == [
        "gpt-4o-mini",
        "gpt-4.1-mini",
        "gpt-4o",
        "gpt-4o-mini-2024-07-18",
        "gpt-4.1",
    ]


async def test_names_of_models_are_the_text_of_a_stranger(stand_in: StandIn) -> None:
    stand_in.models("a\x1b[31mred\r\nok  Model first", "\u202ereversed", "x" * 5000, f"the key is {KEY}", "")
    stand_in.queue("404")

    _, _, cure = (await found(stand_in, "some-model"))[""]

    assert cure.isprintable()
    assert len(cure) < 300


async def test_a_server_that_lists_nothing(stand_in: StandIn) -> None:
    stand_in.models()
    stand_in.queue("404")

    assert "The server has no model" in (await found(stand_in, "some-model"))[""][2]


async def test_a_model_that_is_listed_and_refused(stand_in: StandIn) -> None:
    # Ollama lists what has no tag as the latest.
    stand_in.models("whisper:latest")
    stand_in.queue("404")

    assert "no model for chats" in (await found(stand_in, "whisper"))[""][2]


async def test_without_a_list_it_is_the_model_or_the_address(stand_in: StandIn) -> None:
    stand_in.models(status=404)
    stand_in.queue("404")

    cure = (await found(stand_in, "some-model"))[""][2]

    assert "model" in cure
    assert "base_url" in cure


async def test_a_server_need_not_list_what_it_answers_with(stand_in: StandIn) -> None:
    stand_in.models("base-model")
    unlisted = await found(stand_in, "my-deployment")
    stand_in.models(status=404)
    no_list = await found(stand_in, "my-deployment")

    assert all(fine for fine, _, _ in (*unlisted.values(), *no_list.values()))


@pytest.mark.parametrize(
    ("refusals", "own", "works", "tried"),
    [
        (["400"], "max_completion_tokens", "max_tokens", [{"max_completion_tokens"}, {"max_tokens"}]),
        (["422"], "max_completion_tokens", "max_tokens", [{"max_completion_tokens"}, {"max_tokens"}]),
        (["400", "400"], "max_completion_tokens", "none", [{"max_completion_tokens"}, {"max_tokens"}, set()]),
        (["400"], "max_tokens", "max_completion_tokens", [{"max_tokens"}, {"max_completion_tokens"}]),
    ],
)
async def test_another_name_for_the_limit_is_found(
    stand_in: StandIn, refusals: list[str], own: str, works: str, tried: list[set[str]]
) -> None:
    stand_in.queue(*refusals, "ok")

    signs = await found(stand_in, "some-model", output_limit=own)

    assert signs[""][0]
    assert signs["structured answers"][0]
    fine, seen, cure = signs["output limit"]
    assert not fine
    assert own in seen
    assert f'"output_limit": "{works}"' in cure
    names = {"max_completion_tokens", "max_tokens"}
    assert [names & set(body) for body in asked(stand_in)] == tried


async def test_whatever_the_limit_is_called_it_is_refused(stand_in: StandIn) -> None:
    stand_in.models("400")

    signs = await found(stand_in, "400")

    fine, seen, cure = signs[""]
    assert not fine
    assert "HTTP 400" in seen
    assert "json_schema" in cure
    assert "output limit" not in signs
    assert len(asked(stand_in)) == 3


async def test_another_trouble_ends_the_search_for_a_limit(stand_in: StandIn) -> None:
    stand_in.queue("400", "401")

    signs = await found(stand_in, "some-model")

    assert "HTTP 401" in signs[""][1]
    assert "output limit" not in signs
    assert len(asked(stand_in)) == 2


async def test_a_model_that_is_not_there_may_be_a_bad_request(stand_in: StandIn) -> None:
    stand_in.models("some-model")

    assert "the server has some-model" in (await found(stand_in, "400"))[""][2]


async def test_an_answer_that_is_longer_than_the_limit(stand_in: StandIn) -> None:
    stand_in.content(json.dumps({"course": "slack", "sluices": 1}) + " " * 4 * OUTPUT_TOKENS)

    cut_off = await found(stand_in)
    whole = await found(stand_in, output_limit=OutputLimit.NONE)

    assert not cut_off["structured answers"][0]
    assert whole["structured answers"][0]
    assert "output limit" not in {*cut_off, *whole}, "its name is right"


async def test_room_to_think_is_asked_for_too(stand_in: StandIn) -> None:
    await found(stand_in, reasoning_tokens=500)

    (body,) = asked(stand_in)
    assert body["max_completion_tokens"] == OUTPUT_TOKENS + 500


@pytest.mark.parametrize(
    "content",
    [
        "The tide is coming in.",
        '{"tide": "coming in", "time": "12:40"}',
        '```json\n{"course": "ebbing", "sluices": 2}\n```',
        '{"course": "up", "sluices": 2}',
        '{"course": "ebbing", "sluices": 2, "note": "as you wish"}',
    ],
)
async def test_a_server_that_ignores_the_schema(stand_in: StandIn, content: str) -> None:
    stand_in.content(content)

    signs = await found(stand_in)

    assert signs[""][0], "it is there, takes the key and has the model"
    fine, seen, cure = signs["structured answers"]
    assert not fine
    assert "schema" in seen
    assert "vLLM 0.6.4" in cure
    assert "Ollama 0.5" in cure


@pytest.mark.parametrize("model", ["wrong-schema", "truncated-json", "empty"])
async def test_an_answer_that_is_none(stand_in: StandIn, model: str) -> None:
    signs = await found(stand_in, model)

    assert signs[""][0]
    assert not signs["structured answers"][0]


async def test_an_answer_that_was_cut_off(stand_in: StandIn) -> None:
    fine, _, cure = (await found(stand_in, "truncated"))["structured answers"]

    assert not fine
    assert "reasoning_tokens" in cure


@pytest.mark.parametrize("model", ["refusal", "filtered"])
async def test_an_answer_that_is_withheld(stand_in: StandIn, model: str) -> None:
    fine, seen, cure = (await found(stand_in, model))["structured answers"]

    assert not fine
    assert model in seen
    assert "vLLM" not in cure


async def test_what_is_no_model_server(stand_in: StandIn) -> None:
    fine, _, cure = (await found(stand_in, "garbage"))[""]

    assert not fine
    assert "base_url" in cure


@pytest.mark.parametrize("calls", [True, False])
async def test_nobody_listens_there(stand_in: StandIn, *, calls: bool) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening
        port = taken.getsockname()[1]
        signs = await found(stand_in, base_url=f"http://user:hush@127.0.0.1:{port}/v1", calls=calls)

    fine, seen, cure = signs[""]
    assert not fine
    assert f"127.0.0.1:{port}" in seen
    assert "hush" not in repr(signs)
    assert "base_url" in cure


async def test_an_endpoint_that_hangs_is_not_waited_for(stand_in: StandIn) -> None:
    fine, seen, cure = (await found(stand_in, "hang", within_s=0.5))[""]

    assert not fine
    assert "no answer within 0.5 s" in seen
    assert "TIDEGATE_LLM__TIMEOUT_S" in cure


@pytest.mark.parametrize(
    ("model", "word"), [("429:1", "used up"), ("402", "used up"), ("500", "log"), ("reset", "Try again")]
)
async def test_other_troubles_have_cures_too(stand_in: StandIn, model: str, word: str) -> None:
    fine, _, cure = (await found(stand_in, model))[""]

    assert not fine
    assert word in cure


@pytest.mark.parametrize("budgeted", [False, True])
async def test_a_price_that_nobody_knows_is_a_fault_only_under_a_budget(stand_in: StandIn, *, budgeted: bool) -> None:
    fine, seen, cure = (await found(stand_in, budgeted=budgeted))["price"]

    assert fine is not budgeted
    assert "not known" in seen
    assert "input_usd and output_usd" in cure
    assert "0 for a server of your own" in cure


def test_a_price_from_the_list() -> None:
    # Nothing is sent there.
    endpoint, address = Endpoint(name="first", model="gpt-4o-mini"), "https://api.openai.com/v1/"
    sign = cures.price(cures.Known(endpoint, address, frozenset(), price_of(endpoint, address), budgeted=True))

    assert (sign.fine, sign.cure) == (True, "")
    assert sign.seen == "$0.15 in and $0.6 out for a million tokens, from the list of prices"


def test_at_azure_a_model_is_a_deployment() -> None:
    endpoint, address = Endpoint(name="first", model="insights"), "https://name.openai.azure.com/openai/v1/"
    sign = cures.by_list(cures.Known(endpoint, address, frozenset({"gpt-4o"}), None, budgeted=False))

    assert sign.fine
    assert "deployment" in sign.cure
    assert "gpt-4o" not in sign.cure, "these are models that may be deployed"


async def test_without_a_limit_nobody_knows_what_a_call_may_cost(stand_in: StandIn) -> None:
    priced = await found(stand_in, output_limit="none", budgeted=True, **OWN)
    free = await found(stand_in, output_limit="none", budgeted=True, input_usd=0, output_usd=0)

    fine, _, cure = priced["output limit"]
    assert not fine
    assert "output_limit" in cure
    assert "output limit" not in free


async def test_a_server_that_takes_no_limit_has_to_be_free_under_a_budget(stand_in: StandIn) -> None:
    stand_in.queue("400", "400")

    _, _, cure = (await found(stand_in, "some-model", budgeted=True, **OWN))["output limit"]

    assert '"output_limit": "none"' in cure
    assert "budget" in cure


async def test_without_calls_the_list_has_to_do(stand_in: StandIn) -> None:
    stand_in.models("some-model", "another")

    there = await found(stand_in, "some-model", calls=False)
    elsewhere = await found(stand_in, "som-model", calls=False)
    stand_in.models(status=404)
    unknown = await found(stand_in, "some-model", calls=False)
    stand_in.models(status=403)
    hidden = await found(stand_in, "some-model", calls=False)

    assert asked(stand_in) == []
    assert list(there) == list(elsewhere) == ["", "price"]
    assert there[""] == (True, f"some-model at {place(stand_in)} is in the server's list", "")
    fine, seen, cure = elsewhere[""]
    assert fine, "it may have more than it lists"
    assert "is not in the server's list" in seen
    assert "the server has some-model, another" in cure
    assert unknown[""][0]
    assert hidden[""][0]


async def test_without_calls_the_key_is_tried_too(stand_in: StandIn) -> None:
    stand_in.models(status=401)

    fine, _, cure = (await found(stand_in, calls=False))[""]

    assert not fine
    assert "api_key" in cure


async def test_an_address_that_is_none(stand_in: StandIn) -> None:
    signs = await found(stand_in, base_url="localhost:8000")

    assert list(signs) == [""]
    fine, seen, _ = signs[""]
    assert not fine
    assert "is not an address" in seen
