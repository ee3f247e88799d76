"""Ids are what stands in front of every record ever written: they are fixed here a second time."""

import json
from importlib.resources import files

import pytest

from schemas.models import AnalysisRequest, DeadLetter, Insight, Reading
from schemas.registry import BY_ID, CURRENT, PUBLISHED

IDS = {
    ("reading", 1): 7101,
    ("analysis_request", 1): 7201,
    ("analysis_request", 2): 7202,
    ("analysis_request", 3): 7203,
    ("insight", 1): 7301,
    ("dead_letter", 1): 7401,
}


def test_ids_are_what_they_always_were() -> None:
    assert {(version.name, version.version): version.id for version in PUBLISHED} == IDS


def test_no_id_stands_for_two_schemas() -> None:
    assert len(BY_ID) == len(PUBLISHED) == len(set(IDS.values()))
    assert all(BY_ID[version.id] is version for version in PUBLISHED)


def test_every_file_is_published_and_every_published_version_has_its_file() -> None:
    found = {file.name for file in files("schemas").joinpath("avro").iterdir()}

    assert found == {f"{name}.v{version}.avsc" for name, version in IDS}


def test_versions_of_a_name_follow_each_other() -> None:
    for name in {version.name for version in PUBLISHED}:
        versions = [version.version for version in PUBLISHED if version.name == name]
        assert versions == list(range(1, len(versions) + 1))


@pytest.mark.parametrize("model", [Reading, AnalysisRequest, Insight, DeadLetter])
def test_the_newest_version_is_written(model: type) -> None:
    version = CURRENT[model]

    assert version.version == max(each.version for each in PUBLISHED if each.name == version.name)
    assert json.loads(version.text)["name"] == model.__name__


def test_schemas_do_not_share_names_through_fastavro() -> None:
    for version in PUBLISHED:
        assert version.parsed["name"] == f"tidegate.{json.loads(version.text)['name']}"
    # The second parse of a name that is already known would fail in fastavro's own table.
    assert [version.parsed["name"] for version in reversed(PUBLISHED)] == [
        version.parsed["name"] for version in PUBLISHED
    ][::-1]


def test_maps_are_known() -> None:
    assert {version.name: set(version.maps) for version in PUBLISHED} == {
        "reading": {"metrics", "units", "tags"},
        "analysis_request": set(),
        "insight": set(),
        "dead_letter": {"headers"},
    }
