#!/usr/bin/env python3
"""Tests of helm/rookery with helm, kubeconform and checks of our own. tests/run calls it with what
deploy/local/rookery_local/chart_tools.py has made; README.md says what is tested.

--write-schema brings the services' settings in values.schema.json up to date instead.
Exit status: 0 all passed, 1 something failed.
"""

import argparse
import copy
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Callable

import yaml

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "deploy" / "local")]

import checks  # noqa: E402
import config_schema  # noqa: E402
import facts  # noqa: E402
import faults  # noqa: E402
from rookery_local import chart_tools  # noqa: E402

CHART = facts.SOURCE / "helm" / "rookery"
VALUES = sorted((CHART / "ci").glob("*-values.yaml"))
# Of which the others are mistakes: everything is on in it.
FULL = CHART / "ci" / "full-values.yaml"
MINIMAL = CHART / "ci" / "insecure-values.yaml"
RELEASE = "chat"

Test = Callable[[], None]


class Skipped(Exception):
    """Why a test cannot be run here."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="tests/charts/run.py")
    parser.add_argument("-k", action="append", default=[], metavar="TEXT", help="only tests whose name has TEXT; may be repeated")
    parser.add_argument("--list", action="store_true", help="name the tests and run none")
    parser.add_argument("--build-dir", type=Path, default=Path(), metavar="DIR", help="where the services were built")
    parser.add_argument("--write-schema", action="store_true", help="update values.schema.json from the services' sources")
    parsed = parser.parse_args(arguments)
    if parsed.write_schema:
        config_schema.update(CHART / "values.schema.json", facts.read())
        return 0
    tests = all_tests(parsed.build_dir / "bin")
    if parsed.k:
        tests = {name: test for name, test in tests.items() if any(text in f"charts {name}" for text in parsed.k)}
    if parsed.list:
        print("\n".join(f"charts {name}" for name in tests))
        return 0
    passed = failed = skipped = 0
    for name, test in tests.items():
        try:
            test()
        except Skipped as reason:
            skipped += 1
            print(f"charts skipped {name}: {reason}", flush=True)
        except AssertionError as error:
            failed += 1
            print(f"charts FAILED  {name}\n  " + "\n  ".join(str(error).splitlines()[:30]), flush=True)
        else:
            passed += 1
            print(f"charts ok      {name}", flush=True)
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


def all_tests(programs: Path) -> dict[str, Test]:
    known = facts.read()
    tests: dict[str, Test] = {"values.schema.json has the services' settings": lambda: schema_is_current(known)}
    for values in VALUES:
        name = values.name.removesuffix("-values.yaml")
        tests[f"helm lint, {name}"] = lambda values=values: lint(values)
        for version in chart_tools.KUBERNETES:
            tests[f"schema of Kubernetes {version}, {name}"] = lambda values=values, version=version: conforms(values, version)
        tests[f"checks, {name}"] = lambda values=values: has_no_mistakes(values, known)
        tests[f"notes, {name}"] = lambda values=values: notes(values)
        tests[f"the services take their settings, {name}"] = lambda values=values: services_agree(values, programs)
    for name, fault in faults.SCHEMA_FAULTS.items():
        tests[f"kubeconform finds: {name}"] = lambda fault=fault: kubeconform_finds(fault)
    for fault in faults.FAULTS:
        tests[f"check {fault.check} finds: {fault.name}"] = lambda fault=fault: check_finds(fault, known)
    tests["every check finds something"] = every_check_has_a_fault
    for name, (values, words) in faults.WRONG_VALUES.items():
        tests[f"helm refuses: {name}"] = lambda values=values, words=words: helm_refuses(values, words)
    tests["the longest names fit"] = lambda: long_names(known)
    tests["boards and rules come from deploy"] = boards_and_rules
    tests["the packaged chart is the same"] = packaged
    tests["appVersion is the services' version"] = release_is_ours
    return tests


# ---- tools ------------------------------------------------------------------------------------


# What helm would read or write of a person's own.
_NOBODYS = {name: "/nonexistent" for name in ("HELM_CONFIG_HOME", "HELM_CACHE_HOME", "HELM_DATA_HOME", "KUBECONFIG")}


def execute(*command, text: str = "") -> tuple[int, str, str]:
    done = subprocess.run([str(word) for word in command], input=text, capture_output=True, text=True, env={**os.environ, **_NOBODYS})
    errors = "\n".join(line for line in done.stderr.splitlines() if not line.startswith("walk.go:"))
    return done.returncode, done.stdout, errors


def template(
    values: Path, chart: Path = CHART, version: str = chart_tools.KUBERNETES[-1], release: str = RELEASE, more: dict | None = None
) -> str:
    """`more` are values that win over those of the file."""
    command = [chart_tools.HELM, "template", release, chart, "--namespace", "chat", "--kube-version", version, "-f", values, "-f", "-"]
    status, output, errors = execute(*command, text=yaml.safe_dump(more or {}))
    assert status == 0, errors
    return output


def load(text: str) -> list[dict]:
    return [one for one in yaml.load_all(text, yaml.CSafeLoader) if one]


_loaded: dict[Path, list[dict]] = {}


def objects(values: Path) -> list[dict]:
    """A copy, to do with as one likes."""
    if values not in _loaded:
        _loaded[values] = load(template(values))
    return copy.deepcopy(_loaded[values])


def kubeconform(text: str, version: str = chart_tools.KUBERNETES[-1]) -> tuple[int, str]:
    places = [chart_tools.SCHEMAS / f"v{version}", HERE / "schemas"]
    flags = [word for place in places for word in ("-schema-location", f"{place}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json")]
    status, output, errors = execute(chart_tools.KUBECONFORM, "-strict", "-summary", "-kubernetes-version", version, *flags, "-", text=text)
    return status, output + errors


def named_secrets(values: Path) -> set[str]:
    """What the values say of secrets, the chart's defaults among them."""
    found = set()
    for file in (CHART / "values.yaml", values):
        for path, value in checks.walk(load(file.read_text())[0]):
            keys = [key for key in path if isinstance(key, str)]
            is_name = keys[-1:] in (["secretName"], ["passwordsSecret"]) or keys[-2:-1] == ["existingSecrets"]
            is_name = is_name or (keys[-1:] == ["name"] and keys[-2].endswith("Secret"))
            if is_name and isinstance(value, str) and value:
                found.add(value)
    return found


