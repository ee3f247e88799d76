"""The list of regions as gdnsd's configuration: the nearest region that is well is answered (its plugin `geoip`).

Two names, since they ask for different things. Devices need a region that takes readings: Kafka and the MQTT broker.
People and services need one that answers, database included. So a region whose database is away goes on taking what
devices send, and nobody is sent there to look at it.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Final

from connectors.regions import Dns, Region, Regions, RegionsError

# Below the zone.
DEVICES: Final = "in"
PEOPLE: Final = "api"
TAKES_READINGS: Final = "/readyz/ingest"
ANSWERS: Final = "/readyz"


def files(regions: Regions, *, listen: str, folder: str = "") -> dict[str, str]:
    """Give the files of gdnsd's folder, by their names in it.

    `listen` is where it answers, as `192.0.2.1` or `127.0.0.1:5353`. `folder`: where it keeps what it writes; empty:
    where its package has it.

    Raises:
        RegionsError: the list has no `dns`, or a region no address.

    """
    dns = regions.dns
    if dns is None:
        raise RegionsError("the list of regions has no part `dns`")
    for region in regions.regions:
        if not region.addresses:
            raise RegionsError(f"the region {region.name} has no `addresses`")
        if dns.geoip2_db and (region.latitude is None or region.longitude is None):
            raise RegionsError(f"with geoip2_db, the region {region.name} needs `latitude` and `longitude`")
    # Below five seconds it would raise what the zone says.
    options: dict[str, object] = {"listen": [listen], "zones_default_ttl": dns.ttl_s, "min_ttl": _least(dns)}
    if folder:
        options |= {"run_dir": f"{folder}/run", "state_dir": f"{folder}/state"}
    top = {"options": options, "service_types": _checks(dns), "plugins": {"geoip": _geoip(regions.regions, dns)}}
    return {"config": "".join(_lines(top)), f"zones/{dns.zone}": _zone(regions.regions, dns)}


def _checks(dns: Dns) -> dict[str, object]:
    timing: dict[str, object] = {
        "interval": dns.interval_s,
        "timeout": dns.timeout_s,
        "down_thresh": dns.failures,
        "ok_thresh": dns.failures,
        "up_thresh": dns.successes,
    }
    http = {"plugin": "http_status", "port": dns.http_port, **timing}
    return {
        "readings": {**http, "url_path": TAKES_READINGS},
        "answers": {**http, "url_path": ANSWERS},
        "mqtt": {"plugin": "tcp_connect", "port": dns.mqtt_port, **timing},
    }


def _geoip(regions: Sequence[Region], dns: Dns) -> dict[str, object]:
    names = [region.name for region in regions]
    nearest: dict[str, object] = {"datacenters": names}
    # Who is near one region goes to the others in the order of the list when that one is away.
    nets = {
        str(net): [region.name, *(name for name in names if name != region.name)]
        for region in regions
        for net in region.nets
    }
    if nets:
        nearest["nets"] = nets
    if dns.geoip2_db:
        nearest["geoip2_db"] = dns.geoip2_db
        nearest["auto_dc_coords"] = {region.name: [region.latitude, region.longitude] for region in regions}
    places = {region.name: _addresses(region) for region in regions}
    resource = {"map": "nearest", "dcmap": places}
    return {
        "maps": {"nearest": nearest},
        "resources": {
            DEVICES: {**resource, "service_types": ["readings", "mqtt"]},
            PEOPLE: {**resource, "service_types": ["answers"]},
        },
    }


def _addresses(region: Region) -> dict[str, object]:
    """Give a region's addresses, by kind: all that are well are answered."""
    kinds = {"addrs_v4": 4, "addrs_v6": 6}
    by_kind = {
        name: [str(address) for address in region.addresses if address.version == version]
        for name, version in kinds.items()
    }
    return {name: found for name, found in by_kind.items() if found}


def _zone(regions: Sequence[Region], dns: Dns) -> str:
    """Compose the zone: gdnsd runs in each region, so each is a name server of it."""
    lines = [
        "; Made from the list of regions; change that.",
        f"@ {dns.ttl_s} SOA ns-{regions[0].name} hostmaster ( 1 7200 1800 259200 {dns.ttl_s} )",
        *(f"@ 3600 NS ns-{region.name}" for region in regions),
    ]
    for region in regions:
        for address in region.addresses:
            kind = "AAAA" if address.version == 6 else "A"  # noqa: PLR2004  # the version of IP
            lines += [f"ns-{region.name} 3600 {kind} {address}", f"{region.name} {dns.ttl_s} {kind} {address}"]
    lines += [f"{name} {dns.ttl_s}/{_least(dns)} DYNA geoip!{name}" for name in (DEVICES, PEOPLE)]
    return "\n".join(lines) + "\n"


def _least(dns: Dns) -> int:
    """Give the time that an answer holds when a check could soon change it."""
    return max(1, dns.ttl_s // 2)


def _lines(values: dict[str, object], depth: int = 0) -> Iterator[str]:
    indent = "  " * depth
    for name, value in values.items():
        if isinstance(value, dict):
            yield f"{indent}{_word(name)} => {{\n"
            yield from _lines(value, depth + 1)
            yield f"{indent}}}\n"
        elif isinstance(value, list):
            yield f"{indent}{_word(name)} => [ {', '.join(map(_word, value))} ]\n"
        else:
            yield f"{indent}{_word(name)} => {_word(value)}\n"


def _word(value: object) -> str:
    """Quote what is no number: gdnsd's quotes escape as those of JSON do."""
    return json.dumps(str(value), ensure_ascii=True) if isinstance(value, str) else str(value)
