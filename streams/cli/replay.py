"""`tidegate replay`: records of a topic again, to those who work on them or to another topic."""

import getpass
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from schemas.errors import TidegateError
from streams.app.replay import Course, Replay
from streams.app.replay_plan import ReplayError, Wanted, check, count, plan
from streams.app.shadow import compare
from streams.app.verdicts import Review
from streams.cli import replay_shown
from streams.cli.output import Json, StoppedError, UsageError, bar, say, show, stop_signals
from streams.cli.times import instant
from streams.replay.checkpoint import Checkpoint, CheckpointError
from streams.replay.checkpoint import load as load_checkpoint
from streams.replay.expression import ExpressionError
from streams.replay.selection import Selection
from streams.settings import Settings, load

EXAMPLES = (
    "Examples: [bold]tidegate replay readings --since 2h --dry-run[/] · "
    "[bold]tidegate replay readings --device pump-7 --since 2026-01-31T12:00Z --rate 1000[/] · "
    "[bold]tidegate replay readings --where 'metrics.temperature > 80.0' --into hot-readings[/] · "
    "[bold]tidegate replay --resume .tidegate/replays/….json[/]"
)

# More than that is not replayed by a slip of the hand.
MOST_UNASKED: Final = 100_000
_OFFSETS: Final = re.compile(r"(\d{1,10}):(\d{0,19})-(\d{0,19})")


