"""Takes everything together that a drill found, and says what does not hold."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import psycopg

from streams.drill import invariants
from streams.drill.place import Place
from streams.drill.report import Report
from streams.drill.rows import rows
from streams.drill.sites import BATCH, Accepted, Site

MOST_RTO_S: Final = 60.0
MOST_RPO_S: Final = 5.0
INSIGHTS: Final = "select id::text, region from insights order by id"
# What was said of other regions' readings by this one.
ANALYSED_TWICE: Final = "select count(*) from insights where detail->>'topic' like '%%.readings'"
LETTERS: Final = "select coalesce(sum(poison), 0)::bigint, coalesce(sum(conflicts), 0)::bigint from sink_offsets"


def batch(one: Accepted) -> range:
    """Give the numbers of the readings of a batch."""
    return range(one.first, one.first + BATCH)


def judge(report: Report, places: Sequence[Place], sites: Sequence[Site], ages: Sequence[float]) -> None:
    """Compare each region's rows with what was accepted anywhere, and the regions with each other."""
    report.mirrored_ms = {
        "p50": float(np.percentile(ages, 50)) * 1000,
        "p99": float(np.percentile(ages, 99)) * 1000,
        "most": max(ages) * 1000,
    }
    report.rto_s = max((one.out_s for one in report.disasters if one.out_s is not None), default=0.0)
    report.rpo_s = max([report.mirrored_ms["p99"] / 1000, *(one.behind_s for one in report.disasters)])
    books = [site.book for site in sites]
    report.accepted = sum(book.accepted for book in books)
    insights = []
    for place in places:
        table = rows(place.database, place.folder)
        report.rows[place.name] = len(table)
        _rows(report, place, invariants.compare(table, books, {}), invariants.strangers(table, books, ()))
        with psycopg.connect(place.database) as connection:
            insights.append(connection.execute(INSIGHTS).fetchall())
            twice, (poison, conflicts) = _counts(connection)
        report.checks[f"other regions' readings that were analysed in {place.name}"] = twice
        report.checks[f"records that {place.name} could not use, or that contradicted others"] = poison + conflicts
        if twice:
            report.violations.append(f"{place.name} has analysed {twice} readings of other regions")
        if poison or conflicts:
            report.violations.append(f"{place.name} has {poison} records that it could not use, {conflicts} conflicts")
    report.checks["insights in each region"] = len(insights[0])
    if any(found != insights[0] for found in insights):
        report.violations.append(f"the regions have other insights: {', '.join(str(len(found)) for found in insights)}")
    report.checks["readings that were sent again after a move"] = sum(getattr(site, "sent_again", 0) for site in sites)
    if report.rto_s > MOST_RTO_S:
        report.violations.append(f"devices were accepted nowhere for {report.rto_s:.0f} s")
    if report.rpo_s > MOST_RPO_S:
        report.violations.append(f"a region was {report.rpo_s:.1f} s behind")


def _rows(report: Report, place: Place, found: Sequence[invariants.Comparison], strangers: int) -> None:
    lost = sum(stream.lost for stream in found)
    more = sum(stream.duplicated + stream.foreign + stream.wrong for stream in found) + strangers
    report.lost += lost
    report.duplicated += more
    if lost:
        report.violations.append(f"{place.name} has lost {lost} readings")
    if more:
        report.violations.append(f"{place.name} has {more} rows too many, or wrong ones")


def _counts(connection: "psycopg.Connection[tuple[object, ...]]") -> tuple[int, tuple[int, int]]:
    twice = connection.execute(ANALYSED_TWICE.encode()).fetchone() or (0,)
    poison, conflicts = connection.execute(LETTERS.encode()).fetchone() or (0, 0)
    return int(str(twice[0])), (int(str(poison)), int(str(conflicts)))
