"""Alerts, runbook, dashboard and the metrics of the code agree: nobody is woken by a number that does not exist, and
every alert says what to do."""

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from chassis.core.log_events import LOG_EVENTS
from cli.args import parser
from schemas.topics import SERVICES

ROOT = Path(__file__).parents[2]
PACKAGES = ("chassis", "worker", "media", "services", "embedded", "cli")
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
SEVERITIES = {"critical", "warning", "info"}
_NAME = re.compile(r"\bbitmill_[a-z_]+")
_PROMETHEUS_OWN = {"up"}


def _created(path: Path) -> Iterator[tuple[str, str]]:
    """Name and kind of each metric that a module makes."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            name = node.args[0].value
            if function in SUFFIXES and isinstance(name, str) and _NAME.fullmatch(name):
                yield name, function
        # Gauges of tables are in a mapping from name to help.
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            keys = [key.value for key in node.value.keys if isinstance(key, ast.Constant)]
            yield from ((key, "gauge") for key in keys if isinstance(key, str) and _NAME.fullmatch(key))


@cache
def metrics() -> dict[str, str]:
    """Every metric of the product, with its kind."""
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    return {name: kind for file in files for name, kind in _created(file)}


def series() -> dict[str, str]:
    """Every name that can be queried, with the metric that it belongs to."""
    return {name + suffix: name for name, kind in metrics().items() for suffix in SUFFIXES[kind]}


def alerts() -> list[dict[str, Any]]:
    loaded = yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text())
    return [rule for group in loaded["groups"] for rule in group["rules"]]


def expressions_of_the_dashboard() -> list[str]:
    board = json.loads((ROOT / "deploy" / "grafana" / "bitmill.json").read_text())
    return [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]


def sections() -> dict[str, str]:
    """The runbook's sections by heading."""
    parts = re.split(r"^### (.+)$", RUNBOOK, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_metrics_of_the_code_are_found() -> None:
    assert {"bitmill_http_request_seconds", "bitmill_job_queue_queued", "bitmill_outbox_backlog"} <= set(metrics())
    assert len(metrics()) > 30


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_is_a_complete_rule(alert: dict[str, Any]) -> None:
    assert set(alert) <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"Bitmill[A-Za-z]+", alert["alert"])
    assert alert["labels"].keys() == {"severity"}
    assert alert["labels"]["severity"] in SEVERITIES
    assert alert["annotations"].keys() == {"summary"}
    assert re.fullmatch(r"[1-9][0-9]*[smhd]", alert.get("for", "1m"))
    assert alert["expr"].count("(") == alert["expr"].count(")")


def test_alerts_and_dashboard_query_only_metrics_that_the_code_has() -> None:
    for expression in [*(alert["expr"] for alert in alerts()), *expressions_of_the_dashboard()]:
        names = set(_NAME.findall(expression))
        assert names <= series().keys(), expression
        assert names or set(re.findall(r"[a-z]+", expression)) & _PROMETHEUS_OWN


def test_every_metric_has_an_alert_or_is_listed_as_one_without() -> None:
    alerted = {series()[name] for alert in alerts() for name in _NAME.findall(alert["expr"])}
    without = set(_NAME.findall(sections()["Metrics without an alert"]))
    assert without <= set(metrics())
    assert set(metrics()) - without == alerted - without


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {series()[name] for expression in expressions_of_the_dashboard() for name in _NAME.findall(expression)}
    assert set(metrics()) - shown == set()


def test_the_dashboard_has_a_row_for_each_service_and_every_panel_a_place() -> None:
    board = json.loads((ROOT / "deploy" / "grafana" / "bitmill.json").read_text())
    assert set(SERVICES) <= {panel["title"] for panel in board["panels"] if panel["type"] == "row"}
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]}
    assert len(places) == len(board["panels"])


def test_every_alert_has_a_section_of_the_runbook_and_the_other_way_round() -> None:
    headings = {heading for heading in sections() if heading.startswith("Bitmill")}
    assert headings == {alert["alert"] for alert in alerts()}
    for heading in headings:
        assert [word in sections()[heading] for word in ("**Symptom**", "**Meaning**", "**Do**")] == [True] * 3, heading


def test_the_runbook_names_only_metrics_and_log_events_that_exist() -> None:
    assert {name for name in _NAME.findall(RUNBOOK) if name not in series()} <= set(metrics())
    fields = {"job_id", "trace_id", "pg_stat_activity", "internal_error", "tls_failed", "input_unreachable"}
    fields |= {"reason_code", "queue_full"}
    quoted = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", RUNBOOK)) - set(series()) - set(metrics()) - fields
    operations = {"outbox_relay", "queue_claim", "outbox_quarantine"}
    assert quoted - operations <= set(LOG_EVENTS)


def test_every_critical_log_event_is_in_the_runbook() -> None:
    critical = {code for code, event in LOG_EVENTS.items() if event.level == "critical"}
    assert {code for code in critical if code not in RUNBOOK} == set()


def test_the_commands_of_the_runbook_exist() -> None:
    commands = set(re.findall(r"`bitmill ([a-z]+)(?: ([a-z]+))?", RUNBOOK))
    assert ("dlq", "replay") in commands
    for command, action in commands:
        arguments = [command, *([action] if action and command in ("dlq", "jobs") else []), "--help"]
        with pytest.raises(SystemExit) as ended:
            parser().parse_args(arguments)
        assert ended.value.code == 0, arguments
