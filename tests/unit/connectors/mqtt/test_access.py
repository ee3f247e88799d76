"""The broker's access list names who may publish what, and no name in it can say more than it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mqtt.access import AccessError, access_list

OWNED = [("acme", "my pump"), ("acme", "pump-1"), ("other", "pump-2")]


def test_each_tenant_publishes_its_own() -> None:
    assert list(access_list(OWNED, "tidegate"))[1:] == [
        "user tidegate",
        "topic read devices/+/readings",
        "user acme",
        "topic write devices/my pump/readings",
        "topic write devices/pump-1/readings",
        "user other",
        "topic write devices/pump-2/readings",
        "pattern write devices/%u/readings",
    ]


@pytest.mark.parametrize(
    ("owned", "bridge"),
    [
        ([("acme\ntopic readwrite #", "pump-1")], "tidegate"),
        ([("acme", "pump-1\ntopic readwrite #")], "tidegate"),
        ([("acme", "#")], "tidegate"),
        ([("acme", "a/b")], "tidegate"),
        ([(" acme", "pump-1")], "tidegate"),
        ([("acme", "pump-1")], "tide\u2028gate"),
        ([("acme", "pump-1")], ""),
        ([("tidegate", "pump-1")], "tidegate"),  # it could read everything
        ([("acme", "pump-1"), ("pump-1", "pump-2")], "tidegate"),  # it could write another one's
    ],
)
def test_no_name_says_more_than_it_is(owned: list[tuple[str, str]], bridge: str) -> None:
    with pytest.raises(AccessError):
        list(access_list(owned, bridge))


@given(st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=4), st.text(max_size=5))
def test_whatever_the_names_are_each_line_is_one_of_ours(owned: list[tuple[str, str]], bridge: str) -> None:
    try:
        text = "\n".join(access_list(sorted(owned), bridge))
    except AccessError:
        return
    reads = [line for line in text.splitlines() if not line.startswith(("user ", "topic write devices/", "#"))]
    assert reads == ["topic read devices/+/readings", "pattern write devices/%u/readings"]


def test_a_tenant_may_be_called_as_its_own_device() -> None:
    assert "user pump-1" in list(access_list([("pump-1", "pump-1")], "tidegate"))
