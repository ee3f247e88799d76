"""`tidegate dlq`: dead letters, looked at, mended, sent again and purged."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Final

import typer

from streams.app.dlq import DeadLetters
from streams.app.purging import purge as put_away
from streams.app.redriving import How, Redrive, would_redrive
from streams.app.replay_plan import ReplayError
from streams.cli import dlq_shown
from streams.cli.output import Json, StoppedError, UsageError, bar, say, show, stop_signals
from streams.cli.times import instant
from streams.dlq.mending import Mending
from streams.dlq.selection import Selection
from streams.replay.expression import Expression, ExpressionError
from streams.settings import load

app = typer.Typer(help="Dead letters: look at them, mend them, send them again.", no_args_is_help=True)

# More than that is not sent again or purged by a slip of the hand.
MOST_UNASKED: Final = 1_000

Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]…", help="The ids of letters.")]
Stage = Annotated[list[str] | None, typer.Option(help="Refused by: ingest, analyze, mqtt, sink, webhook; repeatable.")]
Reason = Annotated[list[str] | None, typer.Option(help="Why, as the list has it; may be repeated.")]
Device = Annotated[list[str] | None, typer.Option(help="A device, by the key; may be repeated.")]
Topic = Annotated[list[str] | None, typer.Option(help="Where it came from; may be repeated.")]
Since = Annotated[str | None, typer.Option(help="Written at that time or later: ISO 8601, or 30m, 2h, 7d ago.")]
Until = Annotated[str | None, typer.Option(help="Written before that time.")]
Where = Annotated[str | None, typer.Option(metavar="CEL", help="What has to hold of a letter, in CEL.")]
Handled = Annotated[bool, typer.Option("--handled", help="Also those that were redriven or purged.")]


@dataclass(frozen=True, slots=True)
class Asked:
    """The options that say which letters are meant."""

    ids: list[str] | None
    stage: list[str] | None
    reason: list[str] | None
    device: list[str] | None
    topic: list[str] | None
    since: str | None
    until: str | None
    where: str | None

    @property
    def names_some(self) -> bool:
        """Whether anything was said at all."""
        return any((self.ids, self.stage, self.reason, self.device, self.topic, self.since, self.until, self.where))

    def letters(self) -> DeadLetters:
        """Find out what there is to read."""
        try:
            selection = Selection(
                frozenset(self.ids or ()),
                frozenset(self.stage or ()),
                frozenset(self.reason or ()),
                frozenset(self.device or ()),
                frozenset(self.topic or ()),
                None if self.where is None else Expression(self.where),
                self.where,
            )
            return DeadLetters(load(), selection, instant(self.since, "--since"), instant(self.until, "--until"))
        except (ExpressionError, ReplayError) as error:
            raise UsageError(str(error)) from None


@app.command("list", epilog="Examples: [bold]tidegate dlq list[/] · [bold]tidegate dlq list --since 1d --json[/]")
def list_letters(  # noqa: PLR0913  # a command has as many options as it has
    ids: Ids = None,
    *,
    stage: Stage = None,
    reason: Reason = None,
    device: Device = None,
    topic: Topic = None,
    since: Since = None,
    until: Until = None,
    where: Where = None,
    handled: Handled = False,
    as_json: Json = False,
) -> None:
    """Count open letters by the stage that refused them and the reason."""
    letters = Asked(ids, stage, reason, device, topic, since, until, where).letters()
    with _asking(), bar("reading dead letters", letters.records, hidden=as_json) as advance:
        groups = letters.groups(advance, with_handled=handled)
    dlq_shown.grouped(groups, letters.unreadable, as_json=as_json)


@app.command(
    "show",
    epilog="Examples: [bold]tidegate dlq show 0b9f3c9e-…[/] · [bold]tidegate dlq show --reason key --most 3[/]",
)
def show_letters(  # noqa: PLR0913  # a command has as many options as it has
    ids: Ids = None,
    *,
    stage: Stage = None,
    reason: Reason = None,
    device: Device = None,
    topic: Topic = None,
    since: Since = None,
    until: Until = None,
    where: Where = None,
    handled: Handled = False,
    most: Annotated[int, typer.Option(min=1, help="So many at the most.")] = 10,
    as_json: Json = False,
) -> None:
    """Show letters whole: why they were refused, where they stood, their bytes, and what these say."""
    letters = Asked(ids, stage, reason, device, topic, since, until, where).letters()
    with _asking(), bar("reading dead letters", letters.records, hidden=as_json) as advance:
        # Who names a letter wants to see it, whatever was done with it.
        found = letters.some(most, advance, with_handled=handled or bool(ids))
    dlq_shown.shown(found, as_json=as_json)
    if not found:
        raise typer.Exit(1)


@app.command(
    "redrive",
    epilog="Examples: [bold]tidegate dlq redrive --reason schema --dry-run[/] · "
    "[bold]tidegate dlq redrive --reason ts-ahead --set ts=accepted[/] · "
    "[bold]tidegate dlq redrive --device pump-7 --set 'metrics.temperature=(metrics.temperature - 32.0) / 1.8'[/] · "
    "[bold]tidegate dlq redrive --reason framing --as-payload[/]",
)
def redrive(  # noqa: PLR0913  # a command has as many options as it has
    ids: Ids = None,
    *,
    stage: Stage = None,
    reason: Reason = None,
    device: Device = None,
    topic: Topic = None,
    since: Since = None,
    until: Until = None,
    where: Where = None,
    every: Annotated[bool, typer.Option("--all", help="All open letters.")] = False,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=CEL", help="Mend it first: ts=accepted, metrics.t=metrics.t / 10.0, …"),
    ] = None,
    unset: Annotated[list[str] | None, typer.Option(metavar="FIELD", help="Take out: metrics.broken.")] = None,
    as_payload: Annotated[
        bool, typer.Option("--as-payload", help="Read the bytes as MQTT payloads, of the device in the key.")
    ] = False,
    rate: Annotated[float | None, typer.Option(min=0.1, help="Letters a second at the most.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would become of them; send nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help=f"Also more than {MOST_UNASKED:,} letters.")] = False,
    as_json: Json = False,
) -> None:
    """Send letters to the stage that refused them, if it takes them now; mend them first with --set and --unset.

    They count as accepted when they were. What would be refused again stays where it is, and is told with the reason;
    so does, under the conflict policy `first`, what lost a conflict. Messages to webhooks are tried from the start.
    """
    asked = Asked(ids, stage, reason, device, topic, since, until, where)
    _some(asked, every=every)
    letters = asked.letters()
    try:
        how = How(Mending.of(sets or (), unset or ()), as_payload, rate)
    except ExpressionError as error:
        raise UsageError(str(error)) from None
    with _asking(), bar("trying dead letters", letters.records, hidden=as_json) as advance:
        outcome = would_redrive(letters, how, advance)
    if dry_run:
        dlq_shown.redriven(outcome, letters.unreadable, dry_run=True, as_json=as_json)
        return
    total = outcome.sent.total()
    if total > MOST_UNASKED and not yes:
        raise UsageError(f"that is {total:,} letters: --dry-run says what would become of them, --yes sends them")
    run = Redrive(letters, how, getpass.getuser())
    stopped = False
    letters.unreadable = 0
    with bar("redriving dead letters", letters.records, hidden=as_json) as advance:
        try:
            with stop_signals():
                run.run(advance)
        except StoppedError:
            stopped = True
    dlq_shown.redriven(run.outcome, letters.unreadable, dry_run=False, as_json=as_json)
    if stopped:
        say("stopped; the same command goes on with what is left")
        raise typer.Exit(1)


@app.command(
    "purge",
    epilog="Examples: [bold]tidegate dlq purge --reason framing --until 7d[/] · "
    "[bold]tidegate dlq purge --all --handled --yes[/]",
)
def purge(  # noqa: PLR0913  # a command has as many options as it has
    ids: Ids = None,
    *,
    stage: Stage = None,
    reason: Reason = None,
    device: Device = None,
    topic: Topic = None,
    since: Since = None,
    until: Until = None,
    where: Where = None,
    every: Annotated[bool, typer.Option("--all", help="All open letters.")] = False,
    handled: Annotated[bool, typer.Option("--handled", help="Also those that were redriven.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help=f"Also more than {MOST_UNASKED:,} letters.")] = False,
    as_json: Json = False,
) -> None:
    """Put letters away for good: they are not listed and not sent again, and `audit` says who did it.

    Kafka deletes what stands before the first letter of each partition that was not purged; the rest with its time.
    """
    asked = Asked(ids, stage, reason, device, topic, since, until, where)
    _some(asked, every=every)
    letters = asked.letters()
    if not yes:
        with _asking(), bar("counting dead letters", letters.records, hidden=as_json) as advance:
            counted = sum(one.letters for one in letters.groups(advance, with_handled=handled).values())
        if counted > MOST_UNASKED:
            raise UsageError(f"that is {counted:,} letters: --yes purges them")
    with _asking(), bar("purging dead letters", letters.records, hidden=as_json) as advance:
        purged, deleted = put_away(letters, getpass.getuser(), advance, handled=handled)
    show({"purged": purged, "deleted from Kafka": deleted}, as_json=as_json)


def _some(asked: Asked, *, every: bool) -> None:
    if asked.names_some is every:
        raise UsageError("say which letters: by ids, --reason, --device and the like, or --all")


@contextmanager
def _asking() -> Iterator[None]:
    """Turn what an expression cannot say into a question of usage."""
    try:
        yield
    except ExpressionError as error:
        raise UsageError(str(error)) from None
