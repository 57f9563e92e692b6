import hashlib
import io
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from rookery_local import commands, kafka_jars, packages, services
from rookery_local.errors import ClusterError
from rookery_local.layout import Name, Options
from rookery_local.output import Progress
from rookery_local.paths import State


class PackagesTest(unittest.TestCase):
    def test_groups_and_alternatives(self):
        names = dict(packages.wanted(["runtime", "build", "test"]))
        self.assertIn("clang-19", names)
        self.assertEqual(names["npm"], "/usr/bin/npm")
        self.assertNotIn("npm", dict(packages.wanted(["runtime"])))

    def test_nothing_missing_runs_nothing(self):
        output = io.StringIO()
        with mock.patch.object(packages, "missing", return_value=[]), mock.patch.object(packages, "run") as run:
            packages.install(["runtime"], Progress(output))
        run.assert_not_called()
        self.assertIn("all there", output.getvalue())

    def test_without_sudo_the_missing_packages_are_named(self):
        with mock.patch.object(packages, "missing", return_value=["zz-top"]), mock.patch("os.geteuid", return_value=1000):
            with mock.patch("shutil.which", return_value=None), self.assertRaisesRegex(ClusterError, "zz-top"):
                packages.install(["runtime"], Progress(io.StringIO()))


class JarsTest(unittest.TestCase):
    def test_only_the_pinned_bytes_pass(self):
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            (directory / "a.jar").write_bytes(b"right")
            sums = hashlib.sha256(b"right").hexdigest() + "  a.jar\n"
            kafka_jars.verify(directory, sums)
            with self.assertRaisesRegex(ClusterError, "b.jar"):
                (directory / "b.jar").write_bytes(b"more")
                kafka_jars.verify(directory, sums)
            (directory / "b.jar").unlink()
            (directory / "a.jar").write_bytes(b"wrong")
            with self.assertRaisesRegex(ClusterError, "a.jar is wrong"):
                kafka_jars.verify(directory, sums)

    def test_the_committed_list_is_whole(self):
        lines = kafka_jars.SUMS.read_text().splitlines()
        self.assertTrue(any(line.endswith("  kafka_2.13-4.1.1.jar") for line in lines))
        for line in lines:
            self.assertRegex(line, r"^[0-9a-f]{64}  \S+\.jar$")


class CommandsTest(unittest.TestCase):
    def test_a_failure_names_the_culprit(self):
        with self.assertRaisesRegex(ClusterError, "the build failed: x.cc:1: error: no"):
            commands.run(["sh", "-c", "echo fine; echo 'x.cc:1: error: no'; echo last; exit 1"], "the build")

    def test_a_missing_program_is_told(self):
        with self.assertRaisesRegex(ClusterError, "openssl failed: /nonexistent"):
            commands.run(["/nonexistent"], "openssl")


class ServicesTest(unittest.TestCase):
    def test_yaml(self):
        text = services._yaml({"a": {"b": ["x", "y"], "c": True}, "d": 3})
        self.assertEqual(text, 'a:\n  b: ["x", "y"]\n  c: true\nd: 3\n')

    def test_required_tls_takes_no_password_in_the_clear(self):
        state = State(Path("/nowhere"))
        settings = services._settings(state, Options(tls="required"), Name("gateway", 1))
        self.assertFalse(settings["sasl"]["plain-without-tls"])
        self.assertNotIn("address", settings["listeners"].get("websocket", {}))
        self.assertNotIn("tls", services._settings(state, Options(tls="off"), Name("gateway", 1)))

    def test_no_secret_is_written_into_a_configuration(self):
        with tempfile.TemporaryDirectory() as name:
            state = State(Path(name))
            state.make()
            for service in ("gateway", "session-manager", "roster", "muc", "search"):
                services.configure(state, Options(), Name(service, 1), Progress(io.StringIO()))
                self.assertNotIn("password", (state.config / f"{service}-1.yaml").read_text())


if __name__ == "__main__":
    unittest.main()
