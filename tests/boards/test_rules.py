"""Alert and recording rules, with Prometheus's own tools: well formed, about what exists, each firing and silent when it should."""

import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import names
import promql
import yaml
from catalogue import SOURCE, Catalogue

PROMETHEUS = SOURCE / "deploy" / "prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yaml"))


def rules() -> list[dict]:
    return [rule for path in RULES for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


def alerts() -> dict[str, dict]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def recorded() -> dict[str, set[str]]:
    """Name of a recording rule -> labels of what it gives."""
    return {
        rule["record"]: {label for grouping in promql.parse(rule["expr"]).groupings for label in grouping.labels} - {"le"}
        for rule in rules()
        if "record" in rule
    }


def run(*command) -> tuple[int, str]:
    answer = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return answer.returncode, answer.stdout


class RulesTest(unittest.TestCase):
    maxDiff = None

    def test_promtool_accepts_rules_and_configurations(self):
        status, output = run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *RULES)
        self.assertEqual(status, 0, output)
        for name in ("prometheus.yml", "prometheus-compose.yml"):
            status, output = run("promtool", "check", "config", "--lint-fatal", PROMETHEUS / name)
            self.assertEqual(status, 0, output)
            self.assertIn(f"{len(RULES)} rule files found", output)

    def test_both_configurations_differ_only_in_where_things_are(self):
        one, other = (yaml.safe_load((PROMETHEUS / name).read_text()) for name in ("prometheus.yml", "prometheus-compose.yml"))
        for part in ("global", "rule_files"):
            self.assertEqual(one[part], other[part])
        self.assertEqual([c["job_name"] for c in one["scrape_configs"]], [c["job_name"] for c in other["scrape_configs"]])

    def test_the_compose_configuration_names_services_and_ports_of_the_compose_file(self):
        compose = yaml.safe_load((SOURCE / "docker-compose.yml").read_text())["services"]
        found = yaml.safe_load((PROMETHEUS / "prometheus-compose.yml").read_text())["scrape_configs"][0]["dns_sd_configs"][0]
        for service in found["names"]:
            variable = f"ROOKERY_{service.upper().replace('-', '_')}__ADMIN__ADDRESS"
            self.assertEqual(compose[service]["environment"][variable], f"0.0.0.0:{found['port']}")

    def test_every_name_and_label_exists(self):
        catalogue = Catalogue(recorded())
        faults = [f"{rule.get('alert', rule.get('record'))}: {fault}" for rule in rules() for fault in catalogue.faults(rule["expr"])]
        self.assertEqual(faults, [])

    def test_recording_rules_are_used_and_named_alike(self):
        used = {s.name for rule in rules() if "alert" in rule for s in promql.parse(rule["expr"]).selectors}
        for name in recorded():
            self.assertRegex(name, "^(instance|service|cluster):rookery_[a-z_]+:[a-z0-9_]+$")
            self.assertIn(name, used)

    def test_every_alert_has_a_severity_a_summary_and_a_run_book(self):
        for name, rule in alerts().items():
            self.assertTrue(name.startswith("Rookery"), name)
            self.assertIn(rule["labels"]["severity"], ("critical", "warning"), name)
            self.assertGreater(len(rule["annotations"]["summary"]), 15, name)
            self.assertGreater(len(rule["annotations"]["runbook"]), 80, name)
            for text in rule["annotations"].values():
                # What tests can fill in; a value would read differently each time, and notifications repeat.
                self.assertEqual(re.sub(r"{{ \$labels\.\w+ }}", "", text).count("{{"), 0, name)

    def test_annotations_show_labels_that_alerts_have(self):
        cases = {case["alert"]: case for case in _cases()}
        for name, rule in alerts().items():
            shown = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
            for labels in cases[name]["labels"]:
                self.assertLessEqual(shown, set(labels), name)

    def test_run_books_name_alerts_that_exist(self):
        names = set(alerts())
        texts = [text for rule in alerts().values() for text in rule["annotations"].values()]
        for text in texts + [(PROMETHEUS / "alertmanager.yml").read_text()]:
            for name in re.findall(r"\bRookery[A-Z]\w+", text):
                self.assertIn(name, names)

    def test_run_books_name_settings_and_events_that_exist(self):
        for name, rule in alerts().items():
            self.assertEqual(names.unknown(rule["annotations"]["runbook"]), [], name)

    def test_every_alert_has_a_firing_and_a_silent_case(self):
        cases = _cases()
        self.assertEqual(sorted(case["alert"] for case in cases), sorted(alerts()))
        for case in cases:
            self.assertTrue(case["labels"], case["alert"])
            # Silence means something only where the series are there.
            for series, values in case["series"].items():
                self.assertNotRegex(values, "^_", case["alert"])

    def test_alerts_fire_and_are_silent(self):
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "tests.yaml"
            path.write_text(yaml.safe_dump(_promtool_tests(), width=1000))
            status, output = run("promtool", "test", "rules", path)
        self.assertEqual(status, 0, output[-6000:])

    def test_the_cases_would_notice_an_alert_that_never_or_always_fires(self):
        """A second look at the cases: with every threshold out of reach, or none, each of them fails."""
        for expression in ("vector(0) > 1", "vector(1)"):
            with tempfile.TemporaryDirectory() as directory:
                changed = Path(directory) / "alerts.yaml"
                groups = yaml.safe_load((PROMETHEUS / "rules" / "alerts.yaml").read_text())
                for group in groups["groups"]:
                    for rule in group["rules"]:
                        rule["expr"] = expression
                changed.write_text(yaml.safe_dump(groups))
                tests = _promtool_tests() | {"rule_files": [str(changed)]}
                path = Path(directory) / "tests.yaml"
                path.write_text(yaml.safe_dump(tests, width=1000))
                status, output = run("promtool", "test", "rules", path)
            self.assertNotEqual(status, 0)
            self.assertEqual(set(re.findall(r"alertname: (\w+)", output)), set(alerts()))

    def test_every_series_of_a_case_exists(self):
        known = Catalogue()
        for case in _cases():
            for series in case["series"]:
                # A service of others, to see that it is left alone.
                self.assertEqual([f for f in known.faults(series) if "'node'" not in f], [], (case["alert"], series))


