"""`tidegate plan`: what a fleet needs."""

from dataclasses import asdict
from typing import Annotated

import typer

from streams.cli.output import Json, show
from streams.planning import Fleet, plan

EXAMPLES = (
    "Examples: [bold]tidegate plan --devices 10000 --rate 5000[/] · "
    "[bold]tidegate plan --devices 1e6 --rate 100000 --metrics 5 --cached 0.9 --kept-days 730 --json[/]"
)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter("a number, like 1000 or 1e6") from None


def command(  # noqa: PLR0913  # a command has as many options as it has
    *,
    devices: Annotated[float, typer.Option(parser=_number, metavar="NUMBER", help="How many devices there are.")],
    rate: Annotated[float, typer.Option(min=0.001, help="Readings a second, of all devices together.")],
    metrics: Annotated[int, typer.Option(min=1, help="Metrics a reading.")] = 1,
    alarms: Annotated[float, typer.Option(min=0, help="How often a device is unusual, a day.")] = 0.1,
    cached: Annotated[float, typer.Option(min=0, max=1, help="The part that the cache answers.")] = 0.8,
    usd_a_million_tokens: Annotated[float, typer.Option(min=0, help="What models cost.")] = 0.5,
    kafka_days: Annotated[float, typer.Option(min=0.1, help="How long Kafka keeps readings.")] = 7.0,
    plain_days: Annotated[float, typer.Option(min=0, help="How long until rows become columnar.")] = 3.0,
    kept_days: Annotated[float, typer.Option(min=1, help="How long the database keeps them.")] = 365.0,
    replicas: Annotated[int, typer.Option(min=1, help="On so many brokers each record is.")] = 3,
    regions: Annotated[int, typer.Option(min=1, help="How many regions share them; then it is of each of these.")] = 1,
    mqtt: Annotated[
        float, typer.Option(min=0, max=1, help="The part that comes over MQTT; the others over HTTP.")
    ] = 0.5,
    columnar: Annotated[bool, typer.Option("--columnar/--plain", help="With TimescaleDB, or without.")] = True,
    as_json: Json = False,
) -> None:
    """Say how many partitions, workers, gigabytes and dollars a fleet needs, from what was measured."""
    fleet = Fleet(
        devices=int(devices),
        rate=rate,
        metrics=metrics,
        alarms=alarms,
        cached=cached,
        usd_a_million_tokens=usd_a_million_tokens,
        kafka_days=kafka_days,
        plain_days=plain_days,
        kept_days=kept_days,
        replicas=replicas,
        columnar=columnar,
        regions=regions,
        mqtt=mqtt,
    )
    needs = plan(fleet)
    if as_json:
        show({"fleet": asdict(fleet), "needs": [asdict(need) for need in needs]}, as_json=True)
        return
    width = max(len(need.what) for need in needs)
    for need in needs:
        amount = f"{need.amount:,.0f}" if need.amount >= 10 else f"{need.amount:,.2g}"  # noqa: PLR2004  # two digits
        print(f"{need.what:<{width}}  {amount:>12} {need.unit:<14} {need.because}")
