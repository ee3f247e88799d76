"""Dead letters for people and for machines. What they hold came from anybody: nothing of it reaches a terminal raw."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from streams.app.dlq import Found, Group
from streams.app.redriving import Outcome
from streams.cli.output import show
from streams.cli.plain import plain

WIDTH: Final = 16
# So many bytes of a value are shown to people.
MOST_BYTES: Final = 512


def grouped(groups: Mapping[tuple[str, str], Group], unreadable: int, *, as_json: bool) -> None:
    """Show how many letters there are of each stage and reason, the most first."""
    ordered = sorted(groups.items(), key=lambda item: -item[1].letters)
    if as_json:
        told = [
            {
                "stage": stage,
                "reason": reason,
                "letters": group.letters,
                "came_back": group.came_back,
                "devices": len(group.devices),
                "first": group.first,
                "last": group.last,
                "example": group.example,
            }
            for (stage, reason), group in ordered
        ]
        show(
            {"letters": sum(one.letters for _, one in ordered), "groups": told, "unreadable": unreadable}, as_json=True
        )
        return
    if not ordered:
        print("no dead letter is open")
    else:
        rows = [
            [
                plain(stage),
                plain(reason),
                f"{group.letters:,}",
                f"{len(group.devices):,}",
                "" if group.last is None else f"{group.last:%Y-%m-%d %H:%M:%S}",
                plain(group.example),
            ]
            for (stage, reason), group in ordered
        ]
        _table(["stage", "reason", "letters", "devices", "last (UTC)", "for example"], rows, right=(2, 3))
        back = sum(group.came_back for _, group in ordered)
        if back:
            print(f"\n{back:,} of them were redriven before, and came back")
    if unreadable:
        print(f"{unreadable:,} records of the topic are no letters")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int]) -> None:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in [head, *rows]:
        cells = [
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def shown(found: Sequence[Found], *, as_json: bool) -> None:
    """Show letters whole: what is said of each, its bytes, and what they say."""
    if as_json:
        show({"letters": [_letter(one) for one in found]}, as_json=True)
        return
    if not found:
        print("no such dead letter")
    for one in found:
        told = _letter(one)
        value, content = one.letter.said.value or b"", told.pop("content")
        del told["value"]
        for name, field in told.items():
            if field not in (None, {}):
                print(f"{name:<10} {plain(str(field))}")
        print(f"{'bytes':<10} {len(value):,}")
        print(hexdump(value[:MOST_BYTES]))
        if len(value) > MOST_BYTES:
            print(f"… and {len(value) - MOST_BYTES:,} more; --json has all of them")
        print(f"{'content':<10} {'unreadable' if content is None else json.dumps(content, default=str)}\n")


def _letter(one: Found) -> dict[str, Any]:
    said, handled = one.letter.said, one.handled
    return {
        "id": said.id,
        "stage": said.stage,
        "reason": said.reason,
        "detail": said.detail,
        "region": said.region or None,
        "from": said.topic if said.offset is None else f"{said.topic} [{said.partition}] {said.offset}",
        "accepted": said.accepted,
        "created": said.created,
        "key": None if said.key is None else one.letter.device,
        "headers": {name: value.decode(errors="replace") for name, value in said.headers.items()},
        "place": f"[{one.letter.partition}] {one.letter.offset}",
        "state": "open" if handled is None else "came back" if one.came_back else f"{handled.action} at {handled.at}",
        "value": None if said.value is None else said.value.hex(),
        "content": one.letter.content(),
    }


def hexdump(data: bytes) -> str:
    """Write bytes as offsets, hexadecimal and ASCII."""
    lines = []
    for start in range(0, len(data), WIDTH):
        part = data[start : start + WIDTH]
        # From space to tilde; a terminal would act on some of the others.
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)  # noqa: PLR2004  # ASCII
        lines.append(f"  {start:08x}  {part.hex(' '):<{3 * WIDTH - 1}}  {text}")
    return "\n".join(lines)


def redriven(outcome: Outcome, unreadable: int, *, dry_run: bool, as_json: bool) -> None:
    """Show what has become of letters, or would."""
    if as_json:
        told = {
            "run": outcome.run or None,
            "redriven": outcome.sent.total(),
            "to": dict(outcome.sent),
            "stay": dict(outcome.stays),
            "examples": outcome.examples,
            "unreadable": unreadable,
            "dry_run": dry_run,
        }
        show(told, as_json=True)
        return
    print(f"{outcome.sent.total():,} letters {'would go' if dry_run else 'went'} again")
    for where, many in outcome.sent.most_common():
        print(f"  {many:>9,}  {plain(where)}")
    if outcome.stays:
        print(f"{outcome.stays.total():,} stay")
        for why, many in outcome.stays.most_common():
            print(f"  {many:>9,}  {plain(why)}  (like {plain(outcome.examples[why][0])})")
