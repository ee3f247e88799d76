"""Names to addresses, as a resolver near a device asks for them: it says whose behalf it asks on (RFC 7871)."""

import time
from typing import Final

import dns.exception
import dns.message
import dns.query
from dns.edns import ECSOption
from dns.rdatatype import RdataType

ASKED_WITHIN_S: Final = 2.0
PREFIX: Final = 24


class Resolver:
    """One name, asked again when the answer is out of date; for one thread."""

    def __init__(self, server: tuple[str, int], name: str, subnet: str) -> None:
        """`subnet` is the address of whoever wants to know: the answer is for its network."""
        self._server = server
        self._name = name
        self._subnet = subnet
        self._address = ""
        self._until = 0.0

    def address(self) -> str:
        """Give an address; the last one where nobody answers. Empty: there was never any."""
        now = time.monotonic()
        if now >= self._until:
            found = self.ask()
            if found is not None:
                self._address, ttl = found
                self._until = now + ttl
        return self._address

    def ask(self) -> tuple[str, int] | None:
        """Ask now; give the first address and for how many seconds it holds, or None."""
        query = dns.message.make_query(self._name, RdataType.A, use_edns=0, options=[ECSOption(self._subnet, PREFIX)])
        host, port = self._server
        try:
            answer = dns.query.udp(query, host, timeout=ASKED_WITHIN_S, port=port)
        except (dns.exception.DNSException, OSError):
            return None
        found = [(record.address, records.ttl) for records in answer.answer for record in records]
        return found[0] if found else None
