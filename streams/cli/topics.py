"""`tidegate topics`: the topics as they should be and as they are."""

import getpass
from dataclasses import asdict
from typing import Annotated

import typer

from connectors.kafka.admin import Admin
from connectors.timescale import ledger
from connectors.timescale.connection import connect
from schemas.topics import BY_NAME
from streams.app.growing import GrowError, grow
from streams.cli.output import Json, UsageError, say, show
from streams.pipeline import topics_of
from streams.settings import load

app = typer.Typer(help="The topics as they should be and as they are.", no_args_is_help=True)


@app.command("list", epilog="Example: [bold]tidegate topics list --json[/]")
def list_topics(*, as_json: Json = False) -> None:
    """List the topics of the contract, and what the broker has of them."""
    loaded = load()
    admin, topics = Admin(loaded.kafka), topics_of(loaded)
    admin.cluster_id()
    there = admin.topics(topic.name for topic in topics)
    shown = {
        topic.name: {
            "schema": f"{topic.schema.name} v{topic.schema.version} (id {topic.schema.id})",
            "partitions": there[topic.name].partitions if topic.name in there else "missing",
            "retention_days": topic.retention.days,
            "mirrored": topic.mirrored,
        }
        for topic in topics
    }
    show(shown, as_json=as_json)


@app.command("apply", epilog="Example: [bold]TIDEGATE_KAFKA__PARTITIONS=24 tidegate topics apply[/]")
def apply(
    *,
    settings: Annotated[
        bool, typer.Option("--settings", help="Also give those that exist the settings that they should have.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Create the topics that are missing; existing ones are left as they are, unless you say --settings."""
    loaded = load()
    admin, topics = Admin(loaded.kafka), topics_of(loaded)
    admin.cluster_id()
    created = admin.apply(topics)
    if settings:
        admin.configure(topics)
    show({"created": created, "there": [topic.name for topic in topics if topic.name not in created]}, as_json=as_json)


@app.command("grow", epilog="Example: [bold]tidegate topics grow readings --partitions 24[/]")
def grow_topic(
    topic: Annotated[str, typer.Argument(help="The topic.")],
    *,
    partitions: Annotated[int, typer.Option(min=1, help="How many it is to have.")],
    anyway: Annotated[bool, typer.Option("--anyway", help="Also when not all of it was read.")] = False,
    as_json: Json = False,
) -> None:
    """Give a topic more partitions, once all of it was read; most devices move, so its detectors begin anew.

    Stop those who write, let the workers finish, run this, start them again. Workers that run take the new partitions
    within half a minute; those that had something to write stop, for whoever keeps them up to start them again.
    """
    try:
        grown = grow(load(), topic, partitions, getpass.getuser(), anyway=anyway)
    except GrowError as error:
        raise UsageError(str(error)) from None
    show(asdict(grown), as_json=as_json)


@app.command("forget", epilog="Example: [bold]tidegate topics forget readings --yes[/]")
def forget(
    topic: Annotated[str, typer.Argument(help="The topic whose marks are dropped.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Forget how far a topic was read, after it was deleted and made anew: it is read from the start of its log."""
    settings = load()
    if topic not in BY_NAME and not topic.endswith(tuple(f".{name}" for name in BY_NAME)):
        raise UsageError(f"{topic} is not one of the topics: {', '.join(BY_NAME)}")
    if not yes:
        say(
            f"The marks and detector snapshots of {topic} will be dropped. Workers must be stopped. Say --yes to do it."
        )
        raise typer.Exit(2)
    with connect(settings.database, autocommit=True) as connection:
        marks = ledger.forget(connection, topic, who=getpass.getuser())
    show({"topic": topic, "marks_dropped": marks}, as_json=as_json)
