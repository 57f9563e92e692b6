"""What the tests of the chart need: helm and kubeconform, built from Go modules that are pinned by
their checksums, and the schemas of Kubernetes' objects. All of it lies below .local/deps/charts."""

import copy
import json
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

from rookery_local import lock, packages
from rookery_local.commands import run
from rookery_local.errors import ClusterError
from rookery_local.output import Progress
from rookery_local.paths import DEPS, SOURCE

ROOT = DEPS / "charts"
HELM = ROOT / "bin" / "helm"
KUBECONFORM = ROOT / "bin" / "kubeconform"
PYTHON = ROOT / "venv" / "bin" / "python"
SCHEMAS = ROOT / "schemas"
TESTS = SOURCE / "tests" / "charts"

# The newest that the Go of Debian 12 (1.19) builds. A module's checksum covers its go.sum, and with it
# every module that it needs.
MODULES = (
    ("helm.sh/helm/v3", "v3.11.3", "h1:n1X5yaQTP5DYywlBOZMl2gX398Gp6YwFp/IAVj6+5D4=", "./cmd/helm", HELM),
    ("github.com/yannh/kubeconform", "v0.6.2", "h1:xjUxiCcqTBofTsM3UT6fNb/tKRfqjakNfWvHRa3sGOo=", "./cmd/kubeconform", KUBECONFORM),
)
OLDEST_GO = (1, 19)
# Debian's lies beside the path.
_GO_PLACES = ("/usr/local/go/bin/go", "/usr/lib/go-1.19/bin/go")

# The oldest that the chart is for, and the newest that the package has.
KUBERNETES = ("1.23.0", "1.33.0")
KINDS = (
    "configmap-v1", "service-v1", "serviceaccount-v1", "deployment-apps-v1", "horizontalpodautoscaler-autoscaling-v2",
    "poddisruptionbudget-policy-v1", "networkpolicy-networking-v1",
)


def prepare(progress: Progress) -> None:
    """Makes what is missing. ClusterError: it cannot be had here."""
    with lock.exclusive(DEPS / "charts.lock", progress):
        for (_, mark, wanted), make in zip(_parts(), (_build, _python, _schemas)):
            if not _is_there(mark, wanted):
                make(progress)
                mark.write_text(wanted)


def missing() -> str:
    """What is not there, or not as it is wanted now; or nothing."""
    return ", ".join(what for what, mark, wanted in _parts() if not _is_there(mark, wanted))


def _parts() -> list[tuple[str, Path, str]]:
    """What there is to make: the file that is written last, and what is in it then."""
    return [
        ("helm and kubeconform", ROOT / "bin" / "built", json.dumps([module[:3] for module in MODULES])),
        ("PyYAML", ROOT / "venv" / "installed", (TESTS / "requirements.txt").read_text()),
        ("schemas of Kubernetes", SCHEMAS / "taken", (TESTS / "schemas.txt").read_text() + json.dumps([KUBERNETES, KINDS])),
    ]


def _is_there(mark: Path, wanted: str) -> bool:
    return mark.exists() and mark.read_text() == wanted


