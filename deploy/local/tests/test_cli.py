"""What the commands print and how they end, without a cluster that runs."""

import contextlib
import fcntl
import io
import json
import os
import pty
import subprocess
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from rookery_local import cli, processes, shards, status
from rookery_local.cluster import Cluster
from rookery_local.layout import SERVICES, Name, Options
from rookery_local.output import Progress
from rookery_local.paths import SOURCE, State

CLUSTER = SOURCE / "deploy" / "local" / "cluster"


class CliTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.state = State(Path(directory.name) / "state")
        # Nobody listens there.
        self.options = Options(base_port=61000, replicas={service: 1 for service in SERVICES})

    def make(self) -> None:
        self.state.make()
        self.options.save(self.state)

    def run_(self, *arguments: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = cli.main(["--state", str(self.state.root), *arguments])
            except SystemExit as end:
                code = end.code
        return code, out.getvalue(), err.getvalue()

    def test_version(self):
        code, out, _ = self.run_("--version")
        self.assertEqual(code, 0)
        self.assertRegex(out, r"^rookery \d+\.\d+\.\d+\n$")

    def test_scale_says_which_part_is_wrong(self):
        self.make()
        for target, part in (("gateway", "how many"), ("gatway=2", "'gatway'"), ("gateway=two", "'two'"), ("gateway=-1", "'-1'"),
                             ("kafka=2", "one kafka"), ("gateway=99", "99 is more than 15"), ("gateway=", "''")):
            code, _, err = self.run_("scale", target)
            self.assertEqual(code, 2, target)
            self.assertIn(part, err)

    def test_what_does_not_exist_is_a_wrong_command_line(self):
        self.make()
        for arguments in (("restart", "gatway"), ("restart", "gateway/7"), ("logs", "router"), ("sessions", "garbage"), ("hash", "x")):
            self.assertEqual(self.run_(*arguments)[0], 2, arguments)

    def test_without_a_cluster_commands_say_so(self):
        for arguments in (("sessions",), ("logs",), ("restart", "gateway"), ("hash", "ann@localhost")):
            code, _, err = self.run_(*arguments)
            self.assertEqual(code, 1)
            self.assertIn("no cluster", err)

    # ---- sessions, hash ----

    def test_no_session_is_a_line_and_status_1(self):
        self.make()
        with mock.patch("rookery_local.sessions.read", return_value=[]):
            self.assertEqual(self.run_("sessions", "ann@localhost")[:2], (1, "no session of ann@localhost\n"))
            self.assertEqual(self.run_("sessions")[:2], (0, "no session\n"))
            self.assertEqual(self.run_("sessions", "ann@localhost", "--json")[:2], (1, "[]\n"))

    def test_hash_is_of_the_bare_address(self):
        self.make()
        (self.state.secrets / "log-jid-key").write_text("a key for tests")
        self.assertEqual(self.run_("hash", "Ann@localhost/phone")[:2], (0, "5bce24ab86d31d75  ann@localhost\n"))

    # ---- logs ----

    def test_logs_are_printed_and_followed_only_when_asked(self):
        self.make()
        for service in ("gateway", "muc"):
            processes.log_path(self.state, Name(service, 1)).write_text("".join(f"{service} {n}\n" for n in range(100)))

        def logs(*arguments: str) -> str:
            # It ends by itself.
            command = [str(CLUSTER), "--state", str(self.state.root), "logs", *arguments]
            return subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout

        self.assertEqual(logs("gateway").count("gateway "), 100)
        self.assertIn("muc 99", logs())
        self.assertEqual(logs("-n", "2", "muc/1"), "muc 98\nmuc 99\n")
        with mock.patch("subprocess.run") as run:
            run.return_value.returncode = 0
            self.run_("logs", "--follow", "--tail", "all")
            self.assertEqual(run.call_args.args[0][:4], ["tail", "-n", "+1", "-F"])
            self.run_("logs", "-f")
            self.assertEqual(run.call_args.args[0][:4], ["tail", "-n", "20", "-F"])

    # ---- reset ----

    def test_reset_asks_and_takes_no_for_an_answer(self):
        self.make()
        with mock.patch("sys.stdin.isatty", return_value=True, create=True), mock.patch("builtins.input", return_value=""):
            self.assertEqual(self.run_("reset")[0], 1)
        self.assertTrue(self.state.options.exists())

    def test_reset_refuses_where_nobody_can_be_asked(self):
        self.make()
        command = [str(CLUSTER), "--state", str(self.state.root), "reset"]
        answer = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.assertEqual(answer.returncode, 2)
        self.assertIn("--yes", answer.stderr)
        self.assertTrue(self.state.options.exists())

    def test_reset_on_a_terminal_does_it_after_yes(self):
        self.make()
        leader, terminal = pty.openpty()
        with os.fdopen(leader, "r+b", buffering=0) as person:
            command = [str(CLUSTER), "--state", str(self.state.root), "reset"]
            process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal)
            os.close(terminal)
            person.write(b"y\n")
            self.assertEqual(process.wait(60), 0)
        self.assertFalse(self.state.root.exists())

    def test_reset_keeps_own_settings(self):
        self.make()
        own = self.state.settings / "gateway.yaml"
        own.write_text("log: {level: debug}\n")
        self.assertEqual(self.run_("reset", "--yes")[0], 0)
        self.assertEqual([str(path) for path in self.state.root.rglob("*") if path.is_file()], [str(own)])

    # ---- status ----

    def test_status_is_json_while_another_command_holds_the_lock(self):
        self.make()
        self.state.lock.parent.mkdir(parents=True, exist_ok=True)
        with open(self.state.lock, "a") as held:
            self.addCleanup(self.state.lock.unlink)
            fcntl.flock(held, fcntl.LOCK_EX)
            code, out, _ = self.run_("status", "--json")
        self.assertEqual(code, 3)
        self.assertEqual({entry["service"] for entry in json.loads(out)["processes"]}, {*SERVICES, "kafka", "redis", "postgresql"})

    def test_status_is_json_whatever_is_wrong(self):
        self.assertEqual((self.run_("status", "--json")[0], json.loads(self.run_("status", "--json")[1])["processes"]), (3, []))
        self.make()
        self.state.options.write_text("{")
        code, out, _ = self.run_("status", "--json")
        self.assertEqual(code, 1)
        self.assertIn("damaged", json.loads(out)["problems"][0])

    def test_status_of_a_process_that_died_says_when_and_where_its_log_is(self):
        self.make()
        name = Name("search", 1)
        processes.start(self.state, name, ["sh", "-c", "echo bye"])
        while processes.running(self.state, name) is not None:
            pass
        code, out, _ = self.run_("status")
        self.assertEqual(code, 3)
        self.assertRegex(out, r"search/1 +- +- +died")
        self.assertRegex(out, rf"search/1 wrote its last line at \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d: {processes.log_path(self.state, name)}")
        self.assertRegex(out, r"muc/1 +- +- +not running")

    def report(self, replicas: dict | None = None, ownerless: int | None = 0) -> dict:
        """As if everything that is wanted ran and were ready."""
        self.options.replicas |= replicas or {}
        with mock.patch.object(status, "_entry", lambda _, name: {"service": name.service, "instance": name.instance, "pid": 1, "ready": True}):
            with mock.patch.object(shards, "without_owner", return_value=ownerless):
                return status.read(Cluster(self.state, self.options, Progress(io.StringIO())))

    def test_a_cluster_without_a_gateway_is_not_up(self):
        self.assertTrue(status.is_up(self.report()))
        report = self.report({"gateway": 0})
        self.assertFalse(status.is_up(report))
        self.assertIn("gateway", report["problems"][0])

    def test_a_cluster_with_shards_that_nobody_owns_is_not_up(self):
        report = self.report(ownerless=2)
        self.assertFalse(status.is_up(report))
        self.assertIn("session-manager: 2 of 4 shards have no owner", report["problems"])
        self.assertFalse(status.is_up(self.report(ownerless=None)))

    def test_shards_of_a_dead_owner_have_none(self):
        self.make()
        name = Name("session-manager", 1)
        processes.start(self.state, name, ["sleep", "600"])
        self.addCleanup(lambda: processes.stop(self.state, [name], 0))
        flat = ["0", "17 session-manager-1 127.0.0.1:1", "1", "18 session-manager-1 127.0.0.1:1", "2", "3 session-manager-2 127.0.0.1:2"]
        connection = mock.MagicMock()
        connection.return_value.__enter__.return_value.command.return_value = flat
        with mock.patch.object(shards, "Connection", connection):
            self.assertEqual(shards.without_owner(self.state, self.options, "session-manager"), 2)
            processes.stop(self.state, [name], 0)
            self.assertEqual(shards.without_owner(self.state, self.options, "session-manager"), 4)
        self.assertIsNone(shards.without_owner(self.state, self.options, "session-manager"), "Redis is away")


if __name__ == "__main__":
    unittest.main()
