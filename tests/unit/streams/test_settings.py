"""What the environment may say, and what is said about it when it is wrong: names, never values."""

import json
import os
import traceback
from decimal import Decimal
from pathlib import Path

import pytest

from streams.settings import Settings, SettingsError, load

SECRET = "hunter2-hunter2"


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("TIDEGATE_", "OPENAI_")):
            monkeypatch.delenv(name)


def test_with_nothing_set_everything_is_embedded_and_offline() -> None:
    settings = load()

    assert settings.region == ""
    assert settings.kafka.bootstrap_servers == ""
    assert settings.database.url.get_secret_value() == ""
    assert settings.redis.url.get_secret_value() == ""
    assert settings.mqtt.url == ""
    assert settings.llm.endpoints == ()
    assert settings.database.retention_days is None


def test_the_names_of_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "TIDEGATE_KAFKA__BOOTSTRAP_SERVERS": "kafka:9092",
        "TIDEGATE_DATABASE__URL": "postgresql://db/tidegate",
        "TIDEGATE_REDIS__URL": "redis://cache:6379/0",
        "TIDEGATE_MQTT__URL": "mqtts://broker:8883",
        "TIDEGATE_LLM__BUDGET_USD_PER_DAY": "2.5",
        "TIDEGATE_REGION": "eu-1",
        "TIDEGATE_LLM__ENDPOINTS": '[{"name": "a", "base_url": "http://a", "api_key": "k", "model": "m", "rpm": 1,'
        ' "tpm": 2, "max_concurrent": 3, "region": "eu-1"}]',
    }.items():
        monkeypatch.setenv(name, value)

    settings = load()

    assert settings.kafka.bootstrap_servers == "kafka:9092"
    assert settings.database.url.get_secret_value() == "postgresql://db/tidegate"
    assert settings.redis.url.get_secret_value() == "redis://cache:6379/0"
    assert settings.mqtt.url == "mqtts://broker:8883"
    assert settings.region == "eu-1"
    assert settings.llm.budget_usd_per_day == 2.5
    (endpoint,) = settings.llm.endpoints
    assert (endpoint.name, endpoint.api_key.get_secret_value(), endpoint.max_concurrent) == ("a", "k", 3)


WRONG = {
    "TIDEGATE_KAFKA__FOO": ("TIDEGATE_KAFKA__FOO", SECRET),
    "TIDEGATE_DATABASE__URL__PASSWORD": ("TIDEGATE_DATABASE__URL", SECRET),
    "TIDEGATE_INGEST__BATCH_RECORDS": ("TIDEGATE_INGEST__BATCH_RECORDS", SECRET),
    "TIDEGATE_INGEST__SNAPSHOT_SHARE": ("TIDEGATE_INGEST__SNAPSHOT_SHARE", "1.7"),
    "TIDEGATE_LOG_LEVEL": ("TIDEGATE_LOG_LEVEL", SECRET),
    "TIDEGATE_DATABASE__CONFLICT_POLICY": ("TIDEGATE_DATABASE__CONFLICT_POLICY", SECRET),
    "TIDEGATE_MQTT__URL": ("TIDEGATE_MQTT__URL", f"mqtt://user:{SECRET}@host"),
    "TIDEGATE_KAFKA__SECURITY_PROTOCOL": ("TIDEGATE_KAFKA__SECURITY_PROTOCOL", SECRET),
    "TIDEGATE_LLM__ENDPOINTS": ("TIDEGATE_LLM__ENDPOINTS", SECRET),
    "TIDEGATE_LLM__endpoints": ("TIDEGATE_LLM__ENDPOINTS", f'{{"name": "{SECRET}"}}'),
    "TIDEGATE_LLM": ("TIDEGATE_LLM", SECRET),
    "TIDEGATE_KAFKA": ("TIDEGATE_KAFKA", f'{{"sasl_passwort": "{SECRET}"}}'),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_and_its_value_is_not_shown(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    expected, value = WRONG[name]
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError) as caught:
        load()

    assert str(caught.value).startswith(expected)
    for text in (str(caught.value), "".join(traceback.format_exception(caught.value))):
        assert value not in text
        assert SECRET not in text


def test_a_key_inside_a_list_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_LLM__ENDPOINTS", f'[{{"name": "a"}}, {{"name": "b", "apikey": "{SECRET}"}}]')

    with pytest.raises(SettingsError, match=r"^TIDEGATE_LLM__ENDPOINTS__1__APIKEY: There is no such setting$"):
        load()


def test_everything_that_is_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_REGION", "EU")
    monkeypatch.setenv("TIDEGATE_HTTP__PORT", "70000")

    with pytest.raises(SettingsError) as caught:
        load()

    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "TIDEGATE_REGION",
        "TIDEGATE_HTTP__PORT",
    ]


@pytest.mark.parametrize("region", ["", "eu", "eu-west-1", "0", "x" * 32])
def test_regions(monkeypatch: pytest.MonkeyPatch, region: str) -> None:
    monkeypatch.setenv("TIDEGATE_REGION", region)

    assert load().region == region


