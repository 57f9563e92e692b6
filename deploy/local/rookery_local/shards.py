"""Which shards have an owner that runs, as Redis has it: `rookery:shards:<service>`, shard -> `<epoch> <owner> <address>`."""

from rookery_local import processes
from rookery_local.errors import ClusterError
from rookery_local.layout import Name, Options
from rookery_local.paths import State
from rookery_local.redis import Connection

# Of these each shard has one instance as its owner.
SHARDED = ("session-manager", "muc", "search")


def without_owner(state: State, options: Options, service: str) -> int | None:
    """How many. None: Redis does not say."""
    try:
        with Connection(state, options, 2) as redis:
            flat = redis.command("HGETALL", f"rookery:shards:{service}")
    except (OSError, ClusterError):
        return None
    owned = {shard for shard, value in zip(flat[::2], flat[1::2]) if _runs(state, service, value)}
    return sum(str(shard) not in owned for shard in range(options.partitions))


def _runs(state: State, service: str, value: str) -> bool:
    owner = value.split(" ")[1]
    prefix, _, number = owner.rpartition("-")
    return prefix == service and number.isdigit() and processes.running(state, Name(service, int(number))) is not None