def chart_of(values: Path, known: facts.Facts, of: list[dict] | None = None) -> checks.Chart:
    return checks.Chart(objects(values) if of is None else of, known, named_secrets(values))


# ---- tests ------------------------------------------------------------------------------------


def schema_is_current(known: facts.Facts) -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    for name, definition in config_schema.definitions(known).items():
        assert schema["definitions"].get(name) == definition, f"{name} is not what the sources say; tests/charts/run.py --write-schema"


def lint(values: Path) -> None:
    status, output, errors = execute(chart_tools.HELM, "lint", "--strict", CHART, "-f", values)
    assert status == 0, output + errors


def conforms(values: Path, version: str) -> None:
    text = template(values, version=version)
    status, output = kubeconform(text, version)
    assert status == 0, output
    match = re.search(r"Valid: (\d+), Invalid: 0, Errors: 0, Skipped: 0", output)
    assert match and int(match[1]) == len(load(text)), output


def has_no_mistakes(values: Path, known: facts.Facts) -> None:
    found = checks.mistakes(chart_of(values, known))
    assert not found, "\n".join(found)


def notes(values: Path) -> None:
    """Every door's port is in the notes, and a warning where something is open. `helm template` leaves notes out: a
    template that has them is added."""
    with tempfile.TemporaryDirectory() as scratch:
        chart = Path(scratch) / "rookery"
        shutil.copytree(CHART, chart)
        (chart / "templates" / "NOTES.txt").rename(chart / "notes")
        (chart / "templates" / "notes.yaml").write_text('kind: Notes\ntext: {{ tpl (.Files.Get "notes") . | toJson }}\n')
        made = load(template(values, chart=chart))
    text = next(one["text"] for one in made if one["kind"] == "Notes")
    for one in made:
        if one["kind"] == "Service" and one["spec"].get("clusterIP") != "None":
            assert one["metadata"]["name"] in text, text
            for port in one["spec"]["ports"]:
                assert re.search(rf"(port |:){port['port']}\b", text), f"nothing of port {port['port']} in\n{text}"
    assert ("WARNING" in text) == (values != FULL), text
    assert "<no value>" not in text and "%!" not in text, text


def services_agree(values: Path, programs: Path) -> None:
    """The services themselves check what the chart has written for them, files and variables included."""
    chart = checks.Chart(objects(values), facts.read(), set())
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        certificates = make_certificates(root)
        for where, deployment, container in checks.containers(chart):
            program = programs / container["command"][0]
            if not program.exists():
                raise Skipped(f"{program.name} is not built")
            environment = {"ROOKERY_LOG_JID_KEY": "x"}
            for entry in container["env"]:
                # A pod's name and address.
                value = entry.get("value", "192.0.2.7" if entry["name"] == "POD_IP" else "chat-0")
                environment[entry["name"]] = local(value.replace("$(POD_IP)", "192.0.2.7"), certificates)
            config = root / "config.yaml"
            settings = chart.find("ConfigMap", deployment["metadata"]["name"])
            config.write_text(local(settings["data"]["config.yaml"], certificates))
            command = [program, "--config", config, "--check-config"]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment)
            assert done.returncode == 0, f"{where}: {done.stderr}"


def make_certificates(root: Path) -> Path:
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
    status, _, errors = execute(*command, "-subj", "/CN=test", "-keyout", root / "key", "-out", root / "certificate")
    assert status == 0, errors
    (root / "password").write_text("x")
    (root / "password").chmod(0o400)
    return root


def local(text: str, root: Path) -> str:
    """The files of a pod, by what is in them."""
    text = re.sub(r"/etc/rookery/[\w/.-]+\.crt\b", str(root / "certificate"), text)
    text = re.sub(r"/etc/rookery/[\w/.-]+\.key\b", str(root / "key"), text)
    return re.sub(r"/etc/rookery/[\w/.-]+/(password|key)\b", str(root / "password"), text)


