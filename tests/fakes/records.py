"""Records as confluent-kafka gives them: each field is asked for by a call."""

from dataclasses import dataclass

from schemas.origin import Headers


@dataclass(frozen=True)
class FakeRecord:
    at: int  # offset
    time: int = 0  # milliseconds since the epoch
    the_key: bytes | None = b"k"
    the_value: bytes | None = b"v"
    of_topic: str = "readings"
    of_partition: int = 3
    the_headers: Headers | None = None

    def topic(self) -> str:
        return self.of_topic

    def partition(self) -> int:
        return self.of_partition

    def offset(self) -> int:
        return self.at

    def timestamp(self) -> tuple[int, int]:
        return 2, self.time  # the broker's time

    def key(self) -> bytes | None:
        return self.the_key

    def value(self) -> bytes | None:
        return self.the_value

    def headers(self) -> Headers | None:
        return self.the_headers

    def error(self) -> None:
        return None
