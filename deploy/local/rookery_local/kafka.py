"""One Kafka broker in KRaft mode, which believes nobody without a password. Topics are made by the services."""

import base64
import os
import shutil
from pathlib import Path

from rookery_local import generated, kafka_admin, processes, secret_files
from rookery_local.commands import run
from rookery_local.errors import ClusterError
from rookery_local.layout import HOST, Name, Options
from rookery_local.output import Progress
from rookery_local.paths import KAFKA_JARS, State

NAME = Name("kafka", 1)
# Who may do everything: the broker itself, and the cluster's own tools and tests.
_BROKER, ADMIN = "broker", "admin"
# As libs/events names them, and the default of `kafka.topic-prefix`.
_PREFIX = "rookery."
_TOPICS = ("users", "rooms", "messages", "presence")
# Of each service: its group, and what it reads and writes.
_RIGHTS = {
    "session-manager": ("session-managers", ("users",), ("users", "rooms", "messages", "presence")),
    "muc": ("muc", ("rooms",), ("rooms", "users", "messages")),
    "search": ("search", ("messages",), ("messages",)),
}

SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
controller.listener.names=CONTROLLER
listeners=CLIENTS://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=CLIENTS://{host}:{port}
listener.security.protocol.map=CLIENTS:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT
inter.broker.listener.name=CLIENTS
sasl.enabled.mechanisms=PLAIN
sasl.mechanism.inter.broker.protocol=PLAIN
sasl.mechanism.controller.protocol=PLAIN
listener.name.clients.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
  username="{broker}" password="{password}" {users};
listener.name.controller.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
  username="{broker}" password="{password}" user_{broker}="{password}";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:{broker};User:{admin}
log.dirs={data}
auto.create.topics.enable=false
num.network.threads=1
num.io.threads=2
num.recovery.threads.per.data.dir=2
background.threads=2
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.segment.bytes=67108864
log.retention.hours=24
"""

# SLF4J's own simplest binding writes to standard error, which is the log file.
LOG = [
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server=info",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
    "-Dorg.slf4j.simpleLogger.showShortLogName=true",
]


def prepare(state: State, options: Options, progress: Progress) -> None:
    data = state.data / "kafka"
    ports = options.ports(NAME)
    path = state.config / "kafka.properties"
    own = state.settings / "kafka.properties"
    passwords = {user: secret_files.read(state, f"kafka-{user}") for user in (_BROKER, ADMIN, *_RIGHTS)}
    settings = SETTINGS.format(
        host=HOST, port=ports["kafka"], controller=ports["controller"], data=data, broker=_BROKER, admin=ADMIN,
        password=passwords[_BROKER], users=" ".join(f'user_{user}="{password}"' for user, password in passwords.items()),
    )
    # Of a property that stands there twice, Java takes the later one.
    generated.write(path, settings + (own.read_text() if own.exists() else ""), [own], progress)
    path.chmod(0o600)
    if (data / "meta.properties").exists():
        return
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(mode=0o700)
    cluster_id = base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=").replace("-", "A")
    run(
        [*_java(), "-Xmx128m", "kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(path)],
        "Kafka's storage format",
        log=state.logs / "kafka-format.log",
    )


def start(state: State, options: Options) -> None:
    # On a small heap and few cores the parallel collector costs less than G1 and stops for less long.
    memory = ["-Xms512m", "-Xmx512m", "-XX:+UseParallelGC", "-XX:+ExitOnOutOfMemoryError"]
    processes.start(state, NAME, [*_java(), *memory, "kafka.Kafka", str(state.config / "kafka.properties")])


def grant(state: State, options: Options) -> None:
    """What the services may do, once Kafka answers."""
    try:
        with admin(state, options) as connection:
            connection.create(_acls())
    except OSError as error:
        raise ClusterError(f"Kafka does not say whether it knows the services' rights ({error})") from error


def admin(state: State, options: Options) -> kafka_admin.Admin:
    return kafka_admin.Admin(HOST, options.ports(NAME)["kafka"], ADMIN, secret_files.read(state, f"kafka-{ADMIN}"))


def password_file(state: State, service: str) -> Path:
    return secret_files.path(state, f"kafka-{service}")


def _acls() -> list[kafka_admin.Acl]:
    acls = []
    for service, (group, read, written) in _RIGHTS.items():
        acls.append(kafka_admin.Acl(service, "read", "group", _PREFIX + group))
        acls += [kafka_admin.Acl(service, "read", "topic", _PREFIX + topic) for topic in read]
        acls += [kafka_admin.Acl(service, "write", "topic", _PREFIX + topic) for topic in written]
        # Whoever starts first makes all of them, and each looks at how they were made.
        acls += [kafka_admin.Acl(service, operation, "topic", _PREFIX + topic)
                 for topic in _TOPICS for operation in ("create", "describe", "describe-configs")]
    return acls


def _java() -> list[str]:
    return ["java", *LOG, "-cp", f"{KAFKA_JARS}/*"]
