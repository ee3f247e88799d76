"""The stack description: it keeps the specification, and agrees with the settings, the images and the files."""

import json
import re
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # has no types
import pytest
import yaml
from pydantic import BaseModel

from connectors.embedded import images
from streams import settings

ROOT = Path(__file__).parents[3]
COMPOSE = ROOT / "docker-compose.kafka.yml"
# The verbs that DESIGN's command line has for services and one-shot jobs.
VERBS = {("worker", "--lane", "ingest"), ("worker", "--lane", "analyze"), ("gateway",), ("bridge",)}
JOBS = {("db", "migrate"), ("topics", "apply")}
OURS = {"worker-ingest", "worker-analyze", "gateway", "bridge", "migrate", "topics", "schemas"}
ONE_SHOT = {"migrate", "topics", "schemas"}
STATEFUL = {
    "kafka": "/var/lib/kafka/data",
    "timescaledb": "/home/postgres/pgdata",
    "valkey": "/data",
    "mosquitto": "/mosquitto/data",
    "prometheus": "/prometheus",
    "grafana": "/var/lib/grafana",
}
SERVERS = {"kafka": images.KAFKA, "timescaledb": images.TIMESCALE, "valkey": images.VALKEY}
# ${NAME}, ${NAME:-default} and ${NAME:?what to do}; "$$" is a dollar sign.
INTERPOLATION = re.compile(r"(?<!\$)\$\{(\w+)(?:(:-|:\?)([^}]*))?\}")
SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|AUTH")


@cache
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text("utf-8"))
    return loaded


def services() -> dict[str, Any]:
    found: dict[str, Any] = compose()["services"]
    return found


def interpolated(text: str) -> str:
    def value(found: re.Match[str]) -> str:
        return (found[3] if found[2] == ":-" else "") or "given"

    return INTERPOLATION.sub(value, text).replace("$$", "$")


def variables(model: type[BaseModel], prefix: str) -> set[str]:
    """Name every variable that the settings read: a section's fields are joined to its name by two underscores."""
    names = set()
    for name, field in model.model_fields.items():
        variable = f"{prefix}{name.upper()}"
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            names |= variables(section, f"{variable}__")
        else:
            names.add(variable)
    return names


def test_it_keeps_the_compose_specification() -> None:
    vendored = distribution("check-jsonschema").locate_file("check_jsonschema/builtin_schemas/vendor/compose-spec.json")
    schema = json.loads(Path(str(vendored)).read_text("utf-8"))
    validator = jsonschema.validators.validator_for(schema)(schema)
    assert [f"{list(error.absolute_path)}: {error.message}" for error in validator.iter_errors(compose())] == []
    assert "version" not in compose()


@pytest.mark.parametrize("path", ["docker-compose.kafka.yml", "deploy/Dockerfile", "deploy/env.example"])
def test_every_variable_of_ours_is_a_setting(path: str) -> None:
    text = (ROOT / path).read_text("utf-8")
    mentioned = set(re.findall(r"\bTIDEGATE_[A-Z0-9_]+", text))
    assert mentioned <= variables(settings.Settings, settings.PREFIX)
    if path.endswith(".yml"):
        assert len(mentioned) > 10


