"""What is shipped for Prometheus and Grafana asks for metrics that there are."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from run import ROOT
from tests.conftest import StartServer
from tests.webrtc_server.test_metrics import scrape

FOLDER = ROOT / "deploy" / "monitoring"
DASHBOARD = json.loads((FOLDER / "grafana" / "dashboards" / "live-diffusion.json").read_text())
[RULES] = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
SELECTOR = re.compile(r"\b((?:live_diffusion|process)_\w+)\s*(?:\{([^}]*)\})?")
OF_THE_TARGET = {"job", "instance"}


def expressions() -> list[str]:
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return [*panels, *(rule["expr"] for rule in RULES["rules"])]


async def test_every_series_that_is_asked_for_is_in_a_scrape(start_server: StartServer) -> None:
    server = await start_server("identity")
    families = text_string_to_metric_families(await scrape(server))
    there: dict[str, list[dict[str, str]]] = {}
    for sample in (sample for family in families for sample in family.samples):
        there.setdefault(sample.name, []).append(sample.labels)
    asked = [found for expression in expressions() for found in SELECTOR.findall(expression)]
    assert len({name for name, _ in asked}) > 15
    for name, matchers in asked:
        assert name in there, name
        for label, value in re.findall(r'(\w+)=~?"([^"]*)"', matchers):
            if label not in OF_THE_TARGET:
                assert any(labels.get(label) == value for labels in there[name]), (name, label, value)
    by = {
        label
        for each in expressions()
        for labels in re.findall(r"by \(([^)]*)\)", each)
        for label in labels.split(", ")
    }
    assert by <= OF_THE_TARGET | {label for samples in there.values() for labels in samples for label in labels}


def test_every_panel_and_alert_says_what_it_is() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert all(panel["title"] and panel["targets"] for panel in DASHBOARD["panels"])
    names = [rule["alert"] for rule in RULES["rules"]]
    assert len(set(names)) == len(names) >= 4
    for rule in RULES["rules"]:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    provisioning = FOLDER / "grafana" / "provisioning"
    [source] = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    [provider] = yaml.safe_load((provisioning / "dashboards" / "live-diffusion.yml").read_text())["providers"]
    services: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    (command,) = services["prometheus"]["command"]
    assert source["url"].removeprefix("http://") in re.findall(r"--web.listen-address=(\S+)", command)
    mounts = dict(volume.split(":")[:2] for volume in services["grafana"]["volumes"] if volume.startswith("./"))
    assert mounts["./deploy/monitoring/grafana/dashboards"] == provider["options"]["path"]
    assert mounts["./deploy/monitoring/grafana/provisioning"] == "/etc/grafana/provisioning"
