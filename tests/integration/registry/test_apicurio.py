"""With a registry of somebody else, records bear its ids: its own clients read them, and we read theirs."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from connectors.embedded import ports
from connectors.errors import ConnectorError, UnreachableError
from connectors.registry.client import Registry
from connectors.registry.settings import RegistrySettings
from schemas import registry
from schemas.codec import decode, encode
from schemas.models import Insight, Reading
from schemas.registry import BY_ID, INSIGHT, PUBLISHED, READING
from schemas.topics import SUBJECTS
from streams import registered
from streams.columns.batch import RawBatch
from streams.columns.decode import decode as decode_columns
from streams.doctor import servers
from streams.settings import Settings
from tests.integration.timescale.test_insights import insight
from tests.unit.streams.columns.test_decode import batch_of

STRANGER = '{"type": "record", "name": "Stranger", "fields": [{"name": "a", "type": "long"}]}'
READ = Reading(device_id="pump-7", ts=datetime(2026, 3, 1, tzinfo=UTC), metrics={"t": 21.5})
WRITTEN = {**READ.model_dump(), "metrics": {"t": 21.5}}


@pytest.fixture(autouse=True)
def _own_ids_again() -> Iterator[None]:
    yield
    registry.adopt({})


def settings(url: str, folder: Path, **more: object) -> Settings:
    return Settings(registry=RegistrySettings(url=url, **more), data_dir=folder)


@pytest.fixture
def adopted(apicurio: str, tmp_path: Path) -> dict[int, int]:
    # Another one's schema was there first, so the ids are other ones than ours.
    with SchemaRegistryClient({"url": apicurio}) as client:
        client.register_schema("strangers-value", Schema(STRANGER, "AVRO"))
    return dict(registered.adopt(settings(apicurio, tmp_path)))


def test_all_schemas_are_registered_once_in_order(adopted: dict[int, int], apicurio: str, tmp_path: Path) -> None:
    assert adopted.keys() == BY_ID.keys()
    assert registered.adopt(settings(apicurio, tmp_path)) == adopted
    with SchemaRegistryClient({"url": apicurio}) as client:
        for subject, versions in SUBJECTS.items():
            assert client.get_versions(subject) == list(range(1, len(versions) + 1))
            assert client.get_latest_version(subject).schema_id == adopted[versions[-1].id]


def test_its_own_clients_read_what_we_write(adopted: dict[int, int], apicurio: str) -> None:
    value = encode(insight())
    assert int.from_bytes(value[1:5]) == adopted[INSIGHT.id] != INSIGHT.id
    with SchemaRegistryClient({"url": apicurio}) as client:
        read = AvroDeserializer(client)(value, SerializationContext("insights", MessageField.VALUE))
    assert isinstance(read, dict)
    assert Insight.model_validate(read) == insight()
    assert decode(value, Insight) == insight()


@pytest.mark.usefixtures("adopted")
def test_we_read_what_its_own_clients_write_on_the_fast_way(apicurio: str) -> None:
    before = encode(READ)
    with SchemaRegistryClient({"url": apicurio}) as client:
        serialize = AvroSerializer(
            client, READING.text, conf={"auto.register.schemas": False, "use.latest.version": True}
        )
        value = serialize(WRITTEN, SerializationContext("readings", MessageField.VALUE))
    assert value == before
    registry.adopt({})
    ours = encode(READ)
    assert decode(ours, Reading) == READ


def test_records_from_before_are_read_beside_those_of_today(apicurio: str, tmp_path: Path) -> None:
    ours = encode(READ)
    registered.adopt(settings(apicurio, tmp_path))
    theirs = encode(READ)
    assert ours != theirs
    batch: RawBatch = batch_of([ours, theirs])
    records, poison = decode_columns(batch)
    assert (len(records.columns), poison) == (2, [])


def test_it_goes_on_with_what_the_registry_said_before_it_went_away(
    apicurio: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told = registered.adopt(settings(apicurio, tmp_path))
    away = f"http://127.0.0.1:{ports.free()}"
    with pytest.raises(UnreachableError, match="TIDEGATE_REGISTRY__URL"):
        registered.adopt(settings(away, tmp_path))

    def fail(*_: object) -> None:
        raise UnreachableError("The schema registry", apicurio, "TIDEGATE_REGISTRY__URL", "it is away")

    monkeypatch.setattr(Registry, "ids", fail)
    registry.adopt({})
    assert registered.adopt(settings(apicurio, tmp_path)) == told
    assert READING.wire_id == told[READING.id]
    assert "Going on with the ids" in caplog.text
    (tmp_path / registered.FILE).write_text("[1]")
    with pytest.raises(UnreachableError):
        registered.adopt(settings(apicurio, tmp_path))


def test_without_leave_nothing_is_registered(apicurio: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registered, "SUBJECTS", {"nowhere-value": (READING,)})
    with pytest.raises(ConnectorError, match=r"reading\.v1\.avsc.*AUTO_REGISTER"):
        registered.adopt(settings(apicurio, tmp_path, auto_register=False))
    with SchemaRegistryClient({"url": apicurio}) as client:
        assert "nowhere-value" not in client.get_subjects()


def test_who_only_looks_registers_nothing(apicurio: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "SUBJECTS", {"looked-at-value": (READING,)})
    for may, fine in ((True, True), (False, False)):
        looked = Settings(registry=RegistrySettings(url=apicurio, auto_register=may))
        (finding,) = servers.registry(looked)
        assert (finding.fine, finding.seen) == (fine, "has not looked-at-value version 1")
    with SchemaRegistryClient({"url": apicurio}) as client:
        assert "looked-at-value" not in client.get_subjects()


def test_what_is_not_compatible_stops_the_start(apicurio: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SchemaRegistryClient({"url": apicurio}) as client:
        client.register_schema("taken-value", Schema(STRANGER, "AVRO"))
        client.set_compatibility("taken-value", "BACKWARD")
    monkeypatch.setattr(registered, "SUBJECTS", {"taken-value": (READING,)})
    with pytest.raises(ConnectorError, match="taken-value, version 1: it is not compatible"):
        registered.adopt(settings(apicurio, tmp_path))


def test_a_version_of_somebody_else_is_said(
    apicurio: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with SchemaRegistryClient({"url": apicurio}) as client:
        theirs = client.register_schema("shared-value", Schema(STRANGER, "AVRO"))
    monkeypatch.setattr(registered, "SUBJECTS", {"shared-value": PUBLISHED[:1]})
    registered.adopt(settings(apicurio, tmp_path))
    assert f"shared-value: what is written with the schema ids {theirs} goes to dead-letters" in caplog.text


def test_what_is_no_registry_is_said(tmp_path: Path, apicurio: str) -> None:
    with pytest.raises(ConnectorError, match="TIDEGATE_REGISTRY__URL"):
        registered.adopt(settings(apicurio.removesuffix("/ccompat/v7"), tmp_path))
