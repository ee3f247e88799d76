"""The tables `semantic_cache` and `semantic_verdicts`: questions that were answered, and what was seen of the answers.

A question is looked up by its gate, an index like any other: those behind one gate are few. Where the database has
pgvector, an HNSW index (Malkov and Yashunin, 2018) finds the most similar ones whatever their gate, for people to see.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import psycopg
from psycopg import Connection

from connectors.errors import ConnectorError
from connectors.questions import Question, Verdict
from connectors.timescale.ledger import Row
from connectors.timescale.pool import Pool
from connectors.timescale.queries import query
from connectors.timescale.settings import DatabaseSettings

CONNECTIONS = 2
# Vectors of so many dimensions have an index: those of the model in the wheel. Of others each is looked at.
INDEXED = 256

log = logging.getLogger(__name__)


class NoVectorsError(ConnectorError):
    """The database cannot compare vectors."""


class Questions:
    """Reads and writes; for one event loop. Its methods raise what `Pool.run` does."""

    def __init__(self, settings: DatabaseSettings) -> None:
        """Nothing is connected yet; it will be when it is first used."""
        self._pool = Pool(settings, "questions", size=CONNECTIONS, read_only=False)

    async def alike(self, gate: str, *, most: int) -> list[Question]:
        """Give the newest questions of a gate that have not expired."""
        rows = await self._run("alike_questions", {"gate": gate, "most": most})
        return [_question(row) for row in rows]

    async def add(self, question: Question) -> None:
        """Keep a question, or the newer answer to it."""
        await self._run("add_question", {**asdict(question), "vector": list(question.vector)})

    async def say(self, verdicts: Sequence[Verdict]) -> None:
        """Write verdicts down."""
        columns = [field.name for field in fields(Verdict) if field.name != "id"]
        await self._run("add_verdicts", {name: [getattr(one, name) for one in verdicts] for name in columns})

    async def said(self, since: int) -> list[Verdict]:
        """Give the verdicts of the last quarter from the one with this id on; so many at a time."""
        return [Verdict(**row) for row in await self._run("verdicts", {"since": since})]

    async def forget(self) -> None:
        """Delete what has expired."""
        await self._run("forget_questions", {})
        await self._run("forget_verdicts", {})

    async def count(self) -> int:
        """Count the questions that have not expired."""
        (row,) = await self._run("count_questions", {})
        return int(row["questions"])

    async def of(self, tenant: str, digest: str) -> Question | None:
        """Give the question whose own answer is kept under a digest, if it was one and has not expired."""
        rows = await self._run("question_of", {"tenant": tenant, "digest": digest})
        return _question(rows[0]) if rows else None

    async def near(self, question: Question, *, most: int) -> list[dict[str, Any]]:
        """Give the questions of its tenant that are the most similar to one, the most similar first, without itself.

        Raises:
            NoVectorsError: the database has no pgvector.

        """
        names = ("tenant", "gate", "digest", "embedder")
        values = {name: getattr(question, name) for name in names} | {"vector": list(question.vector), "most": most}
        try:
            return await self._run("near_questions", values, dimensions=str(len(question.vector)))
        except psycopg.errors.UndefinedObject as error:
            raise NoVectorsError("the database has no pgvector") from error

    async def close(self) -> None:
        """End the connections."""
        await self._pool.close()

    async def _run(self, name: str, values: Mapping[str, object], **words: str) -> list[dict[str, Any]]:
        return await self._pool.run(query(name, **words), values)


def _question(row: Mapping[str, Any]) -> Question:
    return Question(**{**row, "vector": tuple(row["vector"])})


def index(connection: "Connection[Row]", dimensions: int = INDEXED) -> bool:
    """Let the database find similar vectors of so many dimensions fast, if it has pgvector; say whether it does."""
    (row,) = connection.execute("select count(*) from pg_available_extensions where name = 'vector'").fetchall()
    if not row[0]:
        return False
    try:
        connection.execute("create extension if not exists vector")
        connection.execute(query("near_questions_index", dimensions=str(int(dimensions))))
    except psycopg.errors.InsufficientPrivilege as error:
        log.warning("similar questions have no index, as this user of the database may not make it: %s", error)
        return False
    return True
