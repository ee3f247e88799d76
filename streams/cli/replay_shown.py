"""What a replay has counted or compared, for people and for machines."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from streams.app.replay_plan import Counted
from streams.app.shadow import Compared
from streams.app.verdicts import Estimate, Review
from streams.cli.output import show
from streams.replay.checkpoint import Checkpoint
from streams.replay.shadow import Example

WIDEST_BAR: Final = 40
# So many changed verdicts are shown to people; machines get more.
SHOWN: Final = 10
_ROWS: Final = {
    "same": "the same",
    "lost": "lost against another value, as the rule for conflicts has it",
    "other": "stored with another value, though this one should stand",
    "missing": "not stored",
    "expired": "not stored, and older than what is kept",
}
_ALARMS: Final = {
    "again": "raised again",
    "waiting": "raised again; the insight is still to come",
    "new": "raised now, and not then",
    "gone": "raised then, and not now",
}


def counted(planned: Checkpoint, found: Counted, *, as_json: bool) -> None:
    """Show what a replay would copy."""
    tally = found.tally
    bars = tally.bars()
    if as_json:
        told = {
            "topic": planned.topic,
            "into": planned.target,
            "records": tally.total,
            "partitions": {str(number): tally.partitions[number] for number in sorted(planned.left)},
            "times": [{"from": when.isoformat(), "records": many} for when, many in bars],
            "left out": found.left_out,
        }
        show(told, as_json=True)
        return
    print(f"{tally.total:,} records of {planned.topic} would be written to {planned.target}")
    _left_out(found.left_out)
    _bars("partition", [(str(number), tally.partitions[number]) for number in sorted(planned.left)])
    _bars("accepted from", [(f"{when:%Y-%m-%d %H:%M}", many) for when, many in bars])


def _left_out(left_out: Mapping[str, int]) -> None:
    for why, many in left_out.items():
        print(f"{many:,} left out: {why}")


def _bars(title: str, bars: Sequence[tuple[str, int]]) -> None:
    most = max((many for _, many in bars), default=0)
    width = max([len(title), *(len(name) for name, _ in bars)])
    print(f"\n{title:<{width}}  records")
    for name, many in bars:
        print(f"{name:<{width}}  {many:>11,}  {'█' * (-(-many * WIDEST_BAR // most) if most else 0)}".rstrip())


def compared(planned: Checkpoint, found: Compared, *, seconds: float, as_json: bool) -> None:
    """Show what a shadow replay has found."""
    report = found.report
    if as_json:
        told: dict[str, Any] = {
            "topic": planned.topic,
            "records": found.records,
            "not stored yet": found.not_yet,
            "left out": found.left_out,
            "rows": {what: many for what, many in report.rows.items() if many},
            "poison": dict(report.poison),
            "alarms": None if found.without_alarms else {what: many for what, many in report.alarms.items() if many},
            "examples": [
                {name: value for name, value in one._asdict().items() if value is not None} for one in report.examples
            ],
            "right": report.is_right,
            "records/s": round(found.records / seconds, 1),
        }
        show(told, as_json=True)
        return
    print(f"{found.records:,} records of {planned.topic}, beside what is stored:")
    if found.not_yet:
        print(f"{found.not_yet:,} left out: no worker has stored them yet")
    _left_out(found.left_out)
    _counts("rows", _ROWS, report.rows)
    for why, many in report.poison.items():
        print(f"{'':8}{many:,} records cannot be used: {why}")
    if found.without_alarms:
        print(f"alarms  not compared: {found.without_alarms}")
    else:
        _counts("alarms", _ALARMS, report.alarms)
        if report.alarms["new"] or report.alarms["gone"]:
            print(f"{'':8}(detectors began anew: they know less of the first readings than they did then)")
    if report.examples:
        print("\nsome of them:")
    for one in report.examples:
        print(f"  {_told(one)}")


def _counts(title: str, words: Mapping[str, str], counts: Mapping[str, int]) -> None:
    lines = [f"{counts[what]:,} {words[what]}" for what in words if counts.get(what)] or ["none"]
    for line, first in zip(lines, [title, *[""] * len(lines)], strict=False):
        print(f"{first:<8}{line}")


def _told(one: Example) -> str:
    where = "" if one.partition is None else f" [{one.partition}] {one.offset}"
    if one.kind is not None:
        return f"{one.what}: {one.kind} of {one.device} {one.metric}, {one.ts.isoformat()}{where}"
    stands = "nothing" if one.stored is None else f"{one.stored!r}"
    return f"{one.what}: {one.device} {one.metric}, {one.ts.isoformat()}{where}: {one.said!r}, stored is {stands}"


def estimated(found: Estimate, review: Review, *, as_json: bool) -> None:
    """Show what asking again would cost."""
    about = None if found.about is None else float(found.about)
    if as_json:
        told = {
            "windows": found.windows,
            "about_usd": about,
            "reserved_usd": float(found.reserved),
            "left out": review.left_out | _given(review.report.without),
        }
        show(told, as_json=True)
        return
    print(price(found))
    _left_out(review.left_out | _given(review.report.without))


def price(found: Estimate) -> str:
    """Say what asking again would cost."""
    about = "nobody knows what they cost then" if found.about is None else f"about ${found.about:.4f}, as they did then"
    return f"{found.windows:,} windows: {about}; ${found.reserved:.4f} if each is asked alone and answered at length"


def reviewed(review: Review, *, as_json: bool) -> None:
    """Show which verdicts have changed."""
    report = review.report
    told: dict[str, Any] = {
        "verdicts": dict(report.verdicts),
        "by": dict(report.sources),
        "without": _given(report.without),
        "left out": review.left_out,
        "usd": float(report.usd),
    }
    if as_json:
        show(told | {"changes": [one._asdict() for one in report.changes]}, as_json=True)
        return
    print(f"{report.verdicts['same']:,} verdicts the same, {report.verdicts['changed']:,} changed, ${report.usd:.4f}")
    print("answered by: " + (", ".join(f"{source} {many:,}" for source, many in report.sources.items()) or "nobody"))
    for why, many in _given(report.without).items():
        print(f"{many:,} without a verdict: {why}")
    _left_out(review.left_out)
    for one in report.changes[:SHOWN]:
        print(f"\n{one.insight}  {one.kind} of {one.device} {one.metric}, {one.ts.isoformat()}")
        print(f"  then  {one.severity_then}: {one.summary_then} ({one.by_then})")
        print(f"  now   {one.severity_now}: {one.summary_now} ({one.by_now})")
    if len(report.changes) > SHOWN:
        print(f"\n… and {report.verdicts['changed'] - SHOWN:,} more; --json gives them")


def _given(counts: Mapping[str, int]) -> dict[str, int]:
    return {why: many for why, many in counts.items() if many}
