"""`tidegate cache`: what is kept of models' answers, and what people say of it."""

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from pydantic import ValidationError

from streams.app.cache_admin import CacheAdmin, NotKeptError
from streams.cli.output import Json, UsageError, show
from streams.prompts.answer import Answer
from streams.settings import load

app = typer.Typer(help="What is kept of models' answers.", no_args_is_help=True)

T = TypeVar("T")
Which = Annotated[
    str, typer.Argument(help="The key of a kept answer, or the id of an insight or of a task that it answered.")
]


@app.command("stats", epilog="Examples: [bold]tidegate cache stats[/] · [bold]tidegate cache stats --json[/]")
def stats(*, as_json: Json = False) -> None:
    """Show who answered in the last day, what that saved, and what the levels hold."""
    show(_with_admin(lambda admin: admin.stats()), as_json=as_json)


@app.command("explain", epilog="Example: [bold]tidegate cache explain 0d5c5b0e-93c1-5a3f-9a2e-0c3fd0b0a7c4[/]")
def explain(which: Which, *, as_json: Json = False) -> None:
    """Show what each level holds of one answer, how old it is, what it cost, and until when it lives."""

    async def found(admin: CacheAdmin) -> list[dict[str, object]]:
        return [await admin.explain(key) for key in await admin.keys(which)]

    answers = _with_admin(found)
    if as_json:
        show({"answers": answers}, as_json=True)
        return
    for told in answers:
        show(told, as_json=False)


@app.command(
    "purge",
    epilog="Examples: [bold]tidegate cache purge 0d5c5b0e-93c1-5a3f-9a2e-0c3fd0b0a7c4[/] · "
    "[bold]tidegate cache purge --tenant acme --yes[/]",
)
def purge(
    which: Annotated[str | None, typer.Argument(help="As in `explain`.")] = None,
    *,
    tenant: Annotated[str | None, typer.Option(help="Forget all answers of this tenant.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Forget all answers.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Forget answers, in all levels and workers. What is asked again costs again."""
    if (which is not None) + (tenant is not None) + everything != 1:
        raise UsageError("Say what to forget: one answer, --tenant NAME, or --all.")
    if which is None and not yes:
        what = "all answers" if everything else f"all answers of tenant {tenant!r}"
        typer.confirm(f"Forget {what}?", abort=True, err=True)

    async def do(admin: CacheAdmin) -> list[int]:
        keys = [] if which is None else await admin.keys(which)
        return await admin.purge(tenant, keys, said_by=_me())

    show({"orders": _with_admin(do)}, as_json=as_json)


@app.command(
    "correct",
    epilog="Example: [bold]tidegate cache correct 0d5c5b0e-93c1-5a3f-9a2e-0c3fd0b0a7c4 answer.json[/], a file with "
    "summary, probable_causes, recommended_actions, severity and confidence, and placeholders as in "
    "{value}, {device} and {from}",
)
def correct(
    which: Which,
    answer: Annotated[Path, typer.Argument(help="A JSON file with what the answer should be.", dir_okay=False)],
    *,
    as_json: Json = False,
) -> None:
    """Say what an answer should be: all who ask the same are told so from now on."""
    try:
        right = Answer.model_validate_json(answer.read_bytes())
    except OSError as error:
        raise UsageError(f"{answer} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in problem["loc"]) or "the file"
        raise UsageError(f"{answer} is no answer: {where}: {problem['msg']}") from None

    async def do(admin: CacheAdmin) -> list[int]:
        return await admin.correct(await admin.keys(which), right, said_by=_me())

    show({"orders": _with_admin(do)}, as_json=as_json)


def _with_admin(do: Callable[[CacheAdmin], Awaitable[T]]) -> T:
    async def run() -> T:
        async with CacheAdmin(load()) as admin:
            try:
                return await do(admin)
            except NotKeptError as error:
                raise UsageError(str(error)) from None

    return asyncio.run(run())


def _me() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
