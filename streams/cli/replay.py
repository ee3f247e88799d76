"""`tidegate replay`: records of a topic again, to those who work on them or to another topic."""

import getpass
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from schemas.errors import TidegateError
from schemas.instants import from_text
from streams.app.replay import Counted, Course, Replay, ReplayError, Wanted, check, count, plan
from streams.cli.output import Json, StoppedError, UsageError, bar, say, show, stop_signals
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
WIDEST_BAR: Final = 40
_AGO: Final = re.compile(r"(\d{1,6})(s|m|h|d)")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
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
    as_json: Json = False,
) -> None:
    """Write records of the log again: to the agents that work on their topic, or into another topic.

    Copies bear headers that say what they are copies of, and count as accepted when their originals were: what is
    stored already is not stored again. Records of one partition keep their order, so those of a device do. Ctrl-Z
    pauses it for a minute at the most, and `fg` goes on; Ctrl-C stops it, and --resume goes on.
    """
    settings = load()
    try:
        if resume is not None:
            if topic is not None:
                raise UsageError("--resume knows the topic and all else: leave the topic out")
            planned, file = load_checkpoint(resume), resume
            check(settings, planned)
        else:
            wanted = Wanted(
                _required(topic),
                into,
                Selection(devices=tuple(device or ()), key=key, where=where, copies=copies),
                _time(since, "--since"),
                _time(until, "--until"),
                _spans(offsets or ()),
                rate,
            )
            planned = plan(settings, wanted)
            file = checkpoint or settings.data_dir / "replays" / f"{planned.id}.json"
        records = sum(end - start for start, end in planned.left.values())
        if dry_run:
            with bar(f"reading {planned.topic}", records, hidden=as_json) as advance:
                counted = count(settings, planned, advance)
            _show_counted(planned, counted, as_json=as_json)
            return
        # Who goes on with a replay has said so before.
        if records > MOST_UNASKED and not yes and resume is None:
            raise UsageError(
                f"that is up to {records:,} records of {planned.topic}: --dry-run counts them, --yes replays them"
            )
        _run(settings, planned, file, records, as_json=as_json)
    except (CheckpointError, ExpressionError, ReplayError) as error:
        raise UsageError(str(error)) from None


def _run(settings: Settings, planned: Checkpoint, file: Path, records: int, *, as_json: bool) -> None:
    began, before = time.monotonic(), planned.copied
    stopped = False
    with bar(f"{planned.topic} → {planned.target}", records, hidden=as_json) as advance:
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


def _time(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    ago = _AGO.fullmatch(text)
    try:
        if ago is not None:
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return from_text(text)
    except (ValueError, OverflowError):
        raise UsageError(f"{option}: a time like 2026-01-31T12:00Z, or 30m, 2h or 7d for so long ago") from None


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


def _show_counted(planned: Checkpoint, counted: Counted, *, as_json: bool) -> None:
    tally = counted.tally
    bars = tally.bars()
    if as_json:
        told = {
            "topic": planned.topic,
            "into": planned.target,
            "records": tally.total,
            "partitions": {str(number): tally.partitions[number] for number in sorted(planned.left)},
            "times": [{"from": when.isoformat(), "records": many} for when, many in bars],
            "left out": counted.left_out,
        }
        show(told, as_json=True)
        return
    print(f"{tally.total:,} records of {planned.topic} would be written to {planned.target}")
    for why, many in counted.left_out.items():
        print(f"{many:,} left out: {why}")
    _show_bars("partition", [(str(number), tally.partitions[number]) for number in sorted(planned.left)])
    _show_bars("accepted from", [(f"{when:%Y-%m-%d %H:%M}", many) for when, many in bars])


def _show_bars(title: str, bars: Sequence[tuple[str, int]]) -> None:
    most = max((many for _, many in bars), default=0)
    width = max([len(title), *(len(name) for name, _ in bars)])
    print(f"\n{title:<{width}}  records")
    for name, many in bars:
        print(f"{name:<{width}}  {many:>11,}  {'█' * (-(-many * WIDEST_BAR // most) if most else 0)}".rstrip())
