"""Waiting for something to become true, with a generous bound and never for nothing."""

import asyncio
import inspect
import time

BOUND = 20.0


async def until(condition, what: str, seconds: float = BOUND, every: float = 0.05):
    """Gives the condition's first true value. For states that nothing announces."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds:.0f} s still not: {what}")
        await asyncio.sleep(every)
