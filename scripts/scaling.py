"""`scripts/scale`: writes docs/scaling.md, from the drill to ten million devices, out of `streams.planning`.

A test holds the page against this: who measures anew changes the numbers there, and runs this.
"""

from pathlib import Path
from typing import Annotated, Final

import typer

from streams.planning import Fleet, plan

PAGE: Final = Path(__file__).parents[1] / "docs" / "scaling.md"
MINUTE_S: Final = 60
TEN: Final = 10
# From what `tidegate region drill` runs to what the design is for. Beside the drill each device speaks once a minute.
STEPS: Final = {
    "the drill": Fleet(devices=80, rate=400.0, regions=2, kept_days=1.0, plain_days=1.0, kafka_days=1.0, replicas=1),
    "10,000 devices": Fleet(devices=10_000, rate=10_000 / MINUTE_S, regions=2),
    "a million": Fleet(devices=1_000_000, rate=1_000_000 / MINUTE_S, regions=3),
    "ten million": Fleet(devices=10_000_000, rate=10_000_000 / MINUTE_S, regions=3),
    "ten million, each second": Fleet(devices=10_000_000, rate=10_000_000.0, regions=3),
}
SHOWN: Final = "ten million"

HEAD: Final = """\
# From the drill to ten million devices

<!-- Made by scripts/scale: change streams/planning.py, and run that. -->

`tidegate region drill` runs two complete regions with {devices} devices on two cores. What follows is what each region
of a larger fleet needs, worked out from what was measured here (`scripts/bench`, which anybody can run) by
`streams/planning.py`: the same as `tidegate plan --devices 1e7 --rate 166667 --regions 3` says. It is paper: nothing of
this size was run. Each region stores what is accepted anywhere, watches and explains what it accepts itself, and is
planned for the day on which one of the others is gone.

"""
MIDDLE: Final = """
How each follows, for {shown} ({rate:,.0f} readings a second, {regions} regions):

"""
TAIL: Final = """
## What changes on the way

- **Ten thousand devices** fit on one small machine a region: the minima (two workers, two gateways, a broker a replica)
  are for the day on which one fails, not for the load.
- **A million** need nothing else than more of the same: memory for the detectors, and chunks shorter than a day
  (`TIDEGATE_DATABASE__CHUNK_DAYS`).
- **Ten million that speak once a minute** are bound by the database's disk, which is why readings become columnar after
  three days and why each region asks how long it has to keep those of the others (`TIDEGATE_DATABASE__RETENTION_DAYS`
  is each region's own). An hour is a chunk then.
- **Ten million that speak every second** are past one database: {each_s:,.0f} rows a second, where the best that two
  cores took here was 600,000 (five metrics a message), and {disk:,.0f} TiB of disk in a year. There regions are cells:
  several independent ones a place, each with its own Kafka and database, and devices are led to one of them by name.
  Nothing in the design spans cells: each has a list of regions of its own, itself and one other elsewhere.
- **Traffic between regions** grows with their number less one. Cells in pairs keep two copies instead of one a region.
- **Models** grow with what is unusual, not with what is said: {asked:,.0f} calls a day in each region, of
  {alarms:,.0f} alarms. That is the number to doubt first, and `tidegate cache stats` tells the real one.
"""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def amount(number: float) -> str:
    """Write a number with no more digits than it deserves."""
    return f"{number:,.0f}" if number >= TEN else f"{number:,.2g}"


def page() -> str:
    """Compose the page."""
    needs = {name: plan(fleet) for name, fleet in STEPS.items()}
    shown, every_second = STEPS[SHOWN], "ten million, each second"
    names = [need.what for need in needs[SHOWN]]
    units = {need.what: need.unit for need in needs[SHOWN]}
    lines = [f"| each region | | {' | '.join(STEPS)} |", f"|---|---|{'---:|' * len(STEPS)}"]
    for what in names:
        amounts = [next((amount(need.amount) for need in found if need.what == what), "") for found in needs.values()]
        lines.append(f"| {what} | {units[what]} | {' | '.join(amounts)} |")
    reasons = [
        "| | | how it follows |",
        "|---|---:|---|",
        *(f"| {need.what} | {amount(need.amount)} {need.unit} | {need.because} |" for need in needs[SHOWN]),
    ]
    by_name = {need.what: need.amount for need in needs[SHOWN]}
    largest = {need.what: need.amount for need in needs[every_second]}
    return "".join(
        (
            HEAD.format(devices=STEPS["the drill"].devices),
            "\n".join(lines) + "\n",
            MIDDLE.format(shown=SHOWN, rate=shown.rate, regions=shown.regions),
            "\n".join(reasons) + "\n",
            TAIL.format(
                each_s=largest["rows"],
                disk=largest["the database's disk"] / 1024,
                asked=by_name["asked of models"],
                alarms=by_name["insights"],
            ),
        )
    )


@app.command()
def scale(
    *, check: Annotated[bool, typer.Option("--check", help="Write nothing; 1 if the page is another one.")] = False
) -> None:
    """Write docs/scaling.md anew: what each region of a fleet needs, from the drill to ten million devices."""
    made = page()
    if not check:
        PAGE.write_text(made, encoding="utf-8")
    elif PAGE.read_text("utf-8") != made:
        typer.echo("docs/scaling.md is not what scripts/scale makes: run it", err=True)
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
