"""Any text has slots, and how it is spelt changes none of them."""

from hypothesis import given
from hypothesis import strategies as st

from connectors.cache.semantic.slots import parse

WORDS = st.sampled_from(
    [
        *(
            "is",
            "the",
            "pump",
            "7",
            "hotter",
            "than",
            "fan",
            "M8",
            "not",
            "rising",
            "falling",
            "5",
            "bar",
            "kPa",
            "last",
        ),
        *("hour", "yesterday", "please", "tell", "me", "why", "maximum", "temperature", "of", "in", "for", "by", "to"),
        *("open", "closed", "'", '"', "-", "\N{DEGREE SIGN}", "gronk"),
    ]
)


@given(st.text(max_size=300))
def test_any_text_is_read(text: str) -> None:
    parsed = parse(text)
    assert parsed == parse(text)
    assert isinstance(parsed.key(), str)


@given(st.lists(WORDS, max_size=15))
def test_spaces_and_what_ends_a_sentence_change_nothing(said: list[str]) -> None:
    assert parse("  ".join(said)) == parse(" ".join(said)) == parse(" ".join(said) + "?!")


@given(st.lists(WORDS, max_size=10), WORDS.filter(str.isalpha))
def test_no_word_is_lost_but_those_that_say_nothing(said: list[str], more: str) -> None:
    silent = {"is", "the", "please", "tell", "me", "of", "in", "for", "to", "why"}
    if more not in silent and more not in said:
        assert parse(" ".join([*said, "gronk", more, "gronk"])) != parse(" ".join([*said, "gronk gronk"]))
