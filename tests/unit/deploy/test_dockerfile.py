"""The image: what it copies is here and reaches the build, and it runs as nobody special."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "deploy/Dockerfile").read_text("utf-8").replace("\\\n", " ")
INSTRUCTIONS = [line.split(maxsplit=1) for line in TEXT.splitlines() if line and not line.startswith("#")]
CONTEXT = [rest.split()[:-1] for name, rest in INSTRUCTIONS if name == "COPY" and not rest.startswith("--from")]
SOURCES = [source for sources in CONTEXT for source in sources]


def values(name: str) -> list[str]:
    return [rest for instruction, rest in INSTRUCTIONS if instruction == name]


@pytest.mark.parametrize("source", SOURCES)
def test_a_copied_file_is_here_and_not_ignored(source: str) -> None:
    assert (ROOT / source).exists()
    assert f"!{source}" in (ROOT / ".dockerignore").read_text("utf-8").splitlines()


def test_everything_that_the_package_is_built_from_is_copied() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    described = [project["project"]["readme"], *project["project"]["license-files"], "pyproject.toml"]
    assert {*packages, *described} <= set(SOURCES)


def test_what_builds_the_package_is_installed_from_the_lock() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    chosen = re.search(r"/\^\(([\w|-]+)\)==/", TEXT)
    assert chosen
    locked = (ROOT / "requirements-dev.lock").read_text("utf-8")
    # The lock's comments say who needs what: pip refuses a lock that leaves out a dependency.
    entries = re.split(r"(?m)^(?=[\w-]+==)", locked)
    needed = [entry.partition("==")[0] for entry in entries if re.search(r"(?m)^ +#.* hatchling$", entry)]
    assert needed
    assert set(needed) <= set(chosen[1].split("|"))
    for name in chosen[1].split("|"):
        assert re.search(rf"^{name}==", locked, re.MULTILINE), name
    for requirement in project["build-system"]["requires"]:
        assert requirement.partition("==")[0] in chosen[1].split("|")
        assert f"\n{requirement} " in locked


def test_everything_is_pinned_and_checked() -> None:
    stages = [image.split()[0] for image in values("FROM")]
    assert set(stages) == {"python:3.11.15-slim-bookworm"}
    for line in values("RUN"):
        for command in line.split("&&"):
            if "pip install" in command:
                assert "--require-hashes" in command or "--no-index" in command


def test_the_image_runs_the_command_line_as_an_ordinary_user() -> None:
    assert values("ENTRYPOINT") == ['["tidegate"]']
    assert values("HEALTHCHECK") == []
    assert values("CMD") == []
    (user,) = values("USER")
    assert user == "10001:10001"
    compose = yaml.safe_load((ROOT / "docker-compose.kafka.yml").read_text("utf-8"))
    assert f"{values('WORKDIR')[-1]}:uid=10001,gid=10001,mode=0700" in compose["services"]["bridge"]["tmpfs"]


def test_the_programs_that_services_call_are_in_the_image() -> None:
    compose = (ROOT / "docker-compose.kafka.yml").read_text("utf-8")
    called = set(re.findall(r"/opt/tidegate/(deploy/\w+\.py)", compose))
    assert called == {source for source in SOURCES if source.startswith("deploy/")}