def _build(progress: Progress) -> None:
    go = _go(progress)
    shutil.rmtree(ROOT / "bin", ignore_errors=True)
    HELM.parent.mkdir(parents=True)
    # Sources and objects, a gigabyte, stay in Go's own caches, so that another clone is quick.
    environment = {"GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "0"}
    environment["GOFLAGS"] = "-mod=readonly -modcacherw -trimpath -buildvcs=false"
    if not os.environ.get("HOME"):
        environment |= {"GOPATH": str(ROOT / "go"), "GOCACHE": str(ROOT / "go-build")}
    for module, version, checksum, program, target in MODULES:
        progress.step(target.name)
        progress.update("fetching")
        directory = _download(go, module, version, checksum, environment)
        progress.update("building")
        run(
            ["nice", "-n", "10", go, "build", "-ldflags=-s -w", "-o", str(target), program],
            f"building {target.name}", log=ROOT / f"{target.name}.log", environment=environment, directory=directory,
            identify=lambda line: not line.startswith(("go: downloading", "#")),
        )
        progress.done(f"{version} built")


def _download(go: str, module: str, version: str, checksum: str, environment: dict[str, str]) -> Path:
    text = run(
        [go, "mod", "download", "-json", f"{module}@{version}"], f"fetching {module}", environment=environment, directory=ROOT,
        identify=lambda line: '"Error"' in line,
    )
    # What it says of its progress comes first.
    answer = json.loads(text[text.index("{"):])
    if answer.get("Sum") != checksum:
        raise ClusterError(f"the checksum of {module}@{version} is {answer.get('Sum')}, not {checksum}")
    return Path(answer["Dir"])


def _go(progress: Progress) -> str:
    for install in (False, True):
        if install:
            packages.install(["charts"], progress)
        for candidate in (shutil.which("go"), *_GO_PLACES):
            if candidate and _go_version(candidate) >= OLDEST_GO:
                return candidate
    raise ClusterError("there is no Go 1.19 or newer to build helm with")


def _go_version(go: str) -> tuple[int, ...]:
    try:
        answer = subprocess.run([go, "version"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    except OSError:
        return ()
    match = re.search(r"\bgo(\d+)\.(\d+)", answer.stdout)
    return (int(match[1]), int(match[2])) if match else ()


def _python(progress: Progress) -> None:
    progress.step("chart tools")
    shutil.rmtree(ROOT / "venv", ignore_errors=True)
    run(["/usr/bin/python3", "-m", "venv", str(ROOT / "venv")], "making a Python environment")
    _pip("install", "--require-hashes", "--only-binary", ":all:", "-r", str(TESTS / "requirements.txt"))
    progress.done("Python packages installed")


def _pip(command: str, *arguments: str) -> None:
    run(
        [str(PYTHON), "-m", "pip", command, "--disable-pip-version-check", "--no-input", *arguments], "pip",
        log=ROOT / "pip.log", identify=lambda line: line.startswith("ERROR"),
    )


def _schemas(progress: Progress) -> None:
    progress.step("chart tools")
    scratch = ROOT / "wheel"
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.rmtree(SCHEMAS, ignore_errors=True)
    _pip(
        "download", "--require-hashes", "--no-deps", "--only-binary", ":all:", "-d", str(scratch), "-r", str(TESTS / "schemas.txt")
    )
    with zipfile.ZipFile(next(scratch.glob("*.whl"))) as archive:
        for version in KUBERNETES:
            place = f"kubernetes_validate/kubernetes-json-schema/v{version}-local-strict"
            definitions = json.loads(archive.read(f"{place}/_definitions.json"))["$defs"]
            (SCHEMAS / f"v{version}").mkdir(parents=True)
            for kind in KINDS:
                text = archive.read(f"{place}/{kind}.json").decode()
                (SCHEMAS / f"v{version}" / f"{kind}.json").write_text(local_schema(text, definitions))
    shutil.rmtree(scratch)
    progress.done("Kubernetes' schemas taken")


def local_schema(text: str, definitions: dict) -> str:
    """The schema of one kind with those of the common definitions that it needs, whatever address it gives
    itself: kubeconform takes a second to read all of them."""
    schema = json.loads(text)
    schema.pop("$id", None)
    needed: dict[str, dict] = {}

    def walk(node) -> None:
        if isinstance(node, dict):
            reference = node.get("$ref")
            if isinstance(reference, str):
                name = reference.rpartition("/")[2]
                node["$ref"] = f"#/$defs/{name}"
                if name not in needed:
                    needed[name] = copy.deepcopy(definitions[name])
                    walk(needed[name])
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(schema)
    schema["$defs"] = needed
    return json.dumps(schema)
