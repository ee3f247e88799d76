from pydantic import BaseModel

from connectors.cache.entry import Entry, Key
from connectors.cache.orders import Order, Orders


class Text(BaseModel):
    text: str


A, B = "a" * 64, "b" * 64
RIGHT = Text(text="right")


def entry(made: float, tenant: str = "acme", digest: str = A) -> Entry[Text]:
    return Entry(tenant=tenant, digest=digest, value=Text(text="x"), made=made, fresh_until=99, expires=99)


def orders(*given: Order[Text]) -> Orders[Text]:
    heard: Orders[Text] = Orders()
    heard.hear(given)
    return heard


def test_an_answer_that_was_purged_does_not_count_and_a_newer_one_does() -> None:
    heard = orders(Order(id=1, at=10, tenant="acme", digest=A))
    assert not heard.allow(entry(10))
    assert heard.allow(entry(10.1))
    assert heard.allow(entry(1, digest=B))
    assert heard.allow(entry(1, tenant="rival"))


def test_a_tenant_is_purged_and_so_is_everything() -> None:
    heard = orders(Order(id=1, at=10, tenant="acme"))
    assert not heard.allow(entry(9, digest=B))
    assert heard.allow(entry(9, tenant="rival"))
    heard = orders(Order(id=1, at=10))
    assert not heard.allow(entry(9, tenant="rival"))
    assert heard.allow(entry(11))


def test_what_was_corrected_stands_until_it_is_purged() -> None:
    correction = Order[Text](id=1, at=10, tenant="acme", digest=A, value=RIGHT)
    assert orders(correction).corrected(Key("acme", A)) == RIGHT
    assert not orders(correction).allow(entry(9))
    assert orders(correction).corrected(Key("rival", A)) is None
    for purge in (
        Order[Text](id=2, at=11, tenant="acme", digest=A),
        Order[Text](id=2, at=11, tenant="acme"),
        Order[Text](id=2, at=11),
    ):
        assert orders(correction, purge).corrected(Key("acme", A)) is None
        # Whatever order they are heard in.
        assert orders(purge, correction).corrected(Key("acme", A)) is None


def test_what_was_purged_can_be_corrected() -> None:
    purge, correction = Order[Text](id=1, at=10), Order[Text](id=2, at=11, tenant="acme", digest=A, value=RIGHT)
    heard = orders(purge, correction)
    assert heard.corrected(Key("acme", A)) == RIGHT
    assert heard.heard == 2
