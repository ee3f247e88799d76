"""`tidegate keys`: who may use the API."""

import getpass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from connectors.keys import ApiKey, Scope, digest, make, written
from connectors.mqtt.access import access_list
from connectors.timescale import keys
from connectors.timescale.connection import connect
from schemas.fields import Name
from streams.cli import keys_between
from streams.cli.output import Json, UsageError, say, show
from streams.settings import load

app = typer.Typer(help="Who may use the API.", no_args_is_help=True)

app.command("export", epilog="Example: [bold]tidegate keys export > keys.ndjson[/]")(keys_between.export)
app.command("import", epilog="Example: [bold]tidegate keys import keys.ndjson[/]")(keys_between.take_over)

_DEVICE: TypeAdapter[str] = TypeAdapter(Name)


@app.command(
    "create",
    epilog="Examples: [bold]tidegate keys create 'line 4' --scope ingest --tenant acme[/] · "
    "[bold]tidegate keys create ops --scope admin --days 90 --json[/]",
)
def create(
    name: Annotated[str, typer.Argument(help="What it is for, for people.")],
    *,
    scope: Annotated[list[Scope], typer.Option(help="What it may do; more than one may be given.")],
    tenant: Annotated[str, typer.Option(help="Whose devices it is for.")] = "",
    per_minute: Annotated[int | None, typer.Option(min=1, help="Requests a minute, at each gateway.")] = None,
    days: Annotated[int | None, typer.Option(min=1, max=36_500, help="For how many days it is good.")] = None,
    as_json: Json = False,
) -> None:
    """Make a key. It is shown this once, and nobody can find out again what it was."""
    now = datetime.now(UTC)
    key_id, secret = make()
    key = ApiKey(
        id=key_id,
        tenant=tenant,
        name=name,
        scopes=frozenset(scope),
        hash=digest(secret),
        per_minute=per_minute,
        created=now,
        expires=None if days is None else now + timedelta(days=days),
        revoked=None,
    )
    with connect(load().database, autocommit=True) as connection:
        keys.add(connection, key)
    if not as_json:
        say("Keep it now: it is not shown again.")
    show(
        {"key": written(key_id, secret), "id": key_id, "tenant": tenant, "scopes": sorted(key.scopes)}, as_json=as_json
    )


@app.command("list", epilog="Example: [bold]tidegate keys list --json[/]")
def list_keys(*, as_json: Json = False) -> None:
    """List the keys, the newest first; none of them can be used."""
    with connect(load().database, autocommit=True) as connection:
        found = keys.listed(connection)
    now = datetime.now(UTC)
    told = {key.id: _told(key, now) for key in found}
    show(told if as_json else {key_id: _line(fields) for key_id, fields in told.items()}, as_json=as_json)


@app.command("revoke", epilog="Example: [bold]tidegate keys revoke k3v5n7c2q4ya[/]")
def revoke(
    key_id: Annotated[str, typer.Argument(help="Its id, as `tidegate keys list` shows it.")], *, as_json: Json = False
) -> None:
    """Let a key open nothing any more: within ten seconds at every gateway that reaches the database."""
    with connect(load().database, autocommit=True) as connection:
        if not keys.revoke(connection, key_id, datetime.now(UTC)):
            raise UsageError(f"There is no key {key_id!r}: `tidegate keys list` shows which there are.")
    show({"revoked": key_id}, as_json=as_json)


@app.command("own", epilog="Example: [bold]tidegate keys own acme pump-1 pump-2[/]")
def own(
    tenant: Annotated[str, typer.Argument(help="Whose they are from now on.")],
    device: Annotated[list[str], typer.Argument(help="Ids of devices; those that there are not yet, too.")],
    *,
    as_json: Json = False,
) -> None:
    """Make devices a tenant's. Over HTTP a new device is by itself that of the key which first writes it."""
    try:
        devices = [_DEVICE.validate_python(one) for one in device]
    except ValidationError as error:
        raise UsageError(f"{error.errors()[0]['input']!r} can be no device's id.") from None
    with connect(load().database, autocommit=True) as connection:
        keys.give(connection, devices, tenant, datetime.now(UTC), who=getpass.getuser())
    show({"tenant": tenant, "devices": sorted(set(devices))}, as_json=as_json)


@app.command("acl", epilog="Example: [bold]tidegate keys acl --bridge tidegate > acl[/]")
def acl(*, bridge: Annotated[str, typer.Option(help="The user that the bridge logs in as.")] = "tidegate") -> None:
    """Print an access list for Mosquitto that says what keys say: tenants publish their own devices' readings alone."""
    with connect(load().database, autocommit=True) as connection:
        # All of it, or nothing: half a list would shut out the others.
        lines = list(access_list(keys.owned(connection), bridge))
    print("\n".join(lines))


def _told(key: ApiKey, now: datetime) -> dict[str, object]:
    state = "good"
    if key.revoked is not None:
        state = "revoked"
    elif key.expires is not None and key.expires <= now:
        state = "expired"
    return {
        "name": key.name,
        "tenant": key.tenant,
        "scopes": sorted(key.scopes),
        "per_minute": key.per_minute,
        "created": key.created.isoformat(),
        "expires": None if key.expires is None else key.expires.isoformat(),
        "state": state,
    }


def _line(fields: dict[str, object]) -> str:
    scopes = fields["scopes"]
    shown = " ".join(scopes) if isinstance(scopes, list) else ""
    return f"{fields['state']}  {shown}  tenant {fields['tenant']!r}  {fields['name']}"
