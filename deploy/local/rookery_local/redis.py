"""A Redis that keeps nothing: what is in it can be rebuilt."""

from rookery_local import processes
from rookery_local.layout import HOST, Name, Options
from rookery_local.paths import State

NAME = Name("redis", 1)


def start(state: State, options: Options) -> None:
    directory = state.data / "redis"
    directory.mkdir(exist_ok=True)
    processes.start(
        state,
        NAME,
        ["redis-server", "--bind", HOST, "--port", str(options.ports(NAME)["redis"]), "--dir", str(directory),
         "--save", "", "--appendonly", "no", "--daemonize", "no"],
    )
