"""Vectors of questions may come from an endpoint; while it is away a question is one of its own."""

import json
from pathlib import Path

import pytest

from connectors.cache.entry import Key
from connectors.timescale.settings import DatabaseSettings
from streams.agents.judge import Answered
from streams.app import keeping
from streams.settings import load
from tests.fakes.stand_in import StandIn
from tests.unit.streams.agents.test_packing import facts

pytestmark = pytest.mark.database

ASKED = facts("pressure", question="Is pump 7 hotter than fan 8?")


async def never(tenant: str, one: Answered, other: Answered, *, audited: bool) -> bool:
    raise NotImplementedError


@pytest.mark.parametrize(("model", "found"), [("embed-1", True), ("500", False)])
async def test_an_endpoint_gives_the_vectors(
    database: DatabaseSettings,
    stand_in: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    *,
    model: str,
    found: bool,
) -> None:
    endpoint = {"name": "vectors", "base_url": stand_in.url, "api_key": "k-of-vectors", "model": model}
    monkeypatch.setenv("TIDEGATE_DATABASE__URL", database.url.get_secret_value())
    monkeypatch.setenv("TIDEGATE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TIDEGATE_LLM__EMBEDDINGS", json.dumps(endpoint))
    monkeypatch.setenv("TIDEGATE_LLM__EMBEDDING_DIMENSIONS", "12")
    caches = keeping.assemble(load(), never)
    try:
        assert caches.meaning is not None
        similar = await caches.meaning.find(Key("acme", "a" * 64), ASKED, ["m-1"])
    finally:
        await caches.close()
    (request,) = stand_in.requests()
    assert (request["path"], request["body"]["dimensions"]) == ("/v1/embeddings", 12)
    # The numbers are no part of what is said of them.
    assert not any(letter in str(request["body"]["input"]) for letter in "78")
    assert (similar is not None) == found
    if similar is not None:
        assert len(similar.asked.vector) == 12
