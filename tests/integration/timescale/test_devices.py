from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from connectors.timescale.devices import DeviceKnown, DeviceSeen, Limits
from connectors.timescale.store import Store

pytestmark = pytest.mark.database

Fetch = Callable[..., list[tuple[object, ...]]]

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_a_device_nobody_saw_is_known_by_nothing(store: Store) -> None:
    assert store.devices(["pump-7"]) == {}
    store.see_devices([])


def test_what_is_known_of_a_device_widens_in_any_order(store: Store, fetch: Fetch) -> None:
    store.see_devices([DeviceSeen("pump-7", NOON, NOON, {"t": "Cel"}, {"site": "north"})])
    store.see_devices([DeviceSeen("pump-7", NOON - HOUR, NOON - HOUR, {"p": "Pa"}, {"class": "pump"})])
    store.see_devices([DeviceSeen("pump-7", NOON, NOON + HOUR, {}, {"class": "fan"}), DeviceSeen("b", NOON, NOON)])
    assert store.devices(["pump-7"])["pump-7"] == DeviceKnown("", "pump", {"t": "Cel", "p": "Pa"})
    assert fetch("select first_seen, last_seen, tags from devices where device_id = 'pump-7'") == [
        (NOON - HOUR, NOON + HOUR, {"site": "north", "class": "fan"})
    ]
    assert store.devices(["b"])["b"] == DeviceKnown("", "", {})


def test_an_earlier_reading_does_not_take_back_what_a_later_one_said(store: Store, fetch: Fetch) -> None:
    """As when old records are replayed."""
    store.see_devices([DeviceSeen("pump-7", NOON, NOON, {"t": "Cel"}, {"site": "north"})])
    store.see_devices(
        [DeviceSeen("pump-7", NOON - HOUR, NOON - HOUR, {"t": "K", "p": "Pa"}, {"site": "south", "n": "7"})]
    )
    assert fetch("select units, tags from devices") == [({"t": "Cel", "p": "Pa"}, {"site": "north", "n": "7"})]
    store.see_devices([DeviceSeen("pump-7", NOON, NOON + HOUR, {"t": "K"}, {"site": "south"})])
    assert fetch("select units, tags from devices") == [({"t": "K", "p": "Pa"}, {"site": "south", "n": "7"})]


def test_what_an_operator_set_stays(store: Store, fetch: Fetch) -> None:
    store.see_devices([DeviceSeen("pump-7", NOON, NOON, {}, {"class": "pump"})])
    fetch("update devices set tenant = 'acme', class = 'big pump' returning 1")
    store.see_devices([DeviceSeen("pump-7", NOON, NOON, {}, {"class": "pump"})])
    assert store.devices(["pump-7"])["pump-7"] == DeviceKnown("acme", "big pump", {})


def test_texts_that_the_database_cannot_hold_are_marked(store: Store) -> None:
    strange = {"a\x00b": "c\x00", "ünït": "°C \u2028 '\"\\"}
    store.see_devices([DeviceSeen("pump-7", NOON, NOON, strange, {"class": "p\x00"})])
    units = {"a\ufffdb": "c\ufffd", "ünït": "°C \u2028 '\"\\"}
    assert store.devices(["pump-7"]) == {"pump-7": DeviceKnown("", "p\ufffd", units)}


@pytest.mark.parametrize(
    ("limits", "found"),
    [
        ('{"t": {"min": 0, "max": 90.5, "unit": "Cel"}}', {"t": Limits(0.0, 90.5)}),
        ('{"t": {"max": 9}, "p": {"min": -1e3}}', {"t": Limits(high=9.0), "p": Limits(low=-1000.0)}),
        ('{"t": {"min": "0", "max": true}, "p": 7, "q": {}}', {}),
        ("[]", {}),
        ("{}", {}),
    ],
)
def test_a_class_limits_its_devices(store: Store, fetch: Fetch, limits: str, found: dict[str, Limits]) -> None:
    pump = DeviceSeen("pump-7", NOON, NOON, {}, {"class": "pump"})
    store.see_devices([pump, DeviceSeen("fan", NOON, NOON, {}, {"class": "fan"}), DeviceSeen("other", NOON, NOON)])
    assert store.limits(["pump-7", "fan"]) == {}
    fetch("insert into device_classes values ('pump', %s) returning 1", limits)
    assert store.limits(["pump-7", "fan", "other", "nobody"]) == ({"pump-7": found} if found else {})
    assert store.limits(["fan"]) == store.limits([]) == {}


def test_many_workers_see_the_same_devices_at_once(
    open_store: Callable[..., Store], fetch: Fetch, in_thread: ThreadPoolExecutor
) -> None:
    names = [f"device-{number}" for number in range(300)]

    def see(number: int) -> None:
        store = open_store(patience_s=0.001)  # no second attempt: they must not deadlock
        order = names if number % 2 else names[::-1]
        for _ in range(5):
            store.see_devices([DeviceSeen(name, NOON, NOON) for name in order])

    list(in_thread.map(see, range(4)))
    assert fetch("select count(*) from devices") == [(300,)]
