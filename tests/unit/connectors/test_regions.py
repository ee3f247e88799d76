"""The list of regions: what it may say, and what is said of it when it is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.regions import Regions, RegionsError, read


def listed(**changes: object) -> dict[str, Any]:
    regions = [
        {"name": name, "kafka": {"bootstrap_servers": f"kafka.{name}:9092"}, "addresses": [address], "nets": [net]}
        for name, address, net in (("us", "192.0.2.1", "10.1.0.0/16"), ("eu", "192.0.2.2", "10.2.0.0/16"))
    ]
    return {"regions": regions, **changes}


def written(folder: Path, said: object) -> Path:
    file = folder / "regions.json"
    file.write_text(said if isinstance(said, str) else json.dumps(said), encoding="utf-8")
    return file


def test_who_the_others_are(tmp_path: Path) -> None:
    regions = read(written(tmp_path, listed()))
    assert regions.names == ("us", "eu")
    assert regions.others_of("us") == ("eu",)
    assert [region.kafka.bootstrap_servers for region in regions.others("eu")] == ["kafka.us:9092"]


def test_passwords_are_taken_from_the_environment_of_whoever_mirrors() -> None:
    said = listed()
    said["regions"][0]["name"] = "us-east-1"
    assert Regions.model_validate(said).regions[0].password_variable == "TIDEGATE_MIRROR_PASSWORD_US_EAST_1"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("{", "is no JSON"),
        (listed(regions=[]), "regions: Tuple should have at least 2 items"),
        (listed(regions=[listed()["regions"][0]] * 2), "two regions have the same name"),
        (listed(dns={"zone": "no zone"}), "dns.zone"),
        (listed(dns={"zone": "a.test", "timeout_s": 3}), "timeout_s has to be less than interval_s"),
        (listed(more=1), "more: Extra inputs"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(tmp_path: Path, said: object, words: str) -> None:
    with pytest.raises(RegionsError, match=words):
        read(written(tmp_path, said))


def test_names_that_differ_in_a_dash_only_would_share_a_variable(tmp_path: Path) -> None:
    said = listed()
    said["regions"][0]["name"], said["regions"][1]["name"] = "a-b", "a-b"
    with pytest.raises(RegionsError, match="same name"):
        read(written(tmp_path, said))


def test_two_regions_cannot_have_the_same_net(tmp_path: Path) -> None:
    said = listed()
    said["regions"][1]["nets"] = said["regions"][0]["nets"]
    with pytest.raises(RegionsError, match="same net"):
        read(written(tmp_path, said))


@pytest.mark.parametrize(
    "kafka",
    [
        {"security_protocol": "SASL_SSL"},
        {"sasl_mechanism": "PLAIN", "sasl_username": "mirror"},
        {"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN"},
    ],
)
def test_credentials_and_protocol_go_together(tmp_path: Path, kafka: dict[str, str]) -> None:
    said = listed()
    said["regions"][0]["kafka"] |= kafka
    with pytest.raises(RegionsError, match=r"regions\.0\.kafka: .*sasl_mechanism and sasl_username go with"):
        read(written(tmp_path, said))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RegionsError, match="cannot be read: No such file"):
        read(tmp_path / "none.json")
