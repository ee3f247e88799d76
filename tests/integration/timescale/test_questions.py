"""Questions and verdicts outlast processes; where there is pgvector, the most similar ones are found by an index."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from connectors.questions import Question, Verdict
from connectors.timescale.connection import connect
from connectors.timescale.questions import NoVectorsError, Questions, index
from connectors.timescale.settings import DatabaseSettings

pytestmark = pytest.mark.database

NOW = datetime.now(UTC).timestamp()
QUESTION = Question(
    tenant="acme",
    gate="a" * 64,
    digest="b" * 64,
    text="Is it too hot?",
    form="too",
    embedder="e",
    vector=(0.6, 0.8) + (0.0,) * 254,
    data=b"\x00bytes\xff",
    made=NOW,
    expires=NOW + 3600,
)
VERDICT = Verdict("one", NOW, "too", "very", correct=True, served=False)


@pytest.fixture
async def table(database: DatabaseSettings) -> AsyncIterator[Questions]:
    made = Questions(database)
    yield made
    await made.close()


async def test_a_question_is_found_by_its_gate_as_it_was_kept(table: Questions) -> None:
    await table.add(QUESTION)
    (found,) = await table.alike(QUESTION.gate, most=8)
    assert found.vector == pytest.approx(QUESTION.vector, abs=1e-6)
    assert replace(found, vector=QUESTION.vector, made=NOW, expires=NOW + 3600) == QUESTION
    assert (found.made, found.expires) == pytest.approx((NOW, NOW + 3600))
    assert await table.alike("c" * 64, most=8) == []
    assert await table.count() == 1


async def test_the_newest_come_first_and_not_all(table: Questions) -> None:
    for number in range(4):
        await table.add(replace(QUESTION, digest=f"{number:064x}", made=NOW + number))
    assert [found.digest[-1] for found in await table.alike(QUESTION.gate, most=3)] == ["3", "2", "1"]


async def test_a_newer_answer_replaces_an_older_one_and_not_the_other_way(table: Questions) -> None:
    await table.add(QUESTION)
    await table.add(replace(QUESTION, data=b"newer", made=NOW + 1))
    await table.add(replace(QUESTION, data=b"older", made=NOW - 1))
    assert [found.data for found in await table.alike(QUESTION.gate, most=8)] == [b"newer"]


async def test_what_has_expired_is_not_found_and_is_deleted(table: Questions, database: DatabaseSettings) -> None:
    await table.add(replace(QUESTION, expires=NOW - 1))
    assert await table.alike(QUESTION.gate, most=8) == []
    await table.say([replace(VERDICT, at=NOW - 91 * 86400), VERDICT])
    await table.forget()
    with connect(database, autocommit=True) as connection:
        assert connection.execute("select count(*) from semantic_cache").fetchall() == [(0,)]
        assert connection.execute("select count(*) from semantic_verdicts").fetchall() == [(1,)]


async def test_verdicts_are_given_from_an_id_on(table: Questions) -> None:
    await table.say([VERDICT, replace(VERDICT, worker="two", correct=False, served=True)])
    first, second = await table.said(0)
    assert replace(first, id=0, at=NOW) == VERDICT
    assert (second.worker, second.correct, second.served) == ("two", False, True)
    assert await table.said(second.id) == [second]
    assert await table.said(second.id + 1) == []


async def test_the_most_similar_are_found_where_there_is_pgvector(table: Questions, database: DatabaseSettings) -> None:
    with connect(database, autocommit=True) as connection:
        if not index(connection):
            with pytest.raises(NoVectorsError):
                await table.near(QUESTION, most=5)
            return
        assert index(connection), "twice is once"
    near = (0.8, 0.6) + (0.0,) * 254
    await table.add(QUESTION)
    await table.add(replace(QUESTION, gate="c" * 64, text="Is it cold?", vector=near))
    await table.add(replace(QUESTION, gate="d" * 64, tenant="rival", vector=near))
    await table.add(replace(QUESTION, gate="e" * 64, embedder="another"))
    await table.add(replace(QUESTION, gate="f" * 64, text="Is it hot?"))
    found = await table.near(QUESTION, most=5)
    assert [(one["text"], one["gate"][0]) for one in found] == [("Is it hot?", "f"), ("Is it cold?", "c")]
    assert [one["similarity"] for one in found] == pytest.approx([1.0, 0.96], abs=1e-3)
    assert [one["text"] for one in await table.near(QUESTION, most=1)] == ["Is it hot?"]


async def test_who_may_not_make_an_index_goes_without(
    database: DatabaseSettings, caplog: pytest.LogCaptureFixture
) -> None:
    role = f"reader_{uuid.uuid4().hex[:8]}"
    with connect(database, autocommit=True) as connection:
        if not index(connection):
            pytest.skip("the database has no pgvector")
        connection.execute(f"create role {role}")
        try:
            connection.execute(f"set role {role}")
            assert not index(connection, 8)
        finally:
            connection.execute("reset role")
            connection.execute(f"drop role {role}")
    assert "no index" in caplog.text


async def test_a_question_is_found_by_the_key_of_its_answer(table: Questions) -> None:
    await table.add(QUESTION)
    found = await table.of(QUESTION.tenant, QUESTION.digest)
    assert found is not None
    assert (found.text, found.gate) == (QUESTION.text, QUESTION.gate)
    assert await table.of("rival", QUESTION.digest) is None
