"""The boards' files: made by the generator, whole, and about nothing that does not exist."""

import itertools
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import boards
import names
import promql
from catalogue import SOURCE, Catalogue, metric_catalogue

# Grafana's names of units, as many as we use.
UNITS = {"cps", "s", "bytes", "Bps", "percentunit", "short", "none"}


class BoardsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.boards = boards.load()
        cls.catalogue = Catalogue()

    def test_files_are_what_the_generator_writes(self):
        answer = subprocess.run([SOURCE / "deploy" / "grafana" / "generate", "--check"], capture_output=True, text=True)
        self.assertEqual(answer.returncode, 0, answer.stdout + answer.stderr)

    def test_there_is_a_board_for_each_matter(self):
        wanted = {f"rookery-{name}" for name in ("overview", "gateway", "session-manager", "roster", "muc-search", "log", "backends", "capacity")}
        self.assertEqual(set(self.boards), wanted)

    def test_uids_and_titles_are_unique_and_uids_are_the_files_names(self):
        self.assertEqual([board["uid"] for board in self.boards.values()], list(self.boards))
        titles = [board["title"] for board in self.boards.values()]
        self.assertEqual(len(set(titles)), len(titles))
        for uid in self.boards:
            self.assertRegex(uid, r"^[a-z0-9-]{1,40}$")

    def test_panels_have_ids_of_their_own_and_do_not_overlap(self):
        for uid, board in self.boards.items():
            ids = [panel["id"] for panel in board["panels"]]
            self.assertEqual(len(set(ids)), len(ids), uid)
            titles = [panel["title"] for panel in boards.panels(board)]
            self.assertEqual([t for t in titles if titles.count(t) > 1], [], uid)
            for panel in board["panels"]:
                place = panel["gridPos"]
                self.assertTrue(place["x"] >= 0 and place["y"] >= 0 and place["w"] > 0 and place["h"] > 0 and place["x"] + place["w"] <= 24, (uid, panel["title"]))
            for one, other in itertools.combinations(board["panels"], 2):
                self.assertFalse(_overlap(one["gridPos"], other["gridPos"]), (uid, one["title"], other["title"]))

    def test_panels_say_their_unit_and_what_to_do(self):
        for uid, board in self.boards.items():
            for panel in boards.panels(board):
                where = (uid, panel["title"])
                self.assertIn(panel["fieldConfig"]["defaults"]["unit"], UNITS, where)
                self.assertTrue(panel["targets"], where)
                self.assertGreater(len(panel["description"]), 14, where)
                steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
                self.assertIsNone(steps[0]["value"], where)
                values = [step["value"] for step in steps[1:]]
                self.assertEqual(values, sorted(set(values)), where)
                references = [target["refId"] for target in panel["targets"]]
                self.assertEqual(len(set(references)), len(references), where)

    def test_the_unit_fits_the_expression(self):
        """Seconds of a metric in seconds, a rate for a counter."""
        for uid, board in self.boards.items():
            for panel in boards.panels(board):
                unit = panel["fieldConfig"]["defaults"]["unit"]
                for target in panel["targets"]:
                    names = {name for s in promql.parse(boards.filled(target["expr"], board)).selectors for name in self.catalogue.names(s)}
                    where = (uid, panel["title"], target["expr"])
                    counters = {n for n in names if re.search("_(total|bucket|sum|count)$", n)}
                    if counters:
                        self.assertRegex(target["expr"], r"\b(rate|increase)\(", where)
                    if any(n.endswith("_seconds_bucket") for n in names):
                        self.assertEqual(unit, "s", where)
                    if names and all(n.endswith("_bytes") for n in names):
                        self.assertIn(unit, ("bytes", "percentunit"), where)
                    if names and all(n.endswith("_bytes_total") for n in names):
                        self.assertEqual(unit, "Bps", where)

    def test_the_data_source_is_a_variable(self):
        for uid, board in self.boards.items():
            variables = {v["name"]: v for v in board["templating"]["list"]}
            self.assertEqual(variables["datasource"]["type"], "datasource", uid)
            self.assertEqual(variables["datasource"]["query"], "prometheus", uid)
            self.assertIn("instance", variables, uid)
            wanted = {"type": "prometheus", "uid": "${datasource}"}
            for panel in boards.panels(board):
                for part in (panel, *panel["targets"]):
                    self.assertEqual(part["datasource"], wanted, (uid, panel["title"]))
            for variable in variables.values():
                if variable["type"] == "query":
                    self.assertEqual(variable["datasource"], wanted, (uid, variable["name"]))

    def test_every_name_and_label_exists(self):
        faults = []
        for board in self.boards.values():
            for query in boards.queries(board):
                faults += [f"{query}: {fault}" for fault in self.catalogue.faults(boards.filled(query.expression, board))]
            for variable, selector, label in boards.variable_queries(board):
                filled = boards.filled(selector, board)
                faults += [f"{board['uid']}: ${variable}: {fault}" for fault in self.catalogue.faults(f"sum by ({label}) ({filled})")]
        self.assertEqual(faults, [])

    def test_legends_show_labels_that_results_have(self):
        for board in self.boards.values():
            for query in boards.queries(board):
                shown = set(re.findall(r"{{(\w+)}}", query.legend))
                self.assertLessEqual(shown, self.catalogue.result_labels(boards.filled(query.expression, board)), str(query))

    def test_legends_of_a_panel_differ(self):
        for board in self.boards.values():
            for panel in boards.panels(board):
                legends = [target["legendFormat"] for target in panel["targets"]]
                self.assertEqual(len(set(legends)), len(legends), (board["uid"], panel["title"]))

    def test_every_metric_is_on_a_board(self):
        """What is counted can be seen somewhere."""
        seen = set()
        for board in self.boards.values():
            for query in boards.queries(board):
                for selector in promql.parse(boards.filled(query.expression, board)).selectors:
                    seen |= {re.sub("_(bucket|sum|count)$", "", name) for name in self.catalogue.names(selector)}
        unseen = {name for name, family in metric_catalogue.by_name().items() if name not in seen and f"{name}_bucket" not in seen}
        self.assertEqual(sorted(unseen), [])

    def test_expressions_are_well_formed(self):
        rules = ["groups:", "- name: boards", "  rules:"]
        count = 0
        for board in self.boards.values():
            for query in boards.queries(board):
                count += 1
                rules += [f"  - record: board:query{count}", f"    expr: '{boards.filled(query.expression, board)}'"]
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "boards.yaml"
            path.write_text("\n".join(rules) + "\n")
            answer = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True)
        self.assertEqual(answer.returncode, 0, answer.stdout + answer.stderr)
        self.assertIn(f"{count} rules found", answer.stdout)

    def test_bounds_are_the_defaults_of_the_configuration(self):
        """As the README's tables of settings have them."""
        readme = (SOURCE / "README.md").read_text()
        for board in self.boards.values():
            for variable in board["templating"]["list"]:
                if variable["type"] == "textbox":
                    self.assertIn(f"| `{variable['label']}` | `{variable['query']}` |", readme, board["uid"])

    def test_descriptions_name_settings_and_events_that_exist(self):
        for board in self.boards.values():
            for panel in boards.panels(board):
                self.assertEqual(names.unknown(panel["description"]), [], (board["uid"], panel["title"]))


def _overlap(one: dict, other: dict) -> bool:
    return (
        one["x"] < other["x"] + other["w"] and other["x"] < one["x"] + one["w"] and one["y"] < other["y"] + other["h"] and other["y"] < one["y"] + one["h"]
    )
