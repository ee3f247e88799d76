"""What alerts and dashboards ask of Prometheus is what is declared: each name, and each label."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from faust.sensors.prometheus import FaustMetrics
from prometheus_client import CollectorRegistry

from connectors import metrics
from connectors.declaring import DECLARED
from streams.lane.app import FAUST

assert metrics.text()[0]  # what is declared is so when the module is imported
DEPLOY = Path(__file__).parents[3] / "deploy"
RULES = DEPLOY / "prometheus" / "rules.yml"
# What Prometheus itself puts on every series, and what it makes of targets.
TARGET = frozenset({"job", "instance"})
# What Grafana puts in.
INTERVAL = "$__rate_interval"


def known() -> dict[str, frozenset[str]]:
    """Give the labels of every series, by its name."""
    series = {
        name: TARGET | set(one.labels) | ({"le"} if name.endswith("_bucket") else set())
        for one in DECLARED
        for name in one.series
    }
    registry = CollectorRegistry()
    FaustMetrics.create(registry, FAUST)
    for collector in registry._collector_to_names:  # noqa: SLF001  # of metrics without a value there is no other list
        labels: tuple[str, ...] = getattr(collector, "_labelnames", ())
        series |= dict.fromkeys(registry._collector_to_names[collector], TARGET | set(labels))  # noqa: SLF001  # the same
    return {name: frozenset(labels) for name, labels in series.items()} | {"up": TARGET}


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]]


def expressions() -> Iterator[tuple[str, str]]:
    for rule in rules():
        yield f"alert {rule['alert']}", rule["expr"]
    for file in sorted((DEPLOY / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(file.read_text("utf-8"))["panels"]:
            for target in panel["targets"]:
                if target.get("datasource", panel["datasource"])["type"] == "prometheus":
                    yield f"{file.stem}: {panel['title']} {target['refId']}", target["expr"].replace(INTERVAL, "5m")


def check(text: str) -> set[str]:
    """Check an expression, and give the labels that its result has."""
    return walk(promql_parser.parse(text))


def walk(expression: Any) -> set[str]:  # noqa: ANN401, PLR0911  # the library has no common type; a kind of expression each
    match expression:
        case promql_parser.VectorSelector():
            assert expression.name in known(), f"{expression.name} is not declared"
            labels = known()[expression.name]
            for matcher in expression.matchers.matchers:
                assert matcher.name in labels, f"{expression.name} has no label {matcher.name}"
            return set(labels)
        case promql_parser.MatrixSelector():
            return walk(expression.vector_selector)
        case promql_parser.AggregateExpr():
            inner = walk(expression.expr)
            kept = set(expression.modifier.labels) if expression.modifier is not None else set()
            assert kept <= inner, f"{kept - inner} are no labels of what is summed up"
            return kept
        case promql_parser.BinaryExpr():
            left, right = walk(expression.lhs), walk(expression.rhs)
            return left or right
        case promql_parser.Call():
            found = set[str]().union(*map(walk, expression.args))
            if expression.func.name == "histogram_quantile":
                assert "le" in found, "a quantile needs the label le"
                found.discard("le")
            return found
        case promql_parser.ParenExpr() | promql_parser.UnaryExpr() | promql_parser.SubqueryExpr():
            return walk(expression.expr)
        case promql_parser.NumberLiteral() | promql_parser.StringLiteral():
            return set()
    raise AssertionError(f"what is {type(expression).__name__}?")


@pytest.mark.parametrize(("where", "text"), list(expressions()), ids=lambda value: str(value)[:60])
def test_every_expression_is_about_what_is_declared(where: str, text: str) -> None:
    assert where
    check(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("tidegate_no_such_metric", "not declared"),
        ("rate(tidegate_records[5m])", "not declared"),
        ('tidegate_records_total{outcom="stored"}', "no label"),
        ("sum by (endpoint) (tidegate_records_total)", "no labels"),
        ("histogram_quantile(0.9, sum(rate(tidegate_stored_after_seconds_bucket[5m])))", "le"),
    ],
)
def test_the_check_finds_what_is_wrong(text: str, why: str) -> None:
    with pytest.raises(AssertionError, match=why):
        check(text)


def test_every_alert_says_what_is_wrong_what_to_do_and_how_urgent_it_is() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}, rule["alert"]
        assert set(rule["annotations"]) == {"summary", "cure"}, rule["alert"]
        labels = check(rule["expr"])
        for text in rule["annotations"].values():
            told = {part.split("}}")[0].split()[0] for part in text.split("$labels.")[1:]}
            assert {one.rstrip("}") for one in told} <= labels, rule["alert"]


def test_metrics_are_declared_with_help_and_names_that_say_their_unit() -> None:
    for one in DECLARED:
        assert one.name.startswith("tidegate_"), one.name
        assert one.help, one.name
        ending = {"seconds": "_seconds", "bytes": "_bytes", "dollars": "_usd", "tokens": "_tokens"}
        if one.unit:
            assert one.name.endswith(ending[one.unit]), one.name
        for unit, end in ending.items():
            assert not one.name.endswith(end) or one.unit == unit, one.name


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_itself_takes_the_rules_and_its_configuration(tmp_path: Path) -> None:
    for what, file in (("rules", RULES), ("config", DEPLOY / "prometheus" / "prometheus.yml")):
        done = subprocess.run(["promtool", "check", what, file], capture_output=True, text=True, check=False)  # noqa: S603, S607  # a tool of the machine
        assert done.returncode == 0, done.stdout + done.stderr
    lag = 'tidegate_group_lag_records{job="tidegate-gateway",group="g",topic="readings"'
    series = {
        'tidegate_poison_total{job="tidegate-ingest",instance="a",stage="ingest",reason="key"}': "0x20 6+6x20",
        'tidegate_records_total{job="tidegate-ingest",instance="a",outcome="stored"}': "0+100x40",
        f'{lag},instance="a",partition="0"}}': "0+9000x40",
        f'{lag},instance="b",partition="0"}}': "0+9000x40",
        f'{lag},instance="a",partition="1"}}': "5x40",
        'tidegate_poison_stops{job="tidegate-gateway",instance="a"}': "0x20 1x20",
        'up{job="tidegate-bridge",instance="a"}': "1x20 0x20",
    }
    fires = {
        "TidegatePoison": [{"severity": "warning"}],
        "TidegateLag": [{"severity": "warning", "group": "g"}],
        "TidegateLagOfOnePartition": [{"severity": "warning", "group": "g", "topic": "readings", "partition": "0"}],
        "TidegatePoisonStop": [{"severity": "critical"}],
        "TidegateDown": [{"severity": "critical", "job": "tidegate-bridge", "instance": "a"}],
        "TidegateFetchingPaused": [],
        "TidegateGatewayErrors": [],
    }
    # What alerts say is no part of this.
    plain = {
        "groups": [{"name": "t", "rules": [{k: v for k, v in one.items() if k != "annotations"} for one in rules()]}]
    }
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(plain))
    file = tmp_path / "test.yml"
    tests = [
        {
            "eval_time": at,
            "alertname": name,
            "exp_alerts": [{"exp_labels": labels} for labels in (fire if late else [])],
        }
        for at, late in (("9m", False), ("39m", True))
        for name, fire in fires.items()
    ]
    written = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "alert_rule_test": tests,
            }
        ],
    }
    file.write_text(yaml.safe_dump(written))
    done = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, check=False)  # noqa: S603, S607  # a tool of the machine
    assert done.returncode == 0, done.stdout + done.stderr