def command(  # noqa: PLR0913  # a command has as many options as it has
    topic: Annotated[str | None, typer.Argument(help="The topic; not with --resume.")] = None,
    *,
    into: Annotated[str | None, typer.Option(metavar="TOPIC", help="Another topic; made where it is missing.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Accepted at that time or later: ISO 8601, or 30m, 2h, 7d ago.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Accepted before that time.")] = None,
    offsets: Annotated[
        list[str] | None,
        typer.Option(
            metavar="P:FROM-TO", help="Of partition P alone, from an offset and before another; may be repeated."
        ),
    ] = None,
    device: Annotated[list[str] | None, typer.Option(help="A device; may be repeated.")] = None,
    key: Annotated[str | None, typer.Option(metavar="PATTERN", help="Keys that look like this: pump-*.")] = None,
    where: Annotated[str | None, typer.Option(metavar="CEL", help="What has to hold of a record, in CEL.")] = None,
    copies: Annotated[bool, typer.Option("--copies", help="Also what an earlier replay has written.")] = False,
    rate: Annotated[float | None, typer.Option(min=0.1, help="Records a second at the most.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what it would be; write nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help=f"Also more than {MOST_UNASKED:,} records.")] = False,
    checkpoint: Annotated[Path | None, typer.Option(help="Where to note how far it has come.")] = None,
    resume: Annotated[Path | None, typer.Option(metavar="FILE", help="Go on from a checkpoint.")] = None,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Store nothing: compare what would be with what is stored.")
    ] = False,
    cache_only: Annotated[
        bool, typer.Option("--cache-only", help="Store nothing: compare what the cache says with what was said.")
    ] = False,
    re_ask: Annotated[
        bool, typer.Option("--re-ask", help="Store nothing: compare what models say now with what was said.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write records of the log again: to the agents that work on their topic, or into another topic.

    Copies bear headers that say what they are copies of, and count as accepted when their originals were: what is
    stored already is not stored again. Records of one partition keep their order, so those of a device do. Ctrl-Z
    pauses it for a minute at the most, and `fg` goes on; Ctrl-C stops it, and --resume goes on.

    With --shadow readings are decoded, checked and watched, and what comes of it is compared with the tables; the exit
    code is 1 if a row is missing or another one. With --cache-only or --re-ask requests of analysis-requests are
    answered again, and you see which verdicts have changed. Of all that nothing is stored.
    """
    settings = load()
    modes = {"--shadow": shadow, "--cache-only": cache_only, "--re-ask": re_ask}
    mode = _mode(modes, {"--into": into, "--checkpoint": checkpoint, "--resume": resume})
    if dry_run and mode in ("--shadow", "--cache-only"):
        raise UsageError(f"{mode} writes nothing: leave --dry-run out")
    try:
        if resume is not None:
            if topic is not None:
                raise UsageError("--resume knows the topic and all else: leave the topic out")
            planned, file = load_checkpoint(resume), resume
            check(settings, planned)
        else:
            name = _required(topic)
            wanted = Wanted(
                name,
                into if mode is None else name,
                Selection(devices=tuple(device or ()), key=key, where=where, copies=copies),
                instant(since, "--since"),
                instant(until, "--until"),
                _spans(offsets or ()),
                rate,
            )
            planned = plan(settings, wanted)
            file = checkpoint or settings.data_dir / "replays" / f"{planned.id}.json"
        if mode == "--shadow":
            _shadow(settings, planned, as_json=as_json)
        elif mode is not None:
            _review(settings, planned, ask=mode == "--re-ask", dry_run=dry_run, yes=yes, as_json=as_json)
        elif dry_run:
            with bar(f"reading {planned.topic}", _records(planned), hidden=as_json) as advance:
                counted = count(settings, planned, advance)
            replay_shown.counted(planned, counted, as_json=as_json)
        else:
            # Who goes on with a replay has said so before.
            if _records(planned) > MOST_UNASKED and not yes and resume is None:
                raise UsageError(
                    f"that is up to {_records(planned):,} records of {planned.topic}: --dry-run counts them, --yes "
                    "replays them"
                )
            _run(settings, planned, file, as_json=as_json)
    except (CheckpointError, ExpressionError, ReplayError) as error:
        raise UsageError(str(error)) from None


def _mode(modes: Mapping[str, bool], others: Mapping[str, object]) -> str | None:
    chosen = [mode for mode, is_on in modes.items() if is_on]
    against = [*chosen[1:], *(option for option, value in others.items() if value is not None)]
    if chosen and against:
        raise UsageError(f"{chosen[0]} stores nothing, and goes with no {against[0]}")
    return chosen[0] if chosen else None


def _records(planned: Checkpoint) -> int:
    return sum(end - start for start, end in planned.left.values())


def _shadow(settings: Settings, planned: Checkpoint, *, as_json: bool) -> None:
    began = time.monotonic()
    with bar(f"comparing {planned.topic}", _records(planned), hidden=as_json) as advance:
        found = compare(settings, planned, getpass.getuser(), advance)
    replay_shown.compared(planned, found, seconds=time.monotonic() - began, as_json=as_json)
    if not found.report.is_right:
        raise typer.Exit(1)


def _review(  # each is a choice of its own
    settings: Settings, planned: Checkpoint, *, ask: bool, dry_run: bool, yes: bool, as_json: bool
) -> None:
    if ask and not (yes and not dry_run):
        with bar(f"reading {planned.topic}", _records(planned), hidden=as_json) as advance:
            review = Review(settings, planned, advance)
            estimate = review.estimate()
        if not dry_run:
            raise UsageError(f"{replay_shown.price(estimate)}. --yes asks")
        replay_shown.estimated(estimate, review, as_json=as_json)
        return
    stopped = False
    with bar(f"asking about {planned.topic}", _records(planned), hidden=as_json) as advance:
        review = Review(settings, planned, advance)
        try:
            with stop_signals():
                (review.ask_models if ask else review.ask_cache)(getpass.getuser())
        except StoppedError:
            stopped = True
    replay_shown.reviewed(review, as_json=as_json)
    if stopped:
        say("stopped")
        raise typer.Exit(1)


def _run(settings: Settings, planned: Checkpoint, file: Path, *, as_json: bool) -> None:
    began, before = time.monotonic(), planned.copied
    stopped = False
    with bar(f"{planned.topic} → {planned.target}", _records(planned), hidden=as_json) as advance:
        replay = Replay(settings, planned, Course(getpass.getuser(), file, advance))
        try:
            with stop_signals():
                replay.run()
        except StoppedError:
            stopped = True
        except TidegateError:
            if file.exists():
                say(f"it failed. Go on with: tidegate replay --resume {file}")
            raise
    seconds = time.monotonic() - began
    copied = replay.checkpoint.copied
    told: dict[str, Any] = {
        "replay": planned.id,
        "from": planned.topic,
        "into": planned.target,
        "copied": copied,
        "left out": dict(replay.left_out),
        "records/s": round((copied - before) / seconds, 1),
        "checkpoint": str(file) if stopped else None,
    }
    show(told if as_json else {name: value for name, value in told.items() if value}, as_json=as_json)
    if stopped:
        say(f"stopped. Go on with: tidegate replay --resume {file}")
        raise typer.Exit(1)


def _required(topic: str | None) -> str:
    if topic is None:
        raise UsageError("which topic? `tidegate topics list` shows them")
    return topic


def _spans(texts: Sequence[str]) -> dict[int, tuple[int | None, int | None]]:
    spans = dict(map(_span, texts))
    if len(spans) < len(texts):
        raise UsageError("--offsets: each partition once")
    return spans


def _span(text: str) -> tuple[int, tuple[int | None, int | None]]:
    found = _OFFSETS.fullmatch(text)
    if found is None:
        raise UsageError(f"--offsets {text!r}: a partition and offsets, like 3:100-200, 3:100- or 3:-200")
    number, first, last = found.groups()
    return int(number), (int(first) if first else None, int(last) if last else None)
