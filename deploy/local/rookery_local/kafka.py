"""One Kafka broker in KRaft mode. Topics are made by the services."""

import base64
import os
import shutil

from rookery_local import generated, processes
from rookery_local.commands import run
from rookery_local.layout import HOST, Name, Options
from rookery_local.output import Progress
from rookery_local.paths import KAFKA_JARS, State

NAME = Name("kafka", 1)

SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
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
    settings = SETTINGS.format(host=HOST, port=ports["kafka"], controller=ports["controller"], data=data)
    # Of a property that stands there twice, Java takes the later one.
    generated.write(path, settings + (own.read_text() if own.exists() else ""), [own], progress)
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


def _java() -> list[str]:
    return ["java", *LOG, "-cp", f"{KAFKA_JARS}/*"]
