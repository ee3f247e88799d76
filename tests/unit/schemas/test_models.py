"""Models and Avro files say the same, field by field; what Avro cannot hold, no model takes."""

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import pytest
from pydantic import AwareDatetime, BaseModel, ValidationError

from schemas.fields import Direction, Severity, Source
from schemas.models import AnalysisRequest, DeadLetter, Insight, Reading, Record, Sample
from schemas.registry import CURRENT

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
READING = {"device_id": "pump-7", "ts": NOW, "metrics": {"t": 1.0}}
WINDOW = {
    "device_id": "pump-7",
    "metric": "t",
    "window_start": NOW,
    "window_end": NOW,
    "kind": "deviation",
    "severity": "info",
    "topic": "readings",
    "partition": 0,
    "first_offset": 0,
    "last_offset": 0,
}
ID = "6f1c7d3e-5a53-5c0b-9a0e-7469646567a7"
REQUEST = {**WINDOW, "id": ID, "score": 0.5, "value": 1.0, "baseline": 1.0, "spread": 1.0, "accepted": NOW}
INSIGHT = {
    **WINDOW,
    "id": ID,
    "request_id": ID,
    "summary": "s",
    "confidence": 0.5,
    "source": "rules",
    "latency_s": 0.1,
    "created": NOW,
}
LETTER = {"id": "3", "stage": "ingest", "reason": "avro", "topic": "readings", "created": NOW}
EXAMPLES: dict[type[Record], dict[str, Any]] = {
    Reading: READING,
    AnalysisRequest: REQUEST,
    Insight: INSIGHT,
    DeadLetter: LETTER,
}

Kind = Any  # of a field: JSON, or what Python has in annotations
Form = Any  # a word, or a tuple of words and forms

# Python has one integer, Avro two.
SIMPLE = {
    str: "string",
    Direction: "string",
    Severity: "string",
    Source: "string",
    float: "double",
    bytes: "bytes",
    AwareDatetime: "timestamp-micros",
    int: "integer",
}
NUMBERS = {"int", "long"}


def avro_form(kind: Kind) -> Form:
    """A type of an Avro file, as far as Python's types can tell it."""
    if isinstance(kind, list):
        return ("optional", avro_form(kind[1])) if kind[0] == "null" else kind
    if not isinstance(kind, dict):
        return "integer" if kind in NUMBERS else kind
    if "logicalType" in kind:
        return kind["logicalType"]
    if kind["type"] == "array":
        return ("array", avro_form(kind["items"]))
    if kind["type"] == "map":
        return ("map", avro_form(kind["values"]))
    return ("record", kind["name"], tuple((field["name"], avro_form(field["type"])) for field in kind["fields"]))


def python_form(kind: Kind) -> Form:
    """A type of a model, in the same words."""
    origin: Kind = get_origin(kind)
    arguments = get_args(kind)
    if hasattr(kind, "__metadata__"):
        form = python_form(arguments[0])
    elif origin in (Union, UnionType):
        (inner,) = (argument for argument in arguments if argument is not NoneType)
        form = ("optional", python_form(inner))
    elif origin is tuple:
        form = ("array", python_form(arguments[0]))
    elif origin is dict:
        assert python_form(arguments[0]) == "string"
        form = ("map", python_form(arguments[1]))
    elif issubclass(kind, BaseModel):
        fields = tuple((name, python_form(field.rebuild_annotation())) for name, field in kind.model_fields.items())
        form = ("record", kind.__name__, fields)
    else:
        form = SIMPLE[kind]
    return form


@pytest.mark.parametrize("model", EXAMPLES)
def test_names_order_types_and_optionality_agree(model: type[Record]) -> None:
    assert python_form(model) == avro_form(json.loads(CURRENT[model].text))


@pytest.mark.parametrize("model", EXAMPLES)
def test_defaults_agree(model: type[Record]) -> None:
    written = {
        field["name"]: field["default"] for field in json.loads(CURRENT[model].text)["fields"] if "default" in field
    }
    ours = {
        name: list(default) if isinstance(default, tuple) else default
        for name, field in model.model_fields.items()
        if not field.is_required()
        for default in [field.get_default(call_default_factory=True)]
    }

    assert ours == written


@pytest.mark.parametrize("model", EXAMPLES)
def test_the_avro_file_is_documented_like_the_model(model: type[Record]) -> None:
    schema = json.loads(CURRENT[model].text)

    assert schema["namespace"] == "tidegate"
    assert model.__doc__
    assert schema["doc"].startswith(model.__doc__.partition("\n")[0])


