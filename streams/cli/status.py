"""`tidegate status`: how things are now."""

from dataclasses import asdict

from streams.cli.output import Json, show
from streams.observe import Observer
from streams.settings import load

EXAMPLES = "Examples: [bold]tidegate status[/] · [bold]tidegate status --json[/]"

LATEST = 5


def command(*, as_json: Json = False) -> None:
    """Show what came in, how far the groups are behind, and the latest insights."""
    with Observer(load()) as observer:
        totals = asdict(observer.totals())
        written, lag, latest = observer.topics(), observer.lag(), observer.insights(latest=LATEST)
        devices = observer.devices()
    if as_json:
        told = [asdict(insight) for insight in latest]
        show({"topics": written, "lag": lag, "totals": totals, "devices": devices, "insights": told}, as_json=True)
        return
    lines: dict[str, object] = {f"topic {name}": f"{count} records" for name, count in written.items()}
    lines |= {f"group {name}": f"{behind} behind" for name, behind in lag.items()}
    lines |= {"devices": devices, **totals}
    lines |= {f"insight {place}": f"[{told.severity}] {told.summary}" for place, told in enumerate(latest, start=1)}
    show(lines, as_json=False)
