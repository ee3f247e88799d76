import asyncio
import json
import logging
import subprocess
import sys
from importlib import metadata

import numpy as np
import pytest

from connectors.cache.semantic import offline
from connectors.cache.semantic.embed import Embedder
from connectors.cache.semantic.offline import DIMENSIONS, Model, OfflineEmbedder
from connectors.errors import ConnectorError

# Without a network, a home or a temporary folder to write to; a warning is an error.
ALONE = """
import asyncio, json, logging, socket, sys

def refuse(*_, **__):
    raise AssertionError("the network was asked")

socket.socket = socket.create_connection = socket.getaddrinfo = refuse
from connectors.cache.semantic.offline import OfflineEmbedder
embedder = OfflineEmbedder()
assert "wordllama" not in sys.modules, "loaded before it is needed"
logging.getLogger().setLevel(logging.ERROR)
vectors = embedder.embed_now(["How hot is the pump?", ""])
print(json.dumps([vectors.shape, str(vectors.dtype), logging.getLogger().level, len(logging.getLogger().handlers)]))
"""


@pytest.fixture(scope="module")
def embedder() -> OfflineEmbedder:
    return OfflineEmbedder()


def test_it_needs_no_network_and_leaves_logging_as_it_is() -> None:
    command = [sys.executable, "-W", "error", "-c", ALONE]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"HOME": "/nowhere"})  # noqa: S603  # our own
    assert json.loads(done.stdout) == [[2, DIMENSIONS], "float32", logging.ERROR, 0]
    assert done.stderr == ""


async def test_vectors_have_the_length_1_and_likeness_is_seen(embedder: OfflineEmbedder) -> None:
    texts = [
        "What is the temperature of the pump?",
        "How hot is the pump right now?",
        "Which invoices are overdue?",
    ]
    vectors = await embedder.embed(texts)
    assert vectors.dtype == np.float32
    assert vectors.shape == (3, DIMENSIONS) == (3, embedder.dimensions)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2


async def test_a_text_has_the_same_vector_in_any_company(embedder: OfflineEmbedder) -> None:
    texts = ["Is it hot?", "x" * 500, "", "Is it hot?", *(f"Pump {n} is hot, is it not?" for n in range(100))]
    together = await embedder.embed(texts)
    assert together[0] @ together[3] == pytest.approx(1.0, abs=1e-5)
    for at in (0, 1, 50, 103):
        assert (await embedder.embed([texts[at]]))[0] == pytest.approx(together[at], abs=1e-5)


async def test_what_is_no_text_has_no_direction(embedder: OfflineEmbedder) -> None:
    assert not (await embedder.embed([""])).any()
    assert (await embedder.embed([])).shape == (0, DIMENSIONS)
    assert np.isfinite(await embedder.embed(["\ud800", "\x00", "🌊", " ", "a" * 100_000])).all()


async def test_what_is_asked_at_once_loads_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []

    def load() -> Model:
        loads.append(1)
        return real()

    real = offline.load
    monkeypatch.setattr(offline, "load", load)
    one = OfflineEmbedder()
    await asyncio.gather(*(one.embed([f"question {n}"]) for n in range(8)))
    assert len(loads) == 1


async def test_a_model_that_is_not_there_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wordllama", None)
    with pytest.raises(ConnectorError, match="wordllama"):
        await OfflineEmbedder().embed(["Is it hot?"])


def test_the_version_names_the_model() -> None:
    one: Embedder = OfflineEmbedder()
    assert one.version == f"wordllama-{metadata.version('wordllama')}-l2_supercat-256"
