"""Who is let in by what `up` makes: passwords, certificates, rights."""

import io
import socket
import struct
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

from rookery_local import certificates, kafka, kafka_admin, postgresql, redis, secret_files, services
from rookery_local.errors import ClusterError
from rookery_local.layout import SERVICES, Name, Options
from rookery_local.output import Progress
from rookery_local.paths import State


class AccessTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.state = State(Path(directory.name) / "state")
        self.state.make()

    def test_a_secret_is_made_once_for_its_user_alone(self):
        path = secret_files.path(self.state, "redis-muc")
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.assertGreaterEqual(len(secret_files.read(self.state, "redis-muc")), 32)
        self.assertEqual(secret_files.path(self.state, "redis-muc").read_text(), path.read_text())
        self.assertNotEqual(secret_files.read(self.state, "redis-muc"), secret_files.read(self.state, "redis-search"))

    def test_each_service_has_a_certificate_of_its_own_name(self):
        certificates.make(self.state)
        directory = certificates.service_directory(self.state)
        for service in SERVICES:
            certificate = directory / f"{service}.pem"
            shown = subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-ext", "subjectAltName"],
                                   stdout=subprocess.PIPE, text=True, check=True).stdout
            self.assertIn(f"DNS:{service}.rookery.internal\n", shown)
            self.assertEqual((directory / f"{service}.key").stat().st_mode & 0o777, 0o600)
            # Of an authority that clients are not asked to trust.
            for ca, status in ((directory / "ca.pem", 0), (self.state.certificates / "ca.pem", 2)):
                self.assertEqual(subprocess.run(["openssl", "verify", "-CAfile", ca, certificate], stdout=subprocess.DEVNULL,
                                                stderr=subprocess.DEVNULL).returncode, status)
        before = (directory / "muc.pem").read_text()
        certificates.make(self.state)
        self.assertEqual((directory / "muc.pem").read_text(), before)

    def test_redis_knows_hashes_and_no_default_user(self):
        text = redis._users(self.state)
        self.assertIn("user default off\n", text)
        for user in (*SERVICES, redis.ADMIN):
            self.assertNotIn(secret_files.read(self.state, f"redis-{user}"), text)
            self.assertIn(f"user {user} on #", text)
        self.assertNotIn("{", text.replace("{shard}", ""))

    def test_no_password_stands_in_a_command_or_a_setting(self):
        for service in SERVICES:
            name = Name(service, 1)
            services.configure(self.state, Options(), name, Progress(io.StringIO()))
            environment = services._environment(self.state, name)
            text = " ".join([(self.state.config / f"{service}-1.yaml").read_text(), *environment.values(),
                             *services._command(self.state, Options(), name)])
            for path in self.state.secrets.iterdir():
                if path.name != "log-jid-key":
                    self.assertNotIn(path.read_text(), text)

    def test_kafka_takes_nobody_without_a_password(self):
        (self.state.data / "kafka" / "meta.properties").write_text("")
        kafka.prepare(self.state, Options(), Progress(io.StringIO()))
        path = self.state.config / "kafka.properties"
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        text = path.read_text()
        self.assertNotIn("PLAINTEXT:PLAINTEXT", text.replace("SASL_PLAINTEXT", ""))
        for user in ("session-manager", "muc", "search", "admin"):
            self.assertIn(f'user_{user}="{secret_files.read(self.state, f"kafka-{user}")}"', text)

    def test_of_kafka_each_has_its_own_topics(self):
        acls = kafka._acls()
        written = {user: {acl.name for acl in acls if acl.user == user and acl.operation == "write"} for user in ("session-manager", "muc", "search")}
        self.assertEqual(written["search"], {"rookery.messages"})
        self.assertEqual(written["muc"], {"rookery.rooms", "rookery.users", "rookery.messages"})
        self.assertIn("rookery.rooms", written["session-manager"])
        self.assertEqual({acl.name for acl in acls if acl.user == "muc" and acl.operation == "read"}, {"rookery.muc", "rookery.rooms"})
        self.assertEqual({acl.name for acl in acls if acl.user == "session-manager" and acl.operation == "read"}, {"rookery.session-managers", "rookery.users"})
        self.assertEqual({acl.name for acl in acls if acl.user == "search" and acl.operation == "read"}, {"rookery.search", "rookery.messages"})
        self.assertEqual({acl.user for acl in acls}, {"session-manager", "muc", "search"})
        self.assertEqual({acl.operation for acl in acls}, {"read", "write", "create", "describe", "describe-configs"})
        self.assertTrue(all(acl.operation == "read" for acl in acls if acl.resource == "group"))
        self.assertEqual({acl.resource for acl in acls}, {"topic", "group"})

    def test_of_postgresql_each_has_its_own_schema(self):
        statements = postgresql._rights(self.state)
        for service in postgresql.USERS:
            self.assertIn(f"CREATE SCHEMA IF NOT EXISTS {postgresql.role(service)} AUTHORIZATION {postgresql.role(service)};", statements)
            self.assertIn(f"user={postgresql.role(service)}", postgresql.connection(Options(), service))


class KafkaAdminTest(unittest.TestCase):
    """Against a broker of a few lines, with one user."""

    def setUp(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        self.port = listener.getsockname()[1]
        threading.Thread(target=self._broker, args=(listener,), daemon=True).start()

    @staticmethod
    def _broker(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as file:
            while size := file.read(4):
                request = file.read(struct.unpack(">i", size)[0])
                (key,) = struct.unpack(">h", request[:2])
                refusal = struct.pack(">h", 2) + b"no"
                answer = {
                    17: struct.pack(">hi", 0, 0),
                    36: struct.pack(">hhi", 0, -1, 0) if request.endswith(b"\0admin\0right") else struct.pack(">h", 58) + refusal,
                    # The second of two is refused.
                    30: struct.pack(">iihhh", 0, 2, 0, -1, 31) + refusal,
                }[key]
                connection.sendall(struct.pack(">ii", len(answer) + 4, 1) + answer)

    def test_what_is_refused_is_told(self):
        acls = [kafka_admin.Acl("muc", "read", resource, "rookery.rooms") for resource in ("topic", "group")]
        with kafka_admin.Admin("127.0.0.1", self.port, "admin", "right") as admin:
            with self.assertRaisesRegex(ClusterError, "the right of muc to read group rookery.rooms: no"):
                admin.create(acls)

    def test_a_wrong_password_is_told(self):
        with self.assertRaisesRegex(ClusterError, "refuses signing in: no"):
            kafka_admin.Admin("127.0.0.1", self.port, "admin", "wrong")


if __name__ == "__main__":
    unittest.main()
