"""Loops run whether or not Numba can keep them, and none of them depends on another file."""

import ast
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[4]
LOOP = """
from streams.columns.compiled import compiled

@compiled("int64(int64)")
def doubled(number):
    return 2 * number
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module with a loop, in a folder where nothing can be kept beside it."""
    monkeypatch.setattr("numba.config.CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "for-the-user"))
    path = tmp_path / "loop.py"
    path.write_text(LOOP)
    (tmp_path / "__pycache__").touch()
    return path


def load(source: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(source.stem, source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def hits(loop: Any) -> int:  # noqa: ANN401  # Numba has no types
    return sum(loop.stats.cache_hits.values())


def test_where_nothing_can_be_kept(source: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (source.parent / "for-the-user").touch()

    loop = load(source).doubled

    assert loop(21) == 42
    assert loop.stats.cache_path is None
    assert capfd.readouterr() == ("", "")


def test_the_folder_of_the_user_is_used_where_the_one_of_the_source_cannot_be(source: Path) -> None:
    first, second = load(source).doubled, load(source).doubled

    assert (first(21), second(21)) == (42, 42)
    assert (hits(first), hits(second)) == (0, 1)
    assert Path(first.stats.cache_path).is_relative_to(source.parent / "for-the-user")


@pytest.mark.parametrize("end", [0, 5, 100])
@pytest.mark.parametrize("kind", ["nbi", "nbc"])
def test_what_was_kept_and_cannot_be_read(source: Path, kind: str, end: int) -> None:
    (kept,) = Path(load(source).doubled.stats.cache_path).glob(f"*.{kind}")
    kept.write_bytes(kept.read_bytes()[:end])

    assert load(source).doubled(21) == 42


def test_a_full_disk(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile.save", full)

    assert load(source).doubled(21) == 42


# -- Numba compiles a loop again when its own file changes, not when another does --------------------------------------


def foreign(text: str) -> dict[str, set[str]]:
    """Give, of each compiled function of a file, the names that it takes from other files of the project."""
    tree = ast.parse(text)
    imported = {
        name.asname or name.name
        for statement in tree.body
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").split(".")[0] in {"streams", "schemas"}
        for name in statement.names
    }
    return {
        function.name: imported & {part.id for part in _parts(function.body) if isinstance(part, ast.Name)}
        for function in tree.body
        if isinstance(function, ast.FunctionDef)
        and any(getattr(part, "id", "") in {"compiled", "inner"} for part in _parts(function.decorator_list))
    }


def _parts(nodes: list[Any]) -> list[ast.AST]:
    return [part for node in nodes for part in ast.walk(node)]


def test_loops_take_nothing_from_other_files() -> None:
    found = {
        f"{path.stem}.{function}": names
        for path in (ROOT / "streams").rglob("*.py")
        for function, names in foreign(path.read_text()).items()
    }

    assert {"light.advance", "full.compare", "names._find", "texts._hash", "sightings._look"} <= set(found)
    assert {function: names for function, names in found.items() if names} == {}
    assert foreign("from streams.a import B\n@compiled(1)\ndef c():\n    return B\n") == {"c": {"B"}}
