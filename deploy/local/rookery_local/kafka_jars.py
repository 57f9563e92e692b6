"""Apache Kafka's jars: fetched by Maven from where it is configured to, pinned by
kafka/pom.xml, and used only if they are exactly those of kafka/jars.sha256."""

import hashlib
import os
import shutil
from pathlib import Path

from rookery_local.commands import run
from rookery_local.errors import ClusterError
from rookery_local.output import Progress
from rookery_local.paths import DEPS, KAFKA_JARS, TOOLS

POM = TOOLS / "kafka" / "pom.xml"
SUMS = TOOLS / "kafka" / "jars.sha256"
# Written last, with the list that the jars were checked against.
MARK = KAFKA_JARS / "verified"


def fetch(progress: Progress) -> None:
    progress.step("kafka")
    sums = SUMS.read_text()
    if MARK.exists() and MARK.read_text() == sums:
        progress.done("jars there")
        return
    part = KAFKA_JARS.with_name("kafka.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    fetched = 0

    def on_line(line: str) -> None:
        nonlocal fetched
        if "Downloaded from" in line:
            fetched += 1
            progress.update(f"{fetched} files from Maven's repository")

    run(
        ["mvn", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={part}", "-DincludeScope=runtime"],
        "fetching Kafka with Maven",
        log=DEPS / "maven.log",
        on_line=on_line,
        # Maven reads its settings below $HOME, which need not be set everywhere.
        environment={"HOME": os.environ.get("HOME") or str(DEPS)},
        identify=lambda line: line.startswith("[ERROR]"),
    )
    verify(part, sums)
    shutil.rmtree(KAFKA_JARS, ignore_errors=True)
    part.rename(KAFKA_JARS)
    MARK.write_text(sums)
    progress.done(f"{len(sums.splitlines())} jars fetched, checksums right")


def verify(directory: Path, sums: str) -> None:
    expected = {name: digest for digest, name in (line.split() for line in sums.splitlines())}
    found = {path.name for path in directory.iterdir()}
    if found != set(expected):
        odd = ", ".join(sorted(found ^ set(expected)))
        raise ClusterError(f"Maven's jars are not those of {SUMS}: {odd}")
    for name, digest in expected.items():
        if hashlib.sha256((directory / name).read_bytes()).hexdigest() != digest:
            shutil.rmtree(directory, ignore_errors=True)
            raise ClusterError(f"the checksum of {name} is wrong; nothing of it was kept")
