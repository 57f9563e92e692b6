"""The catalogue of metrics: complete, written down, and named by one scheme."""

import re
import subprocess
import unittest

from catalogue import SOURCE, metric_catalogue

# Names that depart from the scheme, and why they still stand.
DEVIATIONS = {
    "failed_tasks": "only rises and is a gauge: a counter would be failed_tasks_total",
}


class MetricsTest(unittest.TestCase):
    def test_the_document_is_up_to_date(self):
        program = SOURCE / "deploy" / "prometheus" / "metric_catalogue.py"
        answer = subprocess.run([program, "--check"], capture_output=True, text=True)
        self.assertEqual(answer.returncode, 0, answer.stdout + answer.stderr)

    def test_names_follow_one_scheme(self):
        faults = []
        for name, family in metric_catalogue.by_name().items():
            if family.noun in DEVIATIONS or name.startswith("process_"):
                continue
            if not re.fullmatch(r"rookery_(gateway|session_manager|roster|muc|search)(_[a-z0-9]+)+", name):
                faults.append(f"{name} is not rookery_<service>_<noun>")
            if (family.kind == "counter") != name.endswith("_total"):
                faults.append(f"{name}: counters, and only these, end with _total")
            if family.kind == "histogram" and not name.endswith(("_seconds", "_bytes")):
                faults.append(f"{name}: a histogram says its unit")
            if re.search("_(ms|millis|milliseconds|kb|mb|minutes|bucket|sum|count|info_total)$", name):
                faults.append(f"{name}: seconds and bytes only, and no ending that means something else")
            for label in family.labels:
                if not re.fullmatch("[a-z][a-z_]*", label) or label in ("le", "quantile", "service", "instance", "job"):
                    faults.append(f"{name}: {label} is no name for a label")
        self.assertEqual(faults, [])

    def test_labels_are_bounded(self):
        for name, family in metric_catalogue.by_name().items():
            for label, values in family.labels.items():
                if (family.noun, label) != ("build_info", "version"):
                    self.assertTrue(0 < len(values) <= 30, f"{name}: {label} has {len(values)} values")

    def test_every_metric_says_what_it_means(self):
        for name, family in metric_catalogue.by_name().items():
            self.assertGreater(len(family.help), 8, name)

    def test_buckets_rise(self):
        for name, family in metric_catalogue.by_name().items():
            if family.kind == "histogram":
                self.assertEqual(family.buckets, sorted(set(family.buckets)), name)
                self.assertGreaterEqual(len(family.buckets), 8, name)

    def test_known_ones_are_found(self):
        found = metric_catalogue.by_name()
        self.assertEqual(found["rookery_gateway_resumptions_total"].labels, {"outcome": ["resumed", "failed"]})
        self.assertEqual(found["rookery_muc_kafka_lag_records"].kind, "gauge")
        self.assertIn("SCRAM-SHA-256-PLUS", found["rookery_gateway_authentications_total"].labels["mechanism"])
        self.assertNotIn("rookery_gateway_kafka_lag_records", found)
        self.assertEqual(found["rookery_gateway_stanzas_total"].labels["kind"], ["other", "message", "presence", "iq"])

    def test_what_is_not_understood_is_an_error(self):
        for text, why in (
            ('m.Counter(name, "help")', "must be literals"),
            ('m.Counter("a_total", "help", {{"kind", kind}})', "VALUES does not say"),
            ('m.Counter("a_total", "help", labels)', "where its labels are made"),
        ):
            with self.assertRaisesRegex(metric_catalogue.SourceError, why):
                list(metric_catalogue._of("services/muc/src/x.cc", text))
        with self.assertRaisesRegex(metric_catalogue.SourceError, "WHERE does not say"):
            list(metric_catalogue._of("libs/new/src/x.cc", 'm.Counter("a_total", "help")'))
