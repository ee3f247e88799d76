"""`tidegate metrics`: what the parts of the flow tell Prometheus."""

from dataclasses import asdict

from connectors import metrics
from connectors.declaring import DECLARED
from streams.cli.output import Json, show

EXAMPLES = "Examples: [bold]tidegate metrics[/] · [bold]tidegate metrics --json[/]"


def command(*, as_json: Json = False) -> None:
    """List all metrics with their types, units, labels and what they mean; Faust's own begin with faust_."""
    metrics.text()  # they are declared when the module is there
    if as_json:
        show({"metrics": [asdict(one) for one in DECLARED]}, as_json=True)
        return
    for one in DECLARED:
        labels = f"{{{', '.join(one.labels)}}}" if one.labels else ""
        print(f"{one.name}{labels}\n  {one.kind}{f' of {one.unit}' if one.unit else ''}: {one.help}")
