"""Alerts and the dashboard of Grafana: they are sound, and use only metrics that the service has."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest
import yaml
from operations.conftest import Observed

from cached_folders import ROOT
from system_programs import program

DEPLOY = ROOT / "service/deploy"
ALERTS = DEPLOY / "prometheus/alerts.yaml"
DASHBOARD = DEPLOY / "grafana/tallymark.json"
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def queries() -> list[str]:
    """Return every query of the dashboard and its annotations."""
    dashboard = json.loads(DASHBOARD.read_text())
    found = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return found + [each["expr"] for each in dashboard["annotations"]["list"]]


@pytest.mark.parametrize("command", [("check", "rules", "alerts.yaml"), ("test", "rules", "alerts-test.yaml")])
def test_the_alerts_fire_for_what_they_are_about(command: tuple[str, ...]) -> None:
    """Prometheus accepts the rules, and they fire on the series of their own tests, and only on those."""
    promtool = program("promtool", packages=("prometheus",))
    done = subprocess.run([promtool, *command], cwd=ALERTS.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def test_each_alert_says_what_to_do() -> None:
    """An alert has a severity, a sentence about what is wrong, and one about what to do."""
    assert len(rules()) > 8
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert all(rule["annotations"][part].endswith(".") for part in ("summary", "action")), rule["alert"]


def test_every_metric_that_is_named_exists(observed: Observed) -> None:
    """Alerts, dashboard and guide name only metrics of the service, and the guide names each of them."""
    families = observed.scrape().families
    known = {family.name + suffix for family in families for suffix in SUFFIXES[family.type]}
    named = set(re.findall(r"\b(?:tallymark|process)_\w+", " ".join([*queries(), *(rule["expr"] for rule in rules())])))
    assert len(named) > 15
    assert named - known == set()
    guide = (ROOT / "service/README.md").read_text()
    own = {family.name for family in families if family.name.startswith("tallymark_")}
    assert {name for name in own if name not in guide} == set()


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    """Each panel has a title, a unit, a query for the chosen instances, and a place of its own."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 10
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len(panels)
    assert all(panel["title"] and panel["fieldConfig"]["defaults"]["unit"] for panel in panels)
    assert all('instance=~"$instance"' in query for query in queries())
