"""The errors Azure Resource Manager answers with, as one exception type that carries the answer."""

import functools
from dataclasses import dataclass
from importlib import resources
from typing import Any

import yaml


class ArmAnswerError(Exception):
    """A request that is answered with an error: HTTP status, ARM code, message, extra headers."""

    def __init__(
        self, status: int, code: str, message: str, *, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        """The ARM error envelope: `{"error": {"code", "message"}}`."""
        return {"error": {"code": self.code, "message": self.message}}


def bad_request(code: str, message: str) -> ArmAnswerError:
    """A 400."""
    return ArmAnswerError(400, code, message)


def conflict(code: str, message: str) -> ArmAnswerError:
    """A 409."""
    return ArmAnswerError(409, code, message)


def subscription_not_found(subscription: str) -> ArmAnswerError:
    """ARM's 404 for a subscription that the caller cannot see."""
    return ArmAnswerError(
        404, "SubscriptionNotFound", f"The subscription '{subscription}' could not be found."
    )


def group_not_found(name: str) -> ArmAnswerError:
    """ARM's 404 for a resource group."""
    return ArmAnswerError(404, "ResourceGroupNotFound", f"Resource group '{name}' could not be found.")


def resource_not_found(resource_type: str, name: str, group: str | None) -> ArmAnswerError:
    """ARM's 404 for a typed resource."""
    where = f"resource group '{group}'" if group else "the subscription"
    return ArmAnswerError(
        404, "ResourceNotFound", f"The Resource '{resource_type}/{name}' under {where} was not found."
    )


def parent_not_found(resource_type: str, parent: str) -> ArmAnswerError:
    """ARM's 404 for a child or extension resource whose parent does not exist."""
    return ArmAnswerError(
        404,
        "ParentResourceNotFound",
        f"Failed to perform 'write' on resource(s) of type '{resource_type}', because the parent "
        f"resource '{parent}' could not be found.",
    )


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem that ARM is known for. `status` 0 and no message: the sandbox does not know the code."""

    code: str
    status: int = 0
    message: str = ""

    def answer(self, message: str = "") -> ArmAnswerError:
        """The answer that says it, in these words or in the usual ones."""
        return ArmAnswerError(self.status, self.code, message or self.message)


@functools.cache
def _problems() -> dict[str, Problem]:
    text = resources.files(__package__).joinpath("problems.yaml").read_text(encoding="utf-8")
    return {code: Problem(code, **entry) for code, entry in yaml.safe_load(text).items()}


def known_problem(code: str) -> Problem:
    """What problems.yaml says about a code; a `Problem` with status 0 where it does not have it."""
    return _problems().get(code, Problem(code))
