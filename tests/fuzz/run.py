#!/usr/bin/env python3
"""Builds the libFuzzer targets and runs each for some seconds on its corpus.

A finding's input and log are kept under .local/fuzz/findings. The last line says
`N passed, M failed`; the exit status is 1 when any failed, 2 when they do not build.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent.parent
LOCAL = SOURCE / ".local"
BUILD = LOCAL / "build" / "fuzz"
STATE = LOCAL / "fuzz"
TARGETS = ("xml_stream", "jid", "websocket", "sasl", "search_text", "hostile_sessions", "large_stanzas")
# Larger inputs are slow and find nothing that smaller ones do not.
MAX_INPUT_BYTES = 8192
# To play again what earlier runs have kept would take all the time: these begin with their seeds.
SLOW_TARGETS = ("hostile_sessions", "large_stanzas")


def say(text: str) -> None:
    print(text, flush=True)


def build(targets: list[str]) -> bool:
    """Configures when needed and builds `targets` only; prints what failed."""
    STATE.mkdir(parents=True, exist_ok=True)
    log = STATE / "build.log"
    names = ["fuzzers"] if len(targets) == len(TARGETS) else [f"fuzz_{target}" for target in targets]
    started = time.monotonic()
    with log.open("wb") as out:
        for command in (["cmake", "--preset", "fuzz"], ["cmake", "--build", str(BUILD), "--target", *names]):
            say("building: " + " ".join(command[:3]))
            if subprocess.run(command, cwd=SOURCE, stdout=out, stderr=subprocess.STDOUT, check=False).returncode != 0:
                sys.stdout.write(log.read_text(errors="replace")[-8000:])
                return False
    say(f"built in {time.monotonic() - started:.0f} s")
    return True


def last_statistics(log: Path) -> str:
    """libFuzzer's last word on coverage and speed."""
    last = ""
    for line in log.read_text(errors="replace").splitlines():
        if line.startswith("#") and " cov: " in line:
            last = line
    words = last.split()
    values = {words[i].rstrip(":"): words[i + 1] for i in range(len(words) - 1) if words[i].endswith(":")}
    if not values:
        return ""
    return f"{words[0].lstrip('#')} inputs, {values.get('cov', '?')} edges"


def fuzz(target: str, seconds: int, seed: int | None) -> bool:
    """Runs one target; True when nothing was found."""
    grown = STATE / "corpus" / target
    findings = STATE / "findings" / target
    if target in SLOW_TARGETS:
        shutil.rmtree(grown, ignore_errors=True)
    grown.mkdir(parents=True, exist_ok=True)
    findings.mkdir(parents=True, exist_ok=True)
    before = set(findings.iterdir())
    log = STATE / f"{target}.log"
    command = [
        str(BUILD / "fuzz" / f"fuzz_{target}"),
        f"-max_total_time={seconds}",
        f"-max_len={MAX_INPUT_BYTES}",
        "-timeout=10",
        "-rss_limit_mb=1024",
        f"-artifact_prefix={findings}{os.sep}",
        "-print_final_stats=1",
    ]
    dictionary = HERE / "dictionaries" / f"{target}.dict"
    if dictionary.exists():
        command.append(f"-dict={dictionary}")
    if seed is not None:
        command.append(f"-seed={seed}")
    command += [str(grown), str(HERE / "corpus" / target)]
    environment = os.environ | {
        "ASAN_OPTIONS": "detect_leaks=1:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    }
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=STATE, env=environment, stdout=out, stderr=subprocess.STDOUT)
        started = time.monotonic()
        try:
            while (status := process.poll()) is None:
                try:
                    process.wait(timeout=5)
                except subprocess.TimeoutExpired:
                    say(f"{target}: {time.monotonic() - started:.0f} of {seconds} s, {last_statistics(log)}")
        finally:
            process.kill()  # when we are interrupted; else it has ended
    found = sorted(set(findings.iterdir()) - before)
    if status == 0 and not found:
        say(f"{target}: nothing found, {last_statistics(log)}")
        return True
    say(f"{target}: FAILED with exit status {status}")
    say("\n".join(log.read_text(errors="replace").splitlines()[-60:]))
    for path in found:
        say(f"{target}: reproduce with {command[0]} {path}")
    return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=5, metavar="N", help="of each target (5)")
    parser.add_argument("--target", action="append", choices=TARGETS, help="only this one; may be repeated")
    parser.add_argument("--seed", type=int, metavar="N", help="of libFuzzer's random numbers, to repeat a run")
    parsed = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    targets = parsed.target or list(TARGETS)
    if not build(targets):
        say("0 passed, %d failed" % len(targets))
        return 2
    passed = [target for target in targets if fuzz(target, parsed.seconds, parsed.seed)]
    failed = len(targets) - len(passed)
    say(f"{len(passed)} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
