"""Debian's Prometheus for a test: our configuration and rules, looking every second at the tests' cluster."""

import asyncio
import json
import re
import shutil
import socket
import urllib.error
import urllib.parse
import urllib.request

from harness.cluster import Cluster
from harness.paths import SOURCE
from harness.wait import until

_DIRECTORY = SOURCE / "deploy" / "prometheus"


class Prometheus:
    def __init__(self, cluster: Cluster):
        self._directory = cluster.state.resolve() / "prometheus"
        self._targets = cluster.state.resolve() / "config" / "prometheus-targets.json"
        self._process: asyncio.subprocess.Process | None = None
        self._address = ""

    async def __aenter__(self) -> "Prometheus":
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir()
        configuration = self._directory / "prometheus.yml"
        configuration.write_text(self._configuration())
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._address = f"127.0.0.1:{free.getsockname()[1]}"
        with open(self._directory / "log", "wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                "prometheus", f"--config.file={configuration}", f"--storage.tsdb.path={self._directory / 'data'}",
                f"--web.listen-address={self._address}", stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
            )
        try:
            await until(self._is_ready, "Prometheus is ready")
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_) -> None:
        if self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), 20)
            except asyncio.TimeoutError:
                self._process.kill()
                await self._process.wait()

    async def query(self, expression: str) -> list[dict]:
        """The samples of now: [{metric: {…}, value: [time, text]}]."""
        return (await self._get("query", query=expression))["result"]

    async def query_range(self, expression: str, start: float, end: float, step: float) -> list[dict]:
        return (await self._get("query_range", query=expression, start=start, end=end, step=step))["result"]

    async def label_values(self, selector: str, label: str) -> list[str]:
        return await self._get(f"label/{label}/values", **{"match[]": selector})

    async def targets(self) -> list[dict]:
        return (await self._get("targets"))["activeTargets"]

    async def rules(self) -> list[dict]:
        return [rule for group in (await self._get("rules"))["groups"] for rule in group["rules"]]

    def _configuration(self) -> str:
        text = (_DIRECTORY / "prometheus.yml").read_text()
        for pattern, instead in (
            ("15s", "1s"),
            (r"rules/\*\.yaml", f"{_DIRECTORY}/rules/*.yaml"),
            (r"[.]{2}/\S*/prometheus-targets\.json", str(self._targets)),
            # Nobody is to be told of a test.
            (r"alerting:\n(?:  .*\n)+", ""),
        ):
            text, count = re.subn(pattern, instead, text)
            assert count, f"prometheus.yml has no {pattern} any more"
        return text

    async def _is_ready(self) -> bool:
        assert self._process.returncode is None, f"Prometheus ended:\n{(self._directory / 'log').read_text()[-2000:]}"
        try:
            await self._fetch("/-/ready")
            return True
        except OSError:
            return False

    async def _get(self, what: str, **parameters):
        answer = json.loads(await self._fetch(f"/api/v1/{what}?{urllib.parse.urlencode(parameters)}"))
        assert answer["status"] == "success" and not answer.get("warnings"), (what, parameters, answer)
        return answer["data"]

    async def _fetch(self, path: str) -> str:
        def fetch() -> str:
            try:
                with urllib.request.urlopen(f"http://{self._address}{path}", timeout=20) as answer:
                    return answer.read().decode()
            except urllib.error.HTTPError as error:
                # A refused query is told in the body.
                if error.code == 503:
                    raise OSError("not ready") from error
                return error.read().decode()

        return await asyncio.get_running_loop().run_in_executor(None, fetch)
