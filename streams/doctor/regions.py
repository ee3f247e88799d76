"""Other regions: whether what they accept comes here."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from streams.doctor.finding import Finding
from streams.observe import Observer, PeerSeen
from streams.settings import Settings

# MirrorMaker writes one a second.
LATE_S: Final = 60.0


def check(settings: Settings) -> Iterator[Finding]:
    """Look at each other region as it is seen from here.

    Raises:
        UnreachableError: Kafka or the database does not answer.

    """
    if not settings.peers:
        return
    with Observer(settings) as observer:
        seen = observer.peers(datetime.now(UTC))
    for name, peer in seen.items():
        yield _peer(name, peer)
    if not settings.shared:
        yield Finding(
            "regions replays",
            fine=False,
            seen="TIDEGATE_REGIONS_SECRET is not set: what another region replays counts here as accepted when copied",
            cure="Set the same secret in all regions.",
        )


def _peer(name: str, peer: PeerSeen) -> Finding:
    if peer.heartbeat_s is None:
        seen = "no heartbeat has ever come"
    else:
        seen = f"the last heartbeat is {peer.heartbeat_s:.0f} s old"
    if peer.heartbeat_s is None or peer.heartbeat_s > LATE_S:
        cure = (
            "Look whether MirrorMaker runs here and there (tidegate region mirror), at its log, and at the link. What "
            "is accepted meanwhile comes later, as long as Kafka keeps it there."
        )
        return Finding(f"region {name}", fine=False, seen=seen, cure=cure)
    return Finding(f"region {name}", fine=True, seen=f"{seen}, {sum(peer.behind.values())} records are not stored yet")
