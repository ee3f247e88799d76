"""Orders about kept answers are heard by all, also by who begins later, and as long as they matter."""

from collections.abc import AsyncIterator
from datetime import timedelta

import psycopg
import pytest

from connectors.cache.entry import Key
from connectors.cache.orders import Orders
from connectors.timescale.connection import connect
from connectors.timescale.orders import CacheOrders
from connectors.timescale.settings import DatabaseSettings
from schemas.fields import Severity
from streams.agents.hearing import Hearing
from streams.prompts.answer import Answer
from streams.prompts.kept import Kept

pytestmark = pytest.mark.database

A = "a" * 64
WEEK = timedelta(days=7)
ANSWER = Answer(
    summary="{metric} rose", probable_causes=(), recommended_actions=(), severity=Severity.INFO, confidence=1.0
)
RIGHT = Kept(answer=ANSWER, model="corrected", prompt_tokens=0, completion_tokens=0, cost_usd=0)


@pytest.fixture
async def table(database: DatabaseSettings) -> AsyncIterator[CacheOrders]:
    made = CacheOrders(database)
    yield made
    await made.close()


async def test_what_was_said_is_heard_once_it_is_said(table: CacheOrders) -> None:
    orders: Orders[Kept] = Orders()
    hearing = Hearing(table, orders, kept=WEEK)
    await hearing.listen()
    await table.add(tenant="acme", digest=A, value=RIGHT.model_dump_json(), said_by="ann")
    await hearing.listen()
    assert orders.corrected(Key("acme", A)) == RIGHT
    await table.add(tenant="acme", digest=None, value=None, said_by="ann")
    await hearing.listen()
    await hearing.listen()
    assert orders.corrected(Key("acme", A)) is None


async def test_what_was_said_while_nobody_listened_is_heard_as_long_as_it_matters(
    table: CacheOrders, database: DatabaseSettings
) -> None:
    for tenant, days in (("old", 8), ("new", 6)):
        order = await table.add(tenant=tenant, digest=None, value=None, said_by="ann")
        with connect(database, autocommit=True) as connection:
            connection.execute(
                "update cache_orders set at = now() - make_interval(days => %s) where id = %s", [days, order]
            )
    assert [one.tenant for one in await table.since(None, kept=WEEK)] == ["new"]


async def test_what_becomes_visible_late_is_heard(table: CacheOrders, database: DatabaseSettings) -> None:
    """Its id was given, and its time taken, before the one that was seen."""
    hearing, orders = None, Orders[Kept]()
    with connect(database) as slow:
        slow.execute(
            "insert into cache_orders (tenant, digest, value, said_by) values ('acme', %s, %s, 'ann')",
            [A, RIGHT.model_dump_json()],
        )
        await table.add(tenant="rival", digest=None, value=None, said_by="bob")
        hearing = Hearing(table, orders, kept=WEEK)
        await hearing.listen()
        assert orders.corrected(Key("acme", A)) is None
        slow.commit()
    await hearing.listen()
    assert orders.corrected(Key("acme", A)) == RIGHT


async def test_a_correction_of_another_version_purges(table: CacheOrders) -> None:
    orders: Orders[Kept] = Orders()
    await table.add(tenant="acme", digest=A, value='{"answer": "of old"}', said_by="ann")
    await Hearing(table, orders, kept=WEEK).listen()
    assert orders.corrected(Key("acme", A)) is None
    assert orders.heard > 0


async def test_an_order_about_one_answer_names_its_tenant(table: CacheOrders) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        await table.add(tenant=None, digest=A, value=None, said_by="ann")
