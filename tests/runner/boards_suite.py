"""tests/boards: Grafana's boards, Prometheus's rules, and the catalogue of metrics that both are checked against."""

from rookery_local.paths import SOURCE
from runner.python_suite import UnittestSuite

_SUITE = UnittestSuite("boards", (SOURCE / "tests" / "boards",))
names, execute = _SUITE.names, _SUITE.execute
