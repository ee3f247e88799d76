import struct

import pytest

from connectors.embedded.fetch_pacing import brings_nothing

RECORDS = b"x" * 70


def answer(version: int, records: bytes = b"", error: int = 0) -> bytes:
    """Compose a fetch answer with two topics of two partitions each; the last partition has what is given."""
    compact = version >= 12

    def array(items: list[bytes]) -> bytes:
        count = bytes([len(items) + 1]) if compact else struct.pack(">i", len(items))
        return count + b"".join(items)

    tags = b"\x00" if compact else b""

    def partition(records: bytes, error: int) -> bytes:
        body = struct.pack(">ihqq", 0, error, 100, 100) + (struct.pack(">q", 0) if version >= 5 else b"")
        body += array([struct.pack(">qq", 1, 2) + tags])  # one aborted transaction
        body += struct.pack(">i", -1) if version >= 11 else b""
        body += (bytes([len(records) + 1]) if compact else struct.pack(">i", len(records))) + records
        return body + tags

    def topic(name: bytes, records: bytes, error: int) -> bytes:
        if version >= 13:
            head = name.ljust(16, b"-")
        else:
            head = (bytes([len(name) + 1]) if compact else struct.pack(">h", len(name))) + name
        return head + array([partition(b"", 0), partition(records, error)]) + tags

    top = struct.pack(">hi", 0, 9) if version >= 7 else b""
    topics = array([topic(b"readings", b"", 0), topic(b"insights", records, error)])
    return struct.pack(">i", 1) + tags + struct.pack(">i", 0) + top + topics + tags


@pytest.mark.parametrize("version", range(4, 14))
def test_only_an_answer_without_records_and_errors_brings_nothing(version: int) -> None:
    assert brings_nothing(answer(version), version)
    assert not brings_nothing(answer(version, records=RECORDS), version)
    assert not brings_nothing(answer(version, error=1), version)
    assert not brings_nothing(answer(version, error=-1), version)


@pytest.mark.parametrize("version", range(4, 14))
def test_an_answer_cut_short_is_passed_on(version: int) -> None:
    whole = answer(version, records=RECORDS)
    assert not any(brings_nothing(whole[:length], version) for length in range(len(whole) - 75))


@pytest.mark.parametrize("version", [0, 3, 14, 99])
def test_an_unknown_version_is_passed_on(version: int) -> None:
    assert not brings_nothing(answer(13), version)
