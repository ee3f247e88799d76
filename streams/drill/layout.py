"""What a drill is made of: two regions in a list, and the sites near each of them."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from connectors.dns import configuration as dns
from connectors.embedded import ports
from connectors.regions import Regions
from streams.drill.book import Book, Present
from streams.drill.fleet import Stream
from streams.drill.place import Ground, Place
from streams.drill.resolver import Resolver
from streams.drill.sites import HttpSite, MqttSite, Site, Way

# The regions: their names, addresses of their own on this machine, and networks of devices near them.
REGIONS: Final = {"us": ("127.0.1.1", "10.1.0.0/16"), "eu": ("127.0.2.1", "10.2.0.0/16")}
ZONE: Final = "drill.test"
SITES: Final = {"mqtt": 2, "http": 2}  # of each region
DEVICES: Final = 10  # of each site
STEP_US: Final = 200_000  # a little less than a device really waits: no clock gets ahead
SECOND_US: Final = 1_000_000


def listed(places: Sequence[Place], ground: Ground, names: Mapping[str, int]) -> Regions:
    """Write the list of regions, the same for both; `names`: how names lead to them, where it is not as usual."""
    said = {
        "regions": [
            {
                "name": place.name,
                "kafka": {"bootstrap_servers": f"{ports.LOOPBACK}:{place.link.port}", "replication_factor": 1},
                "addresses": [place.address],
                "nets": [REGIONS[place.name][1]],
            }
            for place in places
        ],
        "dns": {"zone": ZONE, "http_port": ground.http_port, "mqtt_port": ground.mqtt_port, **names},
    }
    ground.regions_file.write_text(json.dumps(said, indent=2), encoding="utf-8")
    return Regions.model_validate(said)


def sites(places: Sequence[Place], server: tuple[str, int], ground: Ground) -> list[Site]:
    """Make the load: sites near each region, which ask a name server where to send to."""
    return list(_made(places, server, ground))


def _made(places: Sequence[Place], server: tuple[str, int], ground: Ground) -> Iterator[Site]:
    regions = {place.address: place.name for place in places}
    present, start_us = Present(), int(time.time() * SECOND_US)
    kinds = {"mqtt": (MqttSite, ground.mqtt_port), "http": (HttpSite, ground.http_port)}
    for place in places:
        subnet = REGIONS[place.name][1].partition("/")[0]
        for kind, count in SITES.items():
            for number in range(count):
                book = Book(Stream(f"{place.name}-{kind}-{number}", DEVICES, STEP_US, start_us), present)
                site, port = kinds[kind]
                way = Way(Resolver(server, f"{dns.DEVICES}.{ZONE}", subnet), port, regions)
                yield site(place.name, book, way)