def as_text(of: list[dict]) -> str:
    """JSON is YAML, and written faster."""
    return "\n---\n".join(json.dumps(one) for one in of)


def changed(change: Callable[[faults.Objects], None]) -> list[dict]:
    by_name = {f"{one['kind']}/{one['metadata']['name']}": one for one in objects(FULL)}
    change(by_name)
    return list(by_name.values())


def kubeconform_finds(fault: Callable[[faults.Objects], None]) -> None:
    good, bad = changed(lambda _: None), changed(fault)
    # Only what the fault has changed: a schema takes a while to read.
    pairs = [(before, after) for before, after in zip(good, bad) if before != after]
    assert pairs, "the fault changes nothing"
    status, output = kubeconform(as_text([before for before, _ in pairs]))
    assert status == 0, f"the good chart does not pass: {output}"
    status, output = kubeconform(as_text([after for _, after in pairs]))
    assert status != 0, f"not found: {output}"


def check_finds(fault: faults.Fault, known: facts.Facts) -> None:
    check = checks.CHECKS[fault.check]
    good = list(check(chart_of(FULL, known)))
    bad = list(check(chart_of(FULL, known, changed(fault.make))))
    assert not good, "the good chart does not pass:\n" + "\n".join(good)
    assert any(fault.says in line for line in bad), f"not found; what it says is {bad}"


def every_check_has_a_fault() -> None:
    without = set(checks.CHECKS) - {fault.check for fault in faults.FAULTS}
    assert not without, f"nothing proves {', '.join(sorted(without))}"


def helm_refuses(values: dict, words: str) -> None:
    try:
        template(MINIMAL, more=values)
    except AssertionError as error:
        assert words in str(error), f"it does not say {words!r} but\n{error}"
    else:
        raise AssertionError("it takes them")


def long_names(known: facts.Facts) -> None:
    door = {"door-of-many": {"enabled": True, "listeners": {"xmpp": {"enabled": True, "port": 5222}}}}
    # As long as helm lets a release's be.
    made = load(template(MINIMAL, release="r" * 53, more={"gateway": {"doors": door}}))
    found = checks.mistakes(chart_of(MINIMAL, known, made))
    assert not found, "\n".join(found)


def boards_and_rules() -> None:
    """As many as there are; and, in a copy of the chart that has some, each as it is."""
    boards = [*(facts.SOURCE / "deploy" / "grafana" / "boards").glob("*.json")]
    rules = [*(facts.SOURCE / "deploy" / "prometheus" / "rules").glob("*.yaml")]
    made = objects(FULL)
    count_boards(made, len(boards), len(rules))
    for one in made:
        for name, text in one.get("data", {}).items():
            assert len(text) < 1_000_000, f"{name} does not fit into a ConfigMap"
    with tempfile.TemporaryDirectory() as scratch:
        chart = Path(scratch) / "rookery"
        shutil.copytree(CHART, chart)
        board = '{"title": "{{ board }}", "uid": "x"}\n'
        (chart / "files" / "dashboards" / "Some_Board.json").write_text(board)
        rule = {"alert": "X", "expr": "up == 0", "for": "5m", "annotations": {"summary": "{{ $labels.pod }}"}}
        groups = [{"name": "some", "rules": [rule]}]
        (chart / "files" / "rules" / "some.yaml").write_text(yaml.safe_dump({"groups": groups}))
        text = template(FULL, chart=chart)
        status, output = kubeconform(text)
        assert status == 0, output
        made = load(text)
    count_boards(made, len(boards) + 1, len(rules) + 1)
    assert any(one.get("data") == {"Some_Board.json": board} for one in made), "the board is not as it was"
    assert any(one["kind"] == "PrometheusRule" and one["spec"]["groups"] == groups for one in made), "the rule is not as it was"


def count_boards(made: list[dict], boards: int, rules: int) -> None:
    found_boards = sum("grafana_dashboard" in one["metadata"]["labels"] for one in made)
    found_rules = sum(one["kind"] == "PrometheusRule" for one in made)
    assert found_boards == boards, f"{found_boards} boards instead of {boards}"
    assert found_rules == rules, f"{found_rules} files of rules instead of {rules}"


def packaged() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        status, output, errors = execute(chart_tools.HELM, "package", CHART, "-d", scratch)
        assert status == 0, output + errors
        archive = next(Path(scratch).glob("*.tgz"))
        made = template(FULL, chart=archive)
        assert made == template(FULL), "it makes other objects"
        # Helm keeps both in one Secret, in base64.
        size = (archive.stat().st_size + len(gzip.compress(made.encode()))) * 4 // 3
    assert size < 900_000, f"with {size} bytes a release does not fit into a Secret"


def release_is_ours() -> None:
    version = re.search(r"project\(rookery VERSION (\S+)", (facts.SOURCE / "CMakeLists.txt").read_text())[1]
    said = load((CHART / "Chart.yaml").read_text())[0]["appVersion"]
    assert said == version, f"appVersion is {said}, and the services are of {version}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