@pytest.mark.parametrize("model", EXAMPLES)
def test_integers_are_held_to_what_avro_can_hold(model: type[Record]) -> None:
    checked = 0
    for field in json.loads(CURRENT[model].text)["fields"]:
        kind = field["type"][1] if isinstance(field["type"], list) else field["type"]
        if not isinstance(kind, str) or kind not in NUMBERS:
            continue
        most = 2**31 - 1 if kind == "int" else 2**63 - 1
        assert getattr(model.model_validate({**EXAMPLES[model], field["name"]: most}), field["name"]) == most
        with pytest.raises(ValidationError):
            model.model_validate({**EXAMPLES[model], field["name"]: most + 1})
        with pytest.raises(ValidationError):
            model.model_validate({**EXAMPLES[model], field["name"]: -most - 2})
        checked += 1
    assert checked


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("model", "name"),
    [
        *[(AnalysisRequest, name) for name in ("score", "value", "baseline", "spread")],
        *[(Insight, name) for name in ("confidence", "cost_usd", "latency_s")],
    ],
)
def test_numbers_are_finite(model: type[Record], name: str, bad: float) -> None:
    with pytest.raises(ValidationError):
        model.model_validate({**EXAMPLES[model], name: bad})


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_values_are_finite(bad: float) -> None:
    with pytest.raises(ValidationError):
        Reading(device_id="d", ts=NOW, metrics={"good": 1.0, "bad": bad})
    with pytest.raises(ValidationError):
        Sample(ts=NOW, value=bad)


def test_a_reading_has_a_metric() -> None:
    with pytest.raises(ValidationError):
        Reading(device_id="d", ts=NOW, metrics={})


BAD_NAMES = ["", "x" * 129, "a/b", "a+", "#", "\x00", "a\n", "\x1f", "\x7f", "\x80", "\x9f", "\ud800", "a\udfff"]
GOOD_NAMES = ["x", "x" * 128, "\N{PILE OF POO}" * 128, " ", "\xa0", "Füllstand", "温度", "a.b-c_d:e", "$SYS", "\u2028"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_are_refused(name: str) -> None:
    for changed in ({"device_id": name}, {"metrics": {"good": 1.0, name: 1.0}}):
        with pytest.raises(ValidationError):
            Reading.model_validate({**READING, **changed})


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_names_that_are_taken(name: str) -> None:
    reading = Reading(device_id=name, ts=NOW, metrics={name: 1.0})

    assert reading.device_id == name
    assert list(reading.metrics) == [name]


@pytest.mark.parametrize("model", EXAMPLES)
def test_no_field_takes_a_text_that_cannot_be_encoded(model: type[Record]) -> None:
    for name, form in python_form(model)[2]:
        wrong: Any = {
            "string": "\ud800",
            ("optional", "string"): "\ud800",
            ("map", "string"): {"a": "\ud800"},
            ("array", "string"): ["\ud800"],
        }.get(form)
        if wrong is not None:
            with pytest.raises(ValidationError):
                model.model_validate({**EXAMPLES[model], name: wrong})
        if form[0] == "map":
            with pytest.raises(ValidationError):
                model.model_validate({**EXAMPLES[model], name: {"\ud800": b"1" if model is DeadLetter else "1"}})


@pytest.mark.parametrize("model", [AnalysisRequest, Insight])
def test_what_becomes_a_row_can_be_one(model: type[Record]) -> None:
    for name, form in python_form(model)[2]:
        if form in {"string", ("optional", "string"), ("array", "string")}:
            bad: Any = ["a\x00"] if form[0] == "array" else "a\x00"
            with pytest.raises(ValidationError):
                model.model_validate({**EXAMPLES[model], name: bad})
    for bad in ("1", "", ID.upper(), f"{{{ID}}}", ID.replace("-", "")):
        with pytest.raises(ValidationError, match="an id is a UUID"):
            model.model_validate({**EXAMPLES[model], "id": bad})


def test_instants_become_utc() -> None:
    reading = Reading.model_validate({**READING, "ts": datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=-5)))})

    assert reading.ts == datetime(2026, 3, 1, 17, tzinfo=UTC)
    assert reading.ts.tzinfo is UTC


def test_naive_instants_are_refused() -> None:
    with pytest.raises(ValidationError):
        Reading.model_validate({**READING, "ts": datetime(2026, 3, 1)})  # noqa: DTZ001  # that is what is refused


@pytest.mark.parametrize(
    "ts",
    [
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-14))),
    ],
)
def test_an_instant_that_has_no_date_in_utc_is_refused_like_any_other_bad_value(ts: datetime) -> None:
    with pytest.raises(ValidationError, match="years 1 to 9999"):
        Reading.model_validate({**READING, "ts": ts})


@pytest.mark.parametrize("model", EXAMPLES)
def test_nothing_unknown_goes_by_and_nothing_is_changed_afterwards(model: type[Record]) -> None:
    with pytest.raises(ValidationError):
        model.model_validate({**EXAMPLES[model], "surprise": 1})
    with pytest.raises(ValidationError):
        model.model_validate(EXAMPLES[model]).__setattr__(next(iter(model.model_fields)), "other")
