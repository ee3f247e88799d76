"""What is wrong in a record, put right by small expressions: fields set to what CEL says, and entries taken out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

from streams.replay.expression import Expression, ExpressionError

# Not a field: the key of the record.
KEY: Final = "key"


class Place(NamedTuple):
    """A field, or an entry of a field that is a map; names of entries may have dots in them."""

    field: str
    entry: str | None

    @classmethod
    def of(cls, text: str) -> Self:
        """Read `field` or `field.entry`.

        Raises:
            ExpressionError: it is neither.

        """
        field, dot, entry = text.strip().partition(".")
        if not field or (dot and not entry):
            raise ExpressionError(f"{text!r}: a field like ts, or an entry like metrics.temperature")
        return cls(field, entry if dot else None)


@dataclass(frozen=True, slots=True)
class Mending:
    """What is to be set and taken out, in this order; what is set may ask of the record as it was."""

    sets: Sequence[tuple[Place, Expression]] = ()
    unsets: Sequence[Place] = ()

    @classmethod
    def of(cls, sets: Sequence[str], unsets: Sequence[str]) -> Self:
        """Read `FIELD=EXPRESSION`, as often as wanted, and `FIELD`.

        Raises:
            ExpressionError: one of them cannot be read.

        """
        read = []
        for text in sets:
            place, equals, expression = text.partition("=")
            if not equals:
                raise ExpressionError(f"{text!r}: a field, = and an expression, like ts=accepted")
            read.append((Place.of(place), Expression(expression.strip())))
        return cls(read, [Place.of(text) for text in unsets])

    def __bool__(self) -> bool:
        """Whether anything is to be changed."""
        return bool(self.sets or self.unsets)

    def apply(
        self, content: Mapping[str, Any], facts: Mapping[str, Any], key: bytes | None
    ) -> tuple[Any, bytes | None]:
        """Give the record as it should be, and its key; `facts` is what the expressions may ask.

        Raises:
            UnsureError: an expression comes to nothing.
            ExpressionError: there is no such map, or the key is no text.

        """
        mended = {name: dict(field) if isinstance(field, dict) else field for name, field in content.items()}
        for place, expression in self.sets:
            value = expression.value(facts)
            if place == (KEY, None):
                if not isinstance(value, str):
                    raise ExpressionError(f"a key is a text, not {value!r}")
                key = value.encode()
            elif place.entry is None:
                mended[place.field] = value
            else:
                _map(mended, place)[place.entry] = value
        for place in self.unsets:
            if place.entry is None:
                mended.pop(place.field, None)
            else:
                _map(mended, place).pop(place.entry, None)
        return mended, key


def _map(content: dict[str, Any], place: Place) -> dict[str, Any]:
    found = content.setdefault(place.field, {})
    if not isinstance(found, dict):
        raise ExpressionError(f"{place.field} has no entries")
    return found
