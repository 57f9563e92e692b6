import io
import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from rookery_local import chart_tools, packages
from rookery_local.errors import ClusterError
from rookery_local.output import Progress


class ChartToolsTest(unittest.TestCase):
    def test_only_the_pinned_module_is_built(self):
        said = 'go: downloading x v1\n{"Sum": "h1:right=", "Dir": "/somewhere"}'
        with mock.patch.object(chart_tools, "run", return_value=said):
            self.assertEqual(chart_tools._download("go", "x", "v1", "h1:right=", {}), Path("/somewhere"))
            with self.assertRaisesRegex(ClusterError, "checksum of x@v1 is h1:right=, not h1:other="):
                chart_tools._download("go", "x", "v1", "h1:other=", {})

    def test_an_old_go_will_not_do(self):
        with mock.patch.object(packages, "install"), mock.patch.object(chart_tools, "_go_version", return_value=(1, 18)):
            with self.assertRaisesRegex(ClusterError, "no Go 1.19"):
                chart_tools._go(Progress(io.StringIO()))

    def test_a_go_that_is_there_is_used(self):
        with mock.patch.object(packages, "install") as install, mock.patch.object(chart_tools, "_go_version", return_value=(1, 26)):
            self.assertTrue(chart_tools._go(Progress(io.StringIO())))
        install.assert_not_called()

    def test_what_is_no_go_has_no_version(self):
        self.assertEqual(chart_tools._go_version("/bin/true"), ())
        self.assertEqual(chart_tools._go_version("/nowhere/go"), ())

    def test_a_schema_has_all_that_it_refers_to(self):
        definitions = {"A": {"items": {"$ref": "#/$defs/B"}}, "B": {"items": {"$ref": "#/$defs/A"}}, "C": {}}
        schema = {"$id": "https://kubernetes.io/api/x", "properties": {"a": {"$ref": "/api/_definitions.json#/$defs/A"}}}
        local = json.loads(chart_tools.local_schema(json.dumps(schema), definitions))
        self.assertEqual(local["properties"], {"a": {"$ref": "#/$defs/A"}})
        self.assertEqual(local["$defs"], {name: definitions[name] for name in ("A", "B")})
        self.assertNotIn("$id", local)

    def test_what_is_not_there_is_named_and_what_is_there_is_not_made_again(self):
        with tempfile.TemporaryDirectory() as name:
            marks = [("helm", Path(name) / "built", "v2"), ("schemas", Path(name) / "taken", "v1")]
            (Path(name) / "built").write_text("v1")
            (Path(name) / "taken").write_text("v1")
            build, python, schemas = mock.Mock(), mock.Mock(), mock.Mock()
            with mock.patch.multiple(chart_tools, _parts=lambda: marks, _build=build, _python=python, _schemas=schemas, DEPS=Path(name)):
                self.assertEqual(chart_tools.missing(), "helm")
                chart_tools.prepare(Progress(io.StringIO()))
                self.assertEqual(chart_tools.missing(), "")
            build.assert_called_once()
            python.assert_not_called()


if __name__ == "__main__":
    unittest.main()