class AlertmanagerTest(unittest.TestCase):
    CONFIGURATION = PROMETHEUS / "alertmanager.yml"

    def test_amtool_accepts_it(self):
        status, output = run("amtool", "check-config", self.CONFIGURATION)
        self.assertEqual(status, 0, output)

    def test_critical_alerts_wake_somebody(self):
        for name, rule in alerts().items():
            severity = rule["labels"]["severity"]
            receiver = "on-call" if severity == "critical" else "operators"
            status, output = run("amtool", "config", "routes", "test", f"--config.file={self.CONFIGURATION}", f"--verify.receivers={receiver}",
                                 f"alertname={name}", f"severity={severity}", "service=gateway")
            self.assertEqual(status, 0, f"{name}: {output}")

    def test_inhibition_names_alerts_that_exist(self):
        for rule in yaml.safe_load(self.CONFIGURATION.read_text())["inhibit_rules"]:
            for matcher in rule["source_matchers"] + rule["target_matchers"]:
                pattern = re.fullmatch(r'alertname=~?"(.*)"', matcher).group(1)
                parts = re.fullmatch(r"Rookery\((.*)\)", pattern)
                for name in [f"Rookery{part}" for part in parts.group(1).split("|")] if parts else [pattern]:
                    self.assertIn(name, alerts())


def _cases() -> list[dict]:
    return yaml.safe_load((PROMETHEUS / "tests" / "alerts.yaml").read_text())


def _promtool_tests() -> dict:
    return {"rule_files": list(map(str, RULES)), "evaluation_interval": "1m", "tests": [_promtool_test(case) for case in _cases()]}


def _promtool_test(case: dict) -> dict:
    rule = alerts()[case["alert"]]
    firing = [
        {"exp_labels": {**labels, **rule["labels"]}, "exp_annotations": {key: _shown(text, labels) for key, text in rule["annotations"].items()}}
        for labels in case["labels"]
    ]
    return {
        "interval": "1m",
        "input_series": [{"series": series, "values": values} for series, values in case["series"].items()],
        "alert_rule_test": [
            {"eval_time": case["silent"], "alertname": case["alert"], "exp_alerts": []},
            {"eval_time": case["firing"], "alertname": case["alert"], "exp_alerts": firing},
        ],
    }


def _shown(text: str, labels: dict) -> str:
    return re.sub(r"{{ \$labels\.(\w+) }}", lambda match: labels[match.group(1)], text)
