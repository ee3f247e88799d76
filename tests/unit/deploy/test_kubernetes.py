"""The manifests are what Kubernetes takes (its own schemas, strictly), and speak of what there is here."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer
import yaml

from connectors.embedded.images import KAFKA
from streams.cli.main import build
from streams.measured import Part
from streams.settings import LaneName, Settings

FOLDER = Path(__file__).parents[3] / "deploy" / "kubernetes"
MANIFESTS: list[dict[str, Any]] = list(yaml.safe_load_all((FOLDER / "region.yml").read_text("utf-8")))
# Oldest and newest of those that are in use.
VERSIONS = ("1.30", "1.36")
FIRST_METRICS_PORT = 9464


def named(one: dict[str, Any]) -> str:
    return f"{one['kind']}/{one['metadata']['name']}"


BY_NAME = {named(one): one for one in MANIFESTS}


def of(kind: str) -> list[dict[str, Any]]:
    return [one for one in MANIFESTS if one["kind"] == kind]


def pods() -> list[tuple[str, dict[str, Any]]]:
    return [(named(one), one["spec"]["template"]["spec"]) for one in (*of("Deployment"), *of("Job"))]


def containers() -> list[tuple[str, dict[str, Any]]]:
    return [(where, one) for where, pod in pods() for one in (*pod.get("initContainers", []), *pod["containers"])]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", MANIFESTS, ids=named)
def test_kubernetes_takes_it(manifest: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


def test_a_field_that_there_is_not_is_refused() -> None:
    wrong = {**BY_NAME["Service/tidegate-gateway"], "spec": {"portz": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def test_there_is_all_that_a_region_is_made_of() -> None:
    assert {named(one) for one in (*of("Deployment"), *of("Job"))} == {
        *(f"Deployment/tidegate-worker-{lane}" for lane in LaneName),
        *("Deployment/tidegate-gateway", "Deployment/tidegate-bridge", "Deployment/tidegate-mirror-maker"),
        "Job/tidegate-prepare",
    }


def test_every_command_is_one_of_ours() -> None:
    for where, one in containers():
        if one["image"].startswith("tidegate:") and "args" in one:
            verb, *rest = one["args"]
            group = typer.main.get_command(build(verb))
            command = group.commands[verb]  # type: ignore[attr-defined]  # the verbs of the group
            if hasattr(command, "commands"):
                command, rest = command.commands[rest[0]], rest[1:]
            options = {name for option in command.params for name in option.opts}
            assert {word for word in rest if word.startswith("--")} <= options, where


def test_the_settings_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    data = dict(BY_NAME["ConfigMap/tidegate"]["data"])
    assert data.pop("TIDEGATE_REGIONS_FILE").startswith("/etc/tidegate/")  # where the other map is mounted
    for name, value in data.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.metrics.port == FIRST_METRICS_PORT


def test_each_answers_prometheus_where_its_probes_ask() -> None:
    for lane in LaneName:
        (worker,) = BY_NAME[f"Deployment/tidegate-worker-{lane}"]["spec"]["template"]["spec"]["containers"]
        (port,) = worker["ports"]
        assert port == {"name": "metrics", "containerPort": FIRST_METRICS_PORT + list(Part).index(Part(lane))}
        assert worker["args"] == ["worker", "--lane", lane, "--ready-file", "/tmp/ready"]  # noqa: S108  # in the container
    for part in (Part.BRIDGE, Part.GATEWAY):
        (one,) = BY_NAME[f"Deployment/tidegate-{part}"]["spec"]["template"]["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in one["ports"]}
        assert ports["metrics"] == FIRST_METRICS_PORT + list(Part).index(part)
    for deployment in of("Deployment"):
        annotations = deployment["spec"]["template"]["metadata"].get("annotations", {})
        told = {
            port["containerPort"]
            for one in deployment["spec"]["template"]["spec"]["containers"]
            for port in one.get("ports", [])
        }
        assert not annotations or int(annotations["prometheus.io/port"]) in told


def test_selectors_find_their_pods() -> None:
    labels = {named(one): one["spec"]["template"]["metadata"]["labels"] for one in of("Deployment")}
    for name, one in BY_NAME.items():
        if one["kind"] == "Deployment":
            assert one["spec"]["selector"]["matchLabels"] == labels[name]
        if one["kind"] == "PodDisruptionBudget":
            assert one["spec"]["selector"]["matchLabels"] == labels[f"Deployment/{one['metadata']['name']}"]
        if one["kind"] == "Service":
            assert one["spec"]["selector"] == labels[f"Deployment/{one['metadata']['name']}"]
    several = {one["metadata"]["name"] for one in of("Deployment") if one["spec"]["replicas"] > 1}
    assert {one["metadata"]["name"] for one in of("PodDisruptionBudget")} == several


def test_nobody_is_root_or_may_become_it() -> None:
    for where, pod in pods():
        assert pod["securityContext"]["runAsNonRoot"], where
        assert pod["automountServiceAccountToken"] is False, where
    for where, one in containers():
        assert one["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, where


def test_a_database_that_is_away_takes_no_gateway_out() -> None:
    (gateway,) = BY_NAME["Deployment/tidegate-gateway"]["spec"]["template"]["spec"]["containers"]
    assert gateway["readinessProbe"]["httpGet"]["path"] == "/readyz/ingest"
    assert gateway["livenessProbe"]["httpGet"]["path"] == "/healthz"


def test_images_are_those_of_the_other_deployment() -> None:
    images = {one["image"] for _, one in containers()}
    compose = (FOLDER.parents[1] / "docker-compose.kafka.yml").read_text("utf-8")
    assert images == {KAFKA.name, *re.findall(r"image: (tidegate:\S+)", compose)}


def test_no_secret_is_written_down() -> None:
    assert not of("Secret")
    assert not any(word in name for name in BY_NAME["ConfigMap/tidegate"]["data"] for word in ("SECRET", "PASSWORD"))
