"""What Azure limits, and the stand-in where it is strict: request rates, quotas, providers."""

import math
import threading
from dataclasses import dataclass, field
from typing import Final, Literal

from fleet.sandbox.arm.errors import ArmAnswerError, conflict, known_problem
from fleet.sandbox.arm.ids import subscription_of
from fleet.sandbox.arm.store import Record
from fleet.sandbox.arm.types import ResourceType
from fleet.sandbox.arm.world import World

Sort = Literal["reads", "writes", "deletes"]

BUILT_IN: Final = ("microsoft.resources", "microsoft.authorization")
"""Namespaces that every subscription has (from memory: there are a few more)."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A token bucket: `size` requests at once, `refill` more each second."""

    size: int
    refill: float


AZURE_RATES: Final[dict[Sort, Rate]] = {
    "reads": Rate(250, 25),
    "writes": Rate(200, 10),
    "deletes": Rate(200, 10),
}
"""ARM's limits of one caller in one subscription and region (Microsoft Learn, "Understand how Azure Resource
Manager throttles requests", the limits since 2024). The stand-in has one caller and one region."""


@dataclass(frozen=True, slots=True)
class Strictness:
    """Which of Azure's limits hold. The default: none, so that tests and demonstrations are quick.

    `rates`: answers are 429 beyond them. `quotas`: numbers of resources, as in `types.yaml`.
    `registration`: a resource provider must be registered before a resource of its is created.
    """

    rates: dict[Sort, Rate] | None = None
    quotas: bool = False
    registration: bool = False


LENIENT: Final = Strictness()
AS_AZURE: Final = Strictness(AZURE_RATES, quotas=True, registration=True)


@dataclass(slots=True)
class _Bucket:
    tokens: float
    moment: float


@dataclass(slots=True)
class Throttle:
    """Counts requests by subscription and sort. Thread-safe; the clock's seconds are real ones."""

    rates: dict[Sort, Rate] | None
    _buckets: dict[tuple[str, Sort], _Bucket] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, method: str, path: str, now: float) -> dict[str, str]:
        """Count a request at `now` seconds; the header that says how many are left.

        Raises ARM's 429 where none is left, with Retry-After in whole seconds.
        """
        subscription = subscription_of(path)
        if self.rates is None or not subscription:
            return {}
        sort = sort_of(method)
        rate = self.rates[sort]
        with self._lock:
            bucket = self._buckets.setdefault((subscription.lower(), sort), _Bucket(rate.size, now))
            gained = max(0.0, now - bucket.moment) * rate.refill
            bucket.tokens, bucket.moment = min(rate.size, bucket.tokens + gained), now
            if bucket.tokens >= 1:
                bucket.tokens -= 1
                return remaining(sort, int(bucket.tokens))
            wait = max(1, math.ceil((1 - bucket.tokens) / rate.refill))
        raise ArmAnswerError(
            429,
            "SubscriptionRequestsThrottled",
            f"Number of {sort} for subscription '{subscription}' exceeded the limit of {rate.size}, which "
            f"refills by {rate.refill:g} a second. Please try again after '{wait}' seconds.",
            headers={"Retry-After": str(wait), **remaining(sort, 0)},
        )


def sort_of(method: str) -> Sort:
    """Whether a request counts as a read, a write or a delete."""
    if method in ("GET", "HEAD"):
        return "reads"
    return "deletes" if method == "DELETE" else "writes"


def remaining(sort: Sort, number: int) -> dict[str, str]:
    """The header that says how many requests of that sort are left."""
    return {f"x-ms-ratelimit-remaining-subscription-{sort}": str(number)}


def require_registered(world: World, kind: ResourceType, resource_id: str) -> None:
    """Raise ARM's 409 where the type's resource provider is not registered in the subscription."""
    namespace = kind.name.split("/", 1)[0]
    subscription = subscription_of(resource_id)
    if not subscription or namespace.lower() in BUILT_IN:
        return
    ready = world.store.registered_at(subscription, namespace)
    if ready is None or ready > world.clock():
        raise conflict(
            "MissingSubscriptionRegistration",
            f"The subscription is not registered to use namespace '{namespace}'. "
            f"See https://aka.ms/rps-not-found for how to register subscriptions.",
        )


def require_quota(world: World, kind: ResourceType, new: Record) -> None:
    """Raise the provider's error where a new resource would be one more than its quota."""
    quota = world.table.data["quotas"].get(kind.name)
    if quota is None:
        return
    scope = f"/subscriptions/{subscription_of(new.id)}"
    held = world.store.beneath(scope, kind.name)
    where = f"subscription '{subscription_of(new.id)}'"
    if quota["per"] == "region":
        region = _region(new)
        held = [record for record in held if _region(record) == region]
        where = f"region '{region}' of {where}"
    if len(held) >= quota["most"]:
        status = known_problem(quota["code"]).status or 409
        raise ArmAnswerError(
            status,
            quota["code"],
            f"One more of '{kind.name}' would exceed the limit of {quota['most']} in the {where}.",
        )


def _region(record: Record) -> str:
    return str(record.body.get("location") or "").replace(" ", "").lower()
