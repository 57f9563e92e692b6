import io
import tempfile
import unittest
from pathlib import Path

from rookery_local import generated, services
from rookery_local.errors import ClusterError
from rookery_local.layout import Name, Options
from rookery_local.output import Progress
from rookery_local.paths import State


class GeneratedTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name) / "gateway-1.yaml"
        self.own = Path(directory.name) / "settings" / "gateway.yaml"

    def write(self, body: str) -> str:
        said = io.StringIO()
        generated.write(self.path, body, [self.own], Progress(said))
        return said.getvalue()

    def test_the_file_says_where_own_settings_belong(self):
        self.assertEqual(self.write("a: 1\n"), "")
        text = self.path.read_text()
        self.assertTrue(text.endswith("\na: 1\n"))
        self.assertIn(str(self.own), text)
        self.assertFalse(generated.is_edited(text))

    def test_an_edit_is_told_and_kept(self):
        self.write("a: 1\n")
        edited = self.path.read_text() + "b: 2\n"
        self.path.write_text(edited)
        said = self.write("a: 3\n")
        self.assertIn("warning", said)
        self.assertIn(str(self.own), said)
        self.assertTrue(self.path.read_text().endswith("\na: 3\n"))
        self.assertEqual(self.path.with_name("gateway-1.yaml.edited").read_text(), edited)
        self.assertEqual(self.write("a: 4\n"), "")

    def test_a_file_without_a_checksum_is_overwritten_without_a_word(self):
        self.path.write_text("# of an earlier version\na: 1\n")
        self.assertEqual(self.write("a: 2\n"), "")


class OwnSettingsTest(unittest.TestCase):
    """A service is given the generated file first; a later file wins."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.state = State(Path(directory.name))
        self.state.make()

    def files(self, name: Name) -> list[str]:
        command = services._command(self.state, Options(), name)
        self.assertEqual(command[1::2], ["--config"] * len(command[1::2]))
        return [Path(path).name for path in command[2::2]]

    def test_of_the_service_and_of_the_instance_win_in_this_order(self):
        self.assertEqual(self.files(Name("gateway", 1)), ["gateway-1.yaml"])
        (self.state.settings / "gateway-1.yaml").touch()
        (self.state.settings / "gateway.yaml").touch()
        command = services._command(self.state, Options(), Name("gateway", 1))
        self.assertEqual(command[2::2], [str(self.state.config / "gateway-1.yaml"), str(self.state.settings / "gateway.yaml"),
                                         str(self.state.settings / "gateway-1.yaml")])
        self.assertEqual(self.files(Name("gateway", 2)), ["gateway-2.yaml", "gateway.yaml"])
        self.assertEqual(self.files(Name("muc", 1)), ["muc-1.yaml"])

    def test_wrong_settings_are_told_as_the_service_tells_them(self):
        binary = self.state.root / "bin" / "rookery-muc"
        binary.parent.mkdir()
        binary.write_text("#!/bin/sh\necho \"wrong: $*\" >&2\necho 'and more' >&2\nexit 78\n")
        binary.chmod(0o755)
        options = Options(build_directory=str(self.state.root))
        with self.assertRaisesRegex(ClusterError, r"settings of muc/1 are wrong.*\n  wrong: .*muc-1.yaml --check-config\n  and more"):
            services.check(self.state, options, Name("muc", 1))
        binary.write_text("#!/bin/sh\nexit 0\n")
        services.check(self.state, options, Name("muc", 1))


if __name__ == "__main__":
    unittest.main()
