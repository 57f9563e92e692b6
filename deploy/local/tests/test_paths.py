"""The state of a cluster belongs to its user."""

import os
import shutil
import stat
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from rookery_local import processes
from rookery_local.layout import Name
from rookery_local.paths import State


class StateTest(unittest.TestCase):
    def setUp(self):
        before = os.umask(0o022)
        self.addCleanup(os.umask, before)
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.state = State(Path(directory.name) / "state")

    def test_nobody_else_can_read_or_list_what_is_in_it(self):
        for user in (1000, 0):
            with mock.patch("os.geteuid", return_value=user):
                self.state.make()
            for directory in (self.state.root, *(path for path in self.state.root.rglob("*") if path.is_dir())):
                mode = stat.S_IMODE(directory.stat().st_mode)
                # Where root calls, another user's PostgreSQL passes there.
                way_to_the_database = user == 0 and directory in (self.state.root, self.state.data)
                self.assertEqual(mode, 0o711 if way_to_the_database else 0o700, directory)
            shutil.rmtree(self.state.root)

    def test_a_directory_of_before_is_closed_too(self):
        self.state.logs.mkdir(parents=True, mode=0o755)
        self.state.make()
        self.assertEqual(stat.S_IMODE(self.state.logs.stat().st_mode), 0o700)

    def test_the_directory_that_it_is_put_into_stays_as_it_was(self):
        self.state.root.mkdir()
        self.state.root.chmod(0o1777)
        self.state.make()
        self.assertEqual(stat.S_IMODE(self.state.root.stat().st_mode), 0o1777)

    def test_what_processes_write_is_their_users_alone(self):
        self.state.make()
        written = self.state.data / "redis" / "written"
        name = Name("redis", 1)
        processes.start(self.state, name, ["sh", "-c", f"echo > {written}; sleep 60"])
        self.addCleanup(processes.stop, self.state, [name], 5)
        while not written.exists():
            self.assertIsNotNone(processes.running(self.state, name))
        self.assertEqual(stat.S_IMODE(written.stat().st_mode), 0o600)


if __name__ == "__main__":
    unittest.main()
