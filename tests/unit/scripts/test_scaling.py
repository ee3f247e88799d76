"""The page on how it scales is what follows from the numbers that were measured."""

from scripts.scaling import PAGE, STEPS, amount, page


def test_the_page_is_what_the_script_makes() -> None:
    assert PAGE.read_text("utf-8") == page(), "run scripts/scale"


def test_it_goes_from_the_drill_to_ten_million_devices() -> None:
    devices = [fleet.devices for fleet in STEPS.values()]
    assert devices == sorted(devices)
    assert devices[-1] == 10_000_000


def test_numbers_have_the_digits_that_they_deserve() -> None:
    assert [amount(number) for number in (0.001234, 1.26, 12.6, 123456.7)] == ["0.0012", "1.3", "13", "123,457"]
