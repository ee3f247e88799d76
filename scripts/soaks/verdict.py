"""Takes everything together that was found in the end, and says what does not hold."""

from collections.abc import Sequence
from typing import Final

from connectors.timescale.ledger import FencedError
from scripts.soaks.outside import Counts, Letters
from scripts.soaks.report import Report
from scripts.soaks.sampler import Findings
from scripts.soaks.workers import WORKERS, Exit
from streams.drill.book import Counter
from streams.drill.invariants import Comparison

EXAMPLES: Final = 3
# Of a worker: what its libraries take (half of it), batches in hand, and the detectors of a thousand devices.
MOST_RSS_MIB: Final = 1024
# What a process may end for by itself while a fault lasts: it was fenced, or a server was away when it started.
REASONS: Final = (str(FencedError()), "does not answer at")


def rows(report: Report, found: Sequence[Comparison], strangers: int) -> None:
    """Judge the table against what was accepted."""
    for stream in found:
        report.accepted += stream.accepted
        report.lost += stream.lost
        report.duplicated += stream.duplicated
        if stream.lost:
            report.violations.append(f"{stream.lost} of {stream.accepted} readings of {stream.stream} are lost")
        if stream.duplicated:
            report.violations.append(f"{stream.duplicated} readings of {stream.stream} stand there more than once")
        if stream.wrong:
            report.violations.append(f"{stream.wrong} rows of {stream.stream} have another value than was sent")
        if stream.foreign:
            report.violations.append(f"{stream.foreign} rows of {stream.stream} are readings that nobody sent")
        report.checks[f"rows of {stream.stream}"] = stream.rows
    if strangers:
        report.violations.append(f"{strangers} rows are of devices that nobody has")
    report.checks["rows of readings whose acceptance was not told"] = sum(stream.unconfirmed for stream in found)
    report.checks["lost by the killed MQTT broker itself, which saves every second"] = sum(
        stream.unsaved for stream in found
    )


def counted(report: Report, counts: Counts, *, table_rows: int, log_records: int) -> None:
    """Judge the marks' counts: each record of the log is counted once, and each stored one is a row."""
    report.checks["records in the log"] = log_records
    report.checks["of them stored"] = counts.stored
    report.checks["of them duplicates"] = counts.duplicates
    report.checks["of them conflicts"] = counts.conflicts
    report.checks["of them poison"] = counts.poison
    if counts.all != log_records:
        report.violations.append(f"the marks count {counts.all} records, the log has {log_records}")
    if counts.stored != table_rows:
        report.duplicated += max(0, counts.stored - table_rows)
        report.violations.append(f"the marks count {counts.stored} rows stored, the table has {table_rows}")


def letters(
    report: Report, found: Letters, poison: set[tuple[int, int]], counts: Counts, counters: Sequence[Counter]
) -> None:
    """Judge the dead letters: all poison is there, by its place in the log, and each count that lost."""
    missing, extra = poison - found.poison.keys(), found.poison.keys() - poison
    report.checks["poison sent"] = len(poison)
    report.checks["dead letters of it, each counted once"] = len(found.poison)
    report.checks["dead letters that came again"] = sum(found.poison.values()) - len(found.poison)
    if missing:
        report.violations.append(f"{len(missing)} poisoned records have no dead letter, such as {_some(missing)}")
    if extra:
        report.violations.append(f"{len(extra)} dead letters are of good records, such as {_some(extra)}")
    if counts.poison != len(poison):
        report.violations.append(f"the marks count {counts.poison} poisoned records, {len(poison)} were sent")
    if found.others:
        report.violations.append(f"{found.others} dead letters say neither where nor why")
    unkept = 0
    for counter in counters:
        losers = set(map(float, range(1, counter.accepted)))
        unkept += len(losers - found.conflicts.get(counter.device, set()))
    report.checks["counts that lost, in dead letters"] = sum(map(len, found.conflicts.values()))
    if unkept:
        report.violations.append(f"{unkept} values that lost against a later one are not in dead-letters")


def order(report: Report, findings: Findings, standing: Sequence[str], counters: Sequence[Counter]) -> None:
    """Judge what was seen while it went on, and the counters' end."""
    report.checks["looks at marks, offsets and counters"] = findings.samples
    report.checks["offsets committed ahead of the marks"] = len(findings.ahead)
    report.checks["marks or counters that went backwards"] = len(findings.backwards)
    report.checks["counters, each rewriting one key"] = len(counters)
    report.checks["counts written"] = sum(counter.accepted for counter in counters)
    report.checks["counters that do not stand at their last count"] = len(standing)
    if not findings.samples:
        report.violations.append("marks and offsets were never looked at")
    for found in (findings.ahead, findings.backwards, standing):
        if found:
            report.violations.append(f"{len(found)} times: {'; '.join(found[:EXAMPLES])}")


def processes(report: Report, exits: Sequence[Exit], rss_mib: dict[str, float], codes: dict[str, int]) -> None:
    """Judge how processes ended and what memory they took."""
    report.exits = tuple(exits)
    report.rss_mib = dict(rss_mib)
    report.checks["processes that ended without a fault"] = sum(not exit_.cause for exit_ in exits)
    for exit_ in exits:
        if not exit_.cause:
            report.violations.append(f"{exit_.process} ended with code {exit_.code} for no fault: {exit_.reason}")
        elif not exit_.meant and not any(words in exit_.reason for words in REASONS):
            report.violations.append(
                f"{exit_.process} ended with code {exit_.code} while {exit_.cause} went on: {exit_.reason}"
            )
        elif exit_.meant and "stopped" in exit_.cause and exit_.code:
            report.violations.append(f"{exit_.process} was stopped in order and ended with code {exit_.code}")
    for name, code in codes.items():
        if code:
            report.violations.append(f"{name} ended with code {code} when it was stopped at the end")
    for name in WORKERS:
        if rss_mib.get(name, 0.0) > MOST_RSS_MIB:
            report.violations.append(f"{name} took {rss_mib[name]:.0f} MiB of memory")


def _some(places: set[tuple[int, int]]) -> str:
    return ", ".join(f"readings[{partition}]:{offset}" for partition, offset in sorted(places)[:EXAMPLES])
