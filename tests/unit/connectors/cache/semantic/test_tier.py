"""Which questions are taken for the same, and what becomes of it when something is missing."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import BaseModel

from connectors.cache.entry import Codec, Entry, Key
from connectors.cache.guard import Guarded
from connectors.cache.orders import Order, Orders
from connectors.cache.semantic.judging import Judging
from connectors.cache.semantic.offline import OfflineEmbedder
from connectors.cache.semantic.store import Store
from connectors.cache.semantic.tier import Asked, Near, Semantic
from connectors.errors import UnreachableError
from connectors.questions import Question
from tests.fakes.hand_clock import HandClock
from tests.fakes.question_table import QuestionTable


class Text(BaseModel):
    text: str


ANSWER = Text(text="because")


class Broken:
    version, dimensions = "broken", 1

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        del texts
        raise UnreachableError("The vectors", "there", "SETTING")


class Worker:
    """One process's tier, at a table that others may have too."""

    def __init__(self, table: QuestionTable, clock: HandClock) -> None:
        self.clock = clock
        self.orders: Orders[Text] = Orders()
        store: Guarded[Store] = Guarded("semantic", table, clock)
        self.judging = Judging(store, worker="w")
        self.tier = Semantic(Codec(Text), store, OfflineEmbedder(), self.orders, self.judging)
        self._keys = 0

    async def read(self, text: str, *, tenant: str = "acme", around: Sequence[str] = ("facts",)) -> Asked:
        self._keys += 1
        asked = await self.tier.read(Key(tenant, f"{self._keys:064x}"), text, around)
        assert asked is not None
        return asked

    async def answer(self, text: str) -> Asked:
        asked = await self.read(text)
        now = self.clock.now().timestamp()
        times = {"made": now, "fresh_until": now + 100, "expires": now + 100}
        entry = Entry[Text](tenant=asked.key.tenant, digest=asked.key.digest, value=ANSWER, **times)
        await self.tier.keep(asked, entry)
        return asked

    async def find(self, text: str, *, tenant: str = "acme", around: Sequence[str] = ("facts",)) -> Near[Text] | None:
        return await self.tier.find(await self.read(text, tenant=tenant, around=around))


@pytest.fixture
def table() -> QuestionTable:
    return QuestionTable()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def worker(table: QuestionTable, clock: HandClock) -> Worker:
    return Worker(table, clock)


async def test_a_question_in_other_words_has_the_same_answer(
    worker: Worker, table: QuestionTable, clock: HandClock
) -> None:
    await worker.answer("What was the maximum temperature of pump 7 in the last hour?")
    near = await worker.find("Please tell me the highest temperature of pump 7 in the past 60 minutes")
    assert near is not None
    assert (near.entry.value, near.serves) == (ANSWER, True)
    # Another process finds it in the table, and then in its memory.
    other = Worker(table, clock)
    for _ in range(2):
        assert await other.find("Could you tell me the peak temperature of pump 7 in the last hour?") is not None
    assert table.looks == 1  # who answered has it in memory, and who has found it too


async def test_what_was_seen_to_mean_the_same_comes_before_what_only_looks_like_it(worker: Worker) -> None:
    await worker.answer("Is pump 7 hotter than pump 8?")
    await worker.answer("Is pump 8 hotter than pump 7?")
    asked = await worker.read("Does pump 8 run cooler than pump 7?")
    near = await worker.tier.find(asked)
    assert near is not None
    assert not near.serves
    right = (await worker.read("Is pump 7 hotter than pump 8?")).form
    for _ in range(5):
        worker.judging.note(asked.form, right, correct=True, audited=False)
    near = await worker.tier.find(asked)
    assert near is not None
    assert (near.form, near.serves) == (right, True)
    # What was learnt of the forms holds for other pumps, whichever way round.
    await worker.answer("Is pump 9 hotter than fan M3?")
    near = await worker.find("Does fan M3 run cooler than pump 9?")
    assert near is not None


@pytest.mark.parametrize(
    "question",
    [
        "What is the maximum temperature of pump 8 in the last hour?",
        "What is the minimum temperature of pump 7 in the last hour?",
        "What is the maximum pressure of pump 7 in the last hour?",
        "What is the maximum temperature of pump 7 in the last day?",
    ],
)
async def test_what_differs_in_what_matters_is_another_question(worker: Worker, question: str) -> None:
    await worker.answer("What was the maximum temperature of pump 7 in the last hour?")
    assert await worker.find(question) is None


async def test_other_tenants_and_other_facts_have_other_answers(worker: Worker) -> None:
    await worker.answer("Is it too hot?")
    assert await worker.find("Is it too hot?") is not None
    assert await worker.find("Is it too hot?", tenant="rival") is None
    assert await worker.find("Is it too hot?", around=("other facts",)) is None


async def test_what_has_expired_is_not_found(worker: Worker, clock: HandClock) -> None:
    await worker.answer("Is it too hot?")
    clock.move(101)
    assert await worker.find("Is it too hot?") is None


async def test_orders_count_here_too(worker: Worker, clock: HandClock) -> None:
    asked = await worker.answer("Is it too hot?")
    at, key = clock.now().timestamp(), asked.key
    right = Text(text="right")
    worker.orders.hear([Order[Text](id=1, at=at, tenant=key.tenant, digest=key.digest, value=right)])
    near = await worker.find("Please, is it too hot?")
    assert near is not None
    assert near.entry.value == right
    worker.orders.hear([Order[Text](id=2, at=at, tenant=key.tenant)])
    assert await worker.find("Please, is it too hot?") is None


async def test_what_was_purged_of_a_question_is_not_served_from_another(worker: Worker, clock: HandClock) -> None:
    await worker.answer("Is it too hot?")
    asked = await worker.read("Please, is it too hot?")
    assert await worker.tier.find(asked) is not None
    at = clock.now().timestamp()
    worker.orders.hear([Order[Text](id=1, at=at, tenant=asked.key.tenant, digest=asked.key.digest)])
    assert await worker.tier.find(asked) is None
    assert await worker.find("Please, is it too hot?") is not None, "others were not told that it is wrong"


async def test_a_corrupt_answer_is_none(worker: Worker, table: QuestionTable, clock: HandClock) -> None:
    asked = await worker.answer("Is it too hot?")
    kept = table.rows[asked.gate, asked.key.digest]
    values = {name: getattr(kept, name) for name in kept.__slots__}
    for changed in ({"data": b"rubbish"}, {"tenant": "rival"}):
        table.rows[asked.gate, asked.key.digest] = Question(**{**values, **changed})
        assert await Worker(table, clock).find("Is it too hot?") is None
    # A vector that is none makes it dissimilar, not an error.
    values |= {"vector": (float("nan"),) * 256, "form": "another"}
    table.rows[asked.gate, asked.key.digest] = Question(**values)
    near = await Worker(table, clock).find("Is it too hot?")
    assert near is not None
    assert (near.similarity, near.serves) == (0.0, False)


async def test_without_the_database_nothing_is_found_and_nobody_hears_of_it(
    worker: Worker, table: QuestionTable
) -> None:
    table.away = True
    asked = await worker.answer("Is it too hot?")
    assert await worker.tier.find(asked) is not None  # in memory
    assert await worker.find("Is pump 7 too cold?") is None


async def test_without_vectors_nothing_is_read(table: QuestionTable, clock: HandClock) -> None:
    store: Guarded[Store] = Guarded("semantic", table, clock)
    judging = Judging(store, worker="w")
    tier = Semantic(Codec(Text), store, Broken(), Orders[Text](), judging)
    assert await tier.read(Key("acme", "a" * 64), "Is it too hot?", ()) is None