@pytest.mark.parametrize("region", ["EU", "eu.west", "eu_west", "ü", "x" * 33, "eu\n", " eu", "eu/west"])
def test_what_is_no_region(monkeypatch: pytest.MonkeyPatch, region: str) -> None:
    monkeypatch.setenv("TIDEGATE_REGION", region)

    with pytest.raises(SettingsError, match="TIDEGATE_REGION: "):
        load()


def test_the_key_alone_is_enough_for_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)

    (endpoint,) = load().llm.endpoints

    assert (endpoint.name, endpoint.base_url, endpoint.api_key.get_secret_value()) == ("openai", "", SECRET)


def test_the_address_alone_is_enough_for_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")

    (endpoint,) = load().llm.endpoints

    assert (endpoint.base_url, endpoint.api_key.get_secret_value()) == ("http://127.0.0.1:1/v1", "")


def test_endpoints_that_are_listed_come_before_openais_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("TIDEGATE_LLM__ENDPOINTS", '[{"name": "mine"}]')

    assert [endpoint.name for endpoint in load().llm.endpoints] == ["mine"]


def test_openais_variables_keep_the_rest_of_the_section(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("TIDEGATE_LLM__BUDGET_USD_PER_DAY", "1")

    llm = load().llm

    assert (llm.budget_usd_per_day, len(llm.endpoints)) == (Decimal(1), 1)


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "OPENAI_API_KEY": SECRET,
        "TIDEGATE_DATABASE__URL": f"postgresql://user:{SECRET}@db/tidegate",
        "TIDEGATE_REDIS__URL": f"redis://:{SECRET}@cache",
        "TIDEGATE_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
        "TIDEGATE_KAFKA__SASL_MECHANISM": "SCRAM-SHA-512",
        "TIDEGATE_KAFKA__SASL_USERNAME": "worker",
        "TIDEGATE_KAFKA__SASL_PASSWORD": SECRET,
        "TIDEGATE_MQTT__PASSWORD": SECRET,
    }.items():
        monkeypatch.setenv(name, value)

    settings = load()

    for text in (repr(settings), str(settings), settings.model_dump_json(), repr(settings.llm.endpoints)):
        assert SECRET not in text
    assert settings.kafka.sasl_password.get_secret_value() == SECRET
    assert settings.kafka.client()["sasl.password"] == SECRET


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().__setattr__("region", "eu")


@pytest.mark.parametrize(
    ("section", "given", "says"),
    [
        ("KAFKA", {"SECURITY_PROTOCOL": "SASL_SSL"}, "needs sasl_mechanism, sasl_username and sasl_password"),
        ("KAFKA", {"SASL_PASSWORD": SECRET}, "credentials are for a security_protocol SASL_SSL"),
        ("KAFKA", {"SSL_CA_LOCATION": "/nowhere"}, "certificates are for a security_protocol SSL"),
        ("KAFKA", {"SECURITY_PROTOCOL": "SSL", "SSL_CA_LOCATION": "/nowhere"}, "there is no file /nowhere"),
        ("REDIS", {"URL": f"redis://:{SECRET}@cache", "CA_FILE": "/nowhere"}, "a URL that begins with rediss://"),
        ("REDIS", {"URL": f"rediss://:{SECRET}@cache", "KEY_FILE": "/nowhere"}, "there is no file /nowhere"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    monkeypatch: pytest.MonkeyPatch, section: str, given: dict[str, str], says: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"TIDEGATE_{section}__{name}", value)
    with pytest.raises(SettingsError, match=says) as refused:
        load()
    assert str(refused.value).startswith(f"TIDEGATE_{section}: ")
    assert SECRET not in str(refused.value)


def test_files_belong_to_the_address_of_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_REDIS__URL", "rediss://cache:6380/0?max_connections=7")
    assert load().redis.location == "rediss://cache:6380/0?max_connections=7"
    monkeypatch.setenv("TIDEGATE_REDIS__CA_FILE", __file__)
    location = load().redis.location
    assert location.startswith("rediss://cache:6380/0?max_connections=7&ssl_ca_certs=")


def test_a_region_is_one_of_the_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "regions.json"
    kafka = {"bootstrap_servers": "kafka:9092"}
    file.write_text(json.dumps({"regions": [{"name": name, "kafka": kafka} for name in ("us", "eu")]}))
    assert load().peers == ()
    monkeypatch.setenv("TIDEGATE_REGIONS_FILE", str(file))
    with pytest.raises(SettingsError, match=r"TIDEGATE_REGION has to be one of those in .*: us, eu"):
        load()
    monkeypatch.setenv("TIDEGATE_REGION", "eu")
    assert load().peers == ("us",)
    monkeypatch.setenv("TIDEGATE_REGIONS_FILE", str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="cannot be read"):
        load()


def test_a_secret_of_the_regions_is_not_a_short_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_REGIONS_SECRET", SECRET[:10])
    with pytest.raises(SettingsError, match="TIDEGATE_REGIONS_SECRET") as refused:
        load()
    assert SECRET[:10] not in str(refused.value)
    monkeypatch.setenv("TIDEGATE_REGIONS_SECRET", SECRET * 2)
    assert load().shared == SECRET * 2
    assert SECRET not in repr(load())
