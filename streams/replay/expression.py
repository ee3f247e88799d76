"""Expressions of people about records, in the Common Expression Language (https://cel.dev): no loops, no side effects.

A record of one of our schemas is its fields (`device_id`, `metrics`, `ts`, …); of each record there are also `key`,
`topic`, `partition`, `offset` and `accepted`.
"""

from collections.abc import Mapping
from typing import Any, Final

import cel
from confluent_kafka import Message

from schemas.codec import decode_dict
from schemas.errors import PoisonError, TidegateError
from schemas.instants import from_micros
from schemas.registry import SchemaVersion

LONGEST: Final = 2_000


class ExpressionError(TidegateError):
    """It is no expression, or not one that says yes or no."""


class UnsureError(TidegateError):
    """It cannot be asked of these facts, as of a metric that is not among them."""


class Expression:
    """A question about a record, to be asked of many."""

    def __init__(self, text: str, schema: SchemaVersion | None = None) -> None:
        """Read it. `schema` is that of the records, None where they have none of ours.

        Raises:
            ExpressionError: it cannot be read; the message says where.

        """
        if len(text) > LONGEST:
            raise ExpressionError(f"an expression has {LONGEST} characters at the most")
        try:
            self._program = cel.compile(text)
        except (ValueError, TypeError) as error:
            raise ExpressionError(f"{text!r} is no expression of CEL: {_first_line(error)}") from None
        self._text = text
        self._schema = schema

    def holds(self, message: Message) -> bool | None:
        """Say whether it holds of a record; None where that cannot be said, as of a metric that it does not have.

        Raises:
            ExpressionError: it says neither yes nor no.

        """
        try:
            return self.says(self._facts(message))
        except (UnsureError, PoisonError):
            return None

    def says(self, facts: Mapping[str, Any]) -> bool:
        """Say whether it holds of facts.

        Raises:
            UnsureError: that cannot be said.
            ExpressionError: it says neither yes nor no.

        """
        said = self.value(facts)
        if not isinstance(said, bool):
            raise ExpressionError(f"{self._text!r} says {said!r} of a record: it has to be true or false")
        return said

    def value(self, facts: Mapping[str, Any]) -> object:
        """Give what it comes to.

        Raises:
            UnsureError: nothing, of these facts.

        """
        try:
            return self._program.execute(dict(facts))
        except (LookupError, TypeError, ValueError, RuntimeError, ArithmeticError) as error:
            raise UnsureError(f"{self._text!r}: {_first_line(error)}") from None

    def _facts(self, message: Message) -> dict[str, Any]:
        place = {
            "topic": message.topic(),
            "partition": message.partition(),
            "offset": message.offset(),
            "accepted": from_micros(message.timestamp()[1] * 1000),
            "key": (message.key() or b"").decode(errors="replace"),
        }
        if self._schema is None:
            return place
        return decode_dict(message.value() or b"", self._schema) | place


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return next((line.removeprefix("ERROR: ") for line in lines if "ERROR" in line), lines[0] if lines else "")[:300]
