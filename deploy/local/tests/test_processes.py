import json
import os
import signal
import socket
import tempfile
import time
import unittest
from pathlib import Path

from rookery_local import ports, processes
from rookery_local.cluster import last_error
from rookery_local.errors import ClusterError
from rookery_local.layout import Name
from rookery_local.paths import State

NAME = Name("search", 1)


class ProcessesTest(unittest.TestCase):
    def setUp(self):
        self._directory = tempfile.TemporaryDirectory()
        self.addCleanup(self._directory.cleanup)
        self.state = State(Path(self._directory.name) / "state")
        self.state.make()
        self.addCleanup(lambda: processes.stop(self.state, [NAME], 0))

    def test_runs_in_a_session_of_its_own_and_stops(self):
        pid = processes.start(self.state, NAME, ["sleep", "600"])
        self.assertEqual(processes.running(self.state, NAME), pid)
        self.assertEqual(os.getsid(pid), pid)
        self.assertEqual(processes.stop(self.state, [NAME], 5), [])
        self.assertIsNone(processes.running(self.state, NAME))
        self.assertEqual(processes.recorded(self.state), [])

    def test_one_that_does_not_obey_is_killed(self):
        processes.start(self.state, NAME, ["sh", "-c", "trap '' TERM; echo ready; sleep 600 & wait; wait"])
        while "ready" not in processes.log_path(self.state, NAME).read_text():
            time.sleep(0.01)
        self.assertEqual(processes.stop(self.state, [NAME], 0.2), [NAME])
        self.assertIsNone(processes.running(self.state, NAME))

    def test_one_that_was_stopped_ends(self):
        pid = processes.start(self.state, NAME, ["sleep", "600"])
        os.kill(pid, signal.SIGSTOP)
        self.assertEqual(processes.stop(self.state, [NAME], 5), [])

    def test_a_recycled_pid_is_not_ours(self):
        """Our own pid stands for a process that got the number of one of the cluster's."""
        record = {"pid": os.getpid(), "start_ticks": 1, "boot": processes._boot_id()}
        (self.state.run / "search-1.json").write_text(json.dumps(record))
        self.assertIsNone(processes.running(self.state, NAME))
        self.assertEqual(processes.stop(self.state, [NAME], 0), [])

    def test_a_record_of_an_earlier_boot_is_nothing(self):
        pid = processes.start(self.state, NAME, ["sleep", "600"])
        path = self.state.run / "search-1.json"
        record = json.loads(path.read_text())
        path.write_text(json.dumps(record | {"boot": "another"}))
        self.assertIsNone(processes.running(self.state, NAME))
        path.write_text(json.dumps(record))
        self.assertEqual(processes.running(self.state, NAME), pid)

    def test_a_damaged_record_is_nothing(self):
        (self.state.run / "search-1.json").write_text("{")
        self.assertIsNone(processes.running(self.state, NAME))

    def test_how_it_ended_and_what_it_said_last(self):
        processes.start(self.state, NAME, ["sh", "-c", "echo starting; echo 'fatal: no such key'; echo bye; exit 78"])
        while processes.running(self.state, NAME) is not None:
            time.sleep(0.01)
        self.assertEqual(processes.exit_status(self.state, NAME), 78)
        self.assertIn("fatal: no such key", last_error(processes.log_path(self.state, NAME)))

    def test_what_cannot_be_started_is_told(self):
        with self.assertRaisesRegex(ClusterError, "search/1 cannot be started"):
            processes.start(self.state, NAME, ["/nonexistent/program"])


class PortsTest(unittest.TestCase):
    def test_a_port_in_use_is_named_with_its_holder(self):
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen(1)
            port = holder.getsockname()[1]
            with self.assertRaisesRegex(ClusterError, rf"port {port} \(search/1 rpc\) is in use by .*pid {os.getpid()}"):
                ports.check_free({NAME: {"rpc": port}})
        ports.check_free({NAME: {"rpc": port}})


if __name__ == "__main__":
    unittest.main()
