"""What faults excuse: which of them, by when and what they hit, may cost a client its session, or its connection."""

from dataclasses import dataclass, field
from typing import Iterable

# A gateway and the owner of a shard have told each other, or others, what only one of them knew so long after a
# fault began or was mended: 10 s until a link that takes nothing is dead; 6 s until Kafka's group has noticed a
# death, 5 s for gateways to attach, and the load of a busy machine.
DETECTED = 20.0
# sessions.link-grace: so long a session without XEP-0198 survives the loss of its gateway's link.
LINK_GRACE = 5.0


@dataclass
class Span:
    """When a fault was there, the gateways that it hit, and the shards whose owner it hit."""

    began: float
    gateways: set[str] = field(default_factory=set)
    shards: set[int] = field(default_factory=set)
    ended: float = float("inf")
    # Of the gateways, those that were apart from session-managers.
    apart: set[str] = field(default_factory=set)
    # Gateways that did not find a session-manager which came back, since Redis did not say where it is.
    unguided: set[str] = field(default_factory=set)


def may_lose_session(spans: Iterable[Span], gateways: set[str], shard: int, since: float, last: float) -> float | None:
    """Whether a session of `shard` may be gone that was on one of `gateways` at times from `since` to `last`: its
    gateway was hit, and by another fault its owner, before what one of them knew alone was known to others. Returns when
    the first of such faults began, or None."""
    spans = list(spans)
    began = None
    for one in spans:
        if not one.gateways & gateways:
            continue
        for other in spans:
            if other is one or shard not in other.shards:
                continue
            at_once = one.began <= other.ended + DETECTED and other.began <= one.ended + DETECTED
            meanwhile = min(one.began, other.began) - DETECTED <= last and since <= max(one.ended, other.ended) + DETECTED
            if at_once and meanwhile:
                first = min(one.began, other.began)
                began = first if began is None else min(began, first)
    return began


def may_lose_connection(spans: Iterable[Span], gateways: set[str], now: float) -> bool:
    """Whether a client without XEP-0198 of one of `gateways` may be told now that its session is over: the gateway was
    apart from session-managers for longer than such a session waits for it."""
    return any(
        span.apart & gateways and min(now, span.ended) - span.began >= LINK_GRACE and now <= span.ended + DETECTED for span in spans
    )


def may_be_out_of_reach(spans: Iterable[Span], gateways: set[str], shard: int, now: float) -> bool:
    """Whether an owner of `shard` may not have known until now of sessions on `gateways`, and told others, rooms among them, that
    nobody is there: the gateway was apart from session-managers, or did not find one, when the shard had a new owner, or about to."""
    spans = list(spans)
    return any(
        (one.apart | one.unguided) & gateways and now <= one.ended + DETECTED
        and any(other is not one and shard in other.shards and other.began <= one.ended and one.began <= other.ended + DETECTED for other in spans)
        for one in spans
    )
