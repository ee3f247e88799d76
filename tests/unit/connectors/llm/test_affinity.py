from collections import Counter

from connectors.llm.affinity import ranking

KEYS = [f"tenant/{number}" for number in range(4_000)]


def test_a_key_stays_where_it_is_whatever_order_the_endpoints_are_in() -> None:
    weights = {"a": 1.0, "b": 1.0, "c": 2.0}
    backwards = dict(reversed(weights.items()))
    assert all(ranking(key, weights) == ranking(key, backwards) for key in KEYS[:100])


def test_keys_are_shared_out_by_weight() -> None:
    firsts = Counter(ranking(key, {"a": 1.0, "b": 1.0, "c": 2.0})[0] for key in KEYS)
    assert 0.22 < firsts["a"] / len(KEYS) < 0.28
    assert 0.47 < firsts["c"] / len(KEYS) < 0.53


def test_who_leaves_takes_only_its_own_keys_along() -> None:
    three, two = {"a": 1.0, "b": 1.0, "c": 1.0}, {"a": 1.0, "b": 1.0}
    for key in KEYS[:500]:
        order = ranking(key, three)
        assert ranking(key, two) == [name for name in order if name != "c"]


def test_any_text_is_a_key() -> None:
    assert len(ranking("\ud800\x00", {"a": 1.0, "b": 1e-9})) == 2
