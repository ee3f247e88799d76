"""What gdnsd is told. That it takes it, and what it answers, is in `tests/integration/dns`."""

from typing import Any

import pytest

from connectors.dns.configuration import files
from connectors.regions import Regions, RegionsError


def regions(**dns: object) -> dict[str, Any]:
    return {
        "regions": [
            {"name": "us", "kafka": {"bootstrap_servers": "us:9092"}, "addresses": ["192.0.2.1"]},
            {"name": "eu", "kafka": {"bootstrap_servers": "eu:9092"}, "addresses": ["192.0.2.2", "2001:db8::2"]},
        ],
        "dns": {"zone": "tidegate.example", **dns},
    }


def made(said: dict[str, Any]) -> dict[str, str]:
    return files(Regions.model_validate(said), listen="192.0.2.53")


def test_the_zone_has_a_name_server_in_each_region_and_two_names_that_move() -> None:
    zone = made(regions(ttl_s=20))["zones/tidegate.example"].splitlines()
    assert "@ 3600 NS ns-us" in zone
    assert "@ 3600 NS ns-eu" in zone
    assert "ns-eu 3600 AAAA 2001:db8::2" in zone
    assert "in 20/10 DYNA geoip!in" in zone
    assert "api 20/10 DYNA geoip!api" in zone


def test_devices_need_kafka_and_the_mqtt_broker_people_need_all_of_it() -> None:
    config = made(regions(http_port=8080, mqtt_port=1884))["config"]
    assert '"url_path" => "/readyz/ingest"' in config
    assert '"url_path" => "/readyz"\n' in config
    assert '"service_types" => [ "readings", "mqtt" ]' in config
    assert '"service_types" => [ "answers" ]' in config
    assert '"port" => 8080' in config
    assert '"port" => 1884' in config


def test_in_production_a_geographic_database_says_who_is_near() -> None:
    said = regions(geoip2_db="/usr/share/GeoIP/GeoIP2-City.mmdb")
    with pytest.raises(RegionsError, match="region us needs `latitude` and `longitude`"):
        made(said)
    for region, place in zip(said["regions"], ((39.0, -77.5), (53.3, -6.3)), strict=True):
        region["latitude"], region["longitude"] = place
    config = made(said)["config"]
    assert '"us" => [ 39.0, -77.5 ]' in config
    assert '"geoip2_db" => "/usr/share/GeoIP/GeoIP2-City.mmdb"' in config


def test_without_addresses_or_zone_there_is_nothing_to_answer() -> None:
    said = regions()
    said["regions"][0]["addresses"] = []
    with pytest.raises(RegionsError, match="the region us has no `addresses`"):
        made(said)
    del said["dns"]
    with pytest.raises(RegionsError, match="has no part `dns`"):
        made(said)
