"""The little of OData that clients send to lists: `$filter`, `$top` and `$skiptoken`."""

import base64
import binascii
import re

from fleet.sandbox.arm.errors import bad_request
from fleet.sandbox.arm.store import Record

_EQUALS = re.compile(r"^\s*(\w+)\s+eq\s+'((?:[^']|'')*)'\s*$", re.IGNORECASE)


def matching(records: list[Record], expression: str) -> list[Record]:
    """The records that a `$filter` keeps.

    Known: `resourceType|name|location|principalId eq '…'`, joined by `and`, and `atScope()`, which
    keeps all. Anything else is ARM's 400: a filter that is not understood is never ignored.
    """
    kept = records
    for term in re.split(r"\s+and\s+", expression.strip(), flags=re.IGNORECASE) if expression.strip() else []:
        if term.strip().lower() == "atscope()":
            continue
        match = _EQUALS.match(term)
        if match is None or match[1].lower() not in ("resourcetype", "name", "location", "principalid"):
            raise bad_request(
                "InvalidFilterInQueryString", f"The stand-in does not know the filter '{term[:80]}'."
            )
        wanted = match[2].replace("''", "'").lower()
        kept = [record for record in kept if _value(record, match[1].lower()) == wanted]
    return kept


def _value(record: Record, name: str) -> str:
    found = {
        "resourcetype": record.type,
        "name": record.name,
        "location": record.body.get("location"),
        "principalid": record.property("principalId"),
    }[name]
    return str(found or "").lower()


def page(query: dict[str, str], default: int) -> tuple[str, int]:
    """After which key a page starts ("": at the first), and its length at most. ARM's 400 for nonsense."""
    top, token = query.get("$top", ""), query.get("$skiptoken", "")
    if top and not (top.isdecimal() and int(top[:9]) > 0):
        raise bad_request("InvalidQueryParameterValue", "$top must be a positive number.")
    try:
        after = base64.urlsafe_b64decode(token.encode("ascii")).decode()
    except (ValueError, binascii.Error):
        raise bad_request("InvalidQueryParameterValue", "$skiptoken is not one that was given.") from None
    return after, min(int(top[:9]), default) if top else default


def skiptoken(last: Record) -> str:
    """What a client sends back to get the page after `last`. It stands when other resources come and go."""
    return base64.urlsafe_b64encode(last.key.encode()).decode()