@pytest.mark.parametrize("name", sorted(OURS))
def test_the_settings_of_our_services_load(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in services()[name]["environment"].items():
        if value is not None:
            monkeypatch.setenv(variable, interpolated(value))
    loaded = settings.load()
    assert loaded.kafka.bootstrap_servers == "kafka:19092"
    assert loaded.database.url.get_secret_value() == "postgresql://tidegate:given@timescaledb:5432/tidegate"
    assert loaded.redis.url.get_secret_value() == "redis://:given@valkey:6379/0"
    assert (loaded.mqtt.host, loaded.mqtt.port) == ("mosquitto", 1883)
    assert (loaded.http.host, loaded.http.port) == ("0.0.0.0", 8080)


@pytest.mark.parametrize("name", sorted(SERVERS))
def test_a_server_is_the_one_that_testcontainers_starts(name: str) -> None:
    service, image = services()[name], SERVERS[name]
    assert service["image"] == image.name
    assert service["healthcheck"]["test"] == ["CMD-SHELL", image.healthcheck]
    assert f"{name}-data:{image.volume}" in service["volumes"]
    assert service["ports"][0].endswith(f":{image.port}")
    environment = service.get("environment", {})
    own = {"CLUSTER_ID", "KAFKA_ADVERTISED_LISTENERS"}  # differ from one installation to the next
    shared = {key: value for key, value in environment.items() if key not in own and not SECRET.search(key)}
    assert shared == dict(image.environment)
    # The password's file comes right after the program.
    command = [word for word in service.get("command", []) if not word.startswith("/")]
    assert tuple(command) == image.command


def test_kafka_is_advertised_where_services_and_host_reach_it() -> None:
    environment = services()["kafka"]["environment"]
    advertised = dict(
        entry.split("://") for entry in interpolated(environment["KAFKA_ADVERTISED_LISTENERS"]).split(",")
    )
    assert advertised == {"INTERNAL": "kafka:19092", "EXTERNAL": "127.0.0.1:9092"}
    listening = dict(entry.split("://") for entry in environment["KAFKA_LISTENERS"].split(","))
    assert listening["INTERNAL"] == ":19092"
    assert listening["EXTERNAL"] == ":9092"


def test_embedded_kafka_on_java_has_the_version_of_the_image() -> None:
    java = pytest.importorskip("connectors.embedded.java", reason="the embedded broker on Java is not here")
    assert images.KAFKA.name == f"apache/kafka:{java.KAFKA_VERSION}"


@pytest.mark.parametrize("name", sorted(services()))
def test_a_service_is_pinned_watched_and_restarted(name: str) -> None:
    service = services()[name]
    tag = service["image"].rpartition(":")[2]
    assert re.search(r"\d+\.\d+", tag), "a tag names at least major and minor version"
    assert "latest" not in tag
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    if name in ONE_SHOT:
        assert service["restart"] == "no"
    else:
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
        assert {"interval", "timeout", "retries", "start_period"} <= service["healthcheck"].keys()


@pytest.mark.parametrize("name", sorted(STATEFUL))
def test_data_is_in_a_named_volume(name: str) -> None:
    assert f"{name}-data:{STATEFUL[name]}" in services()[name]["volumes"]
    assert f"{name}-data" in compose()["volumes"]


def test_every_named_volume_is_used() -> None:
    used = {v.partition(":")[0] for service in services().values() for v in service.get("volumes", [])}
    assert {name for name in used if not name.startswith(".")} == compose()["volumes"].keys()


def test_every_bind_mounted_file_is_here_and_read_only() -> None:
    mounts = [v for service in services().values() for v in service.get("volumes", []) if v.startswith(".")]
    assert mounts
    for mount in mounts:
        source, _, mode = mount.split(":")
        assert (ROOT / source).exists(), source
        assert mode == "ro", mount


def test_ports_are_published_on_loopback_only() -> None:
    published = [port for service in services().values() for port in service.get("ports", [])]
    assert len(published) == 8
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_our_services_run_verbs_of_the_command_line() -> None:
    commands = {tuple(services()[name]["command"]) for name in OURS - {"schemas"}}
    assert commands == VERBS | JOBS


@pytest.mark.parametrize("name", sorted(OURS))
def test_our_services_are_confined(name: str) -> None:
    service = services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"] is True


def test_services_wait_for_what_they_need() -> None:
    for name, service in services().items():
        for needed, how in service.get("depends_on", {}).items():
            expected = "service_completed_successfully" if needed in ONE_SHOT else "service_healthy"
            assert how == {"condition": expected}, (name, needed)
    for name in ("worker-ingest", "worker-analyze", "gateway"):
        assert {"migrate", "topics", "timescaledb", "kafka", "valkey"} <= services()[name]["depends_on"].keys()
    assert {"topics", "kafka", "mosquitto"} <= services()["bridge"]["depends_on"].keys()


def test_passwords_are_required_and_never_written_down() -> None:
    text = COMPOSE.read_text("utf-8")
    required = {found[1] for found in INTERPOLATION.finditer(text) if found[2] == ":?"}
    for found in INTERPOLATION.finditer(text):
        if SECRET.search(found[1]):
            assert found[2] == ":?", found[0]
    for name, service in services().items():
        for variable, value in service.get("environment", {}).items():
            if SECRET.search(variable):
                assert INTERPOLATION.fullmatch(value), (name, variable)
        assert not SECRET.search(json.dumps([service.get("command"), service.get("healthcheck")])), name
    listed = set(re.findall(r"^(\w+)=$", (ROOT / "deploy/env.example").read_text("utf-8"), re.MULTILINE))
    assert listed == required
