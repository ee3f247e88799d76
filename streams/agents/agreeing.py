"""Whether two answers say the same."""

from streams.prompts.answer import Answer


def agree(one: Answer, other: Answer) -> bool:
    """Say whether one answer may stand for the other."""
    return one.severity is other.severity
