"""`tidegate webhooks`: who is told of what is urgent, and what has become of it."""

import asyncio
import base64
import getpass
import secrets
import uuid
from datetime import UTC, datetime
from typing import Annotated

import typer

from connectors.clock import SystemClock
from connectors.timescale.deliveries import Deliveries
from connectors.webhooks.message import of_test
from connectors.webhooks.sender import Sender
from connectors.webhooks.settings import MOST_SECRET_BYTES, PREFIX, Webhook
from streams.cli.output import Json, UsageError, say, show
from streams.settings import Settings, load

app = typer.Typer(help="Who is told of what is urgent.", no_args_is_help=True)


@app.command("list", epilog="Examples: [bold]tidegate webhooks list[/] · [bold]tidegate webhooks list --json[/]")
def list_webhooks(*, as_json: Json = False) -> None:
    """Show the webhooks, and of the last 30 days how many messages wait, were delivered and are dead."""
    settings = load()
    told = asyncio.run(_told(settings))
    show(told if as_json else {name: _line(fields) for name, fields in told.items()}, as_json=as_json)


@app.command("secret", epilog="Example: [bold]tidegate webhooks secret[/]")
def secret(*, as_json: Json = False) -> None:
    """Make a secret that messages are signed with; it is kept nowhere but where you put it."""
    show({"secret": PREFIX + base64.b64encode(secrets.token_bytes(MOST_SECRET_BYTES // 2)).decode()}, as_json=as_json)


@app.command("test", epilog="Example: [bold]tidegate webhooks test on-call[/]")
def send_test(name: Annotated[str, typer.Argument(help="Its name in the settings.")], *, as_json: Json = False) -> None:
    """Send a message that tells of nothing, once; fails if it does not arrive."""
    hook = _named(load(), name)
    message_id = str(uuid.uuid4())

    async def send() -> str | None:
        async with Sender(hook, SystemClock()) as sender:
            return (await sender.send(message_id, of_test(datetime.now(UTC)))).error

    error = asyncio.run(send())
    show({"webhook": name, "message": message_id, "delivered": error is None, "error": error}, as_json=as_json)
    if error is not None:
        raise typer.Exit(1)


@app.command("retry", epilog="Examples: [bold]tidegate webhooks retry on-call[/] · [bold]tidegate webhooks retry[/]")
def retry(
    name: Annotated[str | None, typer.Argument(help="Its name in the settings; without it, all of them.")] = None,
    *,
    as_json: Json = False,
) -> None:
    """Have messages that are dead delivered after all: workers try them again from the start."""
    settings = load()
    if name is not None:
        _named(settings, name)

    async def revive() -> int:
        async with Deliveries(settings.database) as deliveries:
            return await deliveries.revive(name, datetime.now(UTC), who=getpass.getuser())

    revived = asyncio.run(revive())
    if not as_json and revived:
        say("Workers deliver them within a few seconds: `tidegate webhooks list` shows how it goes.")
    show({"tried again": revived}, as_json=as_json)


def _named(settings: Settings, name: str) -> Webhook:
    found = next((hook for hook in settings.webhooks if hook.name == name), None)
    if found is None:
        there = ", ".join(hook.name for hook in settings.webhooks) or "none"
        raise UsageError(f"TIDEGATE_WEBHOOKS has no webhook {name!r}; it has {there}.")
    return found


async def _told(settings: Settings) -> dict[str, dict[str, object]]:
    async with Deliveries(settings.database) as deliveries:
        rows = await deliveries.counts()
    told: dict[str, dict[str, object]] = {}
    for hook in settings.webhooks:
        told[hook.name] = {"severity": str(hook.severity), "tenant": hook.tenant}
    for row in rows:
        # Of one that is in the settings no more it is shown as well what became of its messages.
        fields = told.setdefault(row["hook"], {"severity": None, "tenant": None})
        fields[row["state"]] = row["messages"]
        if row["state"] == "waiting":
            fields["oldest"] = row["oldest"].isoformat()
        if row["state"] != "delivered":
            fields["error"] = row["error"]
    for fields in told.values():
        for state in ("waiting", "delivered", "dead"):
            fields.setdefault(state, 0)
    return told


def _line(fields: dict[str, object]) -> str:
    told = "  ".join(f"{fields[state]} {state}" for state in ("waiting", "delivered", "dead"))
    return f"{fields['severity'] or 'not in the settings'}  {told}  {fields.get('error') or ''}".rstrip()
