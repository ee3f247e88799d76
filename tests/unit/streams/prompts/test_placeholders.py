from collections.abc import Callable

import pytest

from schemas.models import AnalysisRequest
from streams.prompts.placeholders import NAMES, fill, number, unknown

Make = Callable[..., AnalysisRequest]


def test_every_placeholder_is_filled(make: Make) -> None:
    text = fill("|".join(f"{{{name}}}" for name in NAMES), make())

    assert text == ("pump-7|bearing temperature|91.5 °C|60 °C|2 °C|2026-03-01 12:00:00 UTC|2026-03-01 13:00:00 UTC")


def test_without_a_unit_a_number_stands_alone(make: Make) -> None:
    assert fill("{value}.", make(unit="")) == "91.5."


def test_a_name_that_looks_like_a_placeholder_stays_as_it_is(make: Make) -> None:
    request = make(device_id="{value}{device}", metric="{from}", unit="{to}")

    assert fill("{device} {metric} {value}", request) == "{value}{device} {from} 91.5 {to}"


def test_other_braces_stay_as_they_are(make: Make) -> None:
    assert fill("{} { {{device}} {other} }", make()) == "{} { {pump-7} {other} }"


def test_a_unit_cannot_break_a_line(make: Make) -> None:
    assert fill("{value}", make(unit="°C\n\x01\u202e!")) == "91.5 °C\ufffd\ufffd\ufffd!"


def test_unknown_placeholders_are_named() -> None:
    assert unknown("{device} {operator} {} {value:.3f}") == ["operator", "", "value:.3f"]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (21.5, "21.5"),
        (-3.0, "-3"),
        (1 / 3, "0.333333"),
        (123456.7, "123457"),
        (1234567.8, "1234568"),
        (0.00012, "0.00012"),
        (0.000012, "1.20000e-05"),
        (2e20, "2.00000e+20"),
    ],
)
def test_numbers_are_written_as_people_read_them(value: float, written: str) -> None:
    assert number(value) == written
