"""A gateway of its own for scenarios that need another configuration."""

import contextlib
import os

from harness.cluster import Cluster

NAME = "gateway/3"


@contextlib.asynccontextmanager
async def extra_gateway(cluster: Cluster, **settings: str):
    """A third gateway; `settings` as in the environment: `TLS__CLIENT_CA_FILE="…"`."""
    environment = {f"ROOKERY_GATEWAY__{key}": value for key, value in settings.items()}
    # `cluster` hands its own environment on to what it starts.
    before = {key: os.environ.get(key) for key in environment}
    os.environ.update(environment)
    try:
        await cluster.scale("gateway", 3)
    finally:
        for key, value in before.items():
            os.environ.pop(key) if value is None else os.environ.update({key: value})
    try:
        yield
    finally:
        await cluster.scale("gateway", 2)
