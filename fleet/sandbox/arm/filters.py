"""The little of OData that clients send to lists: `$filter`, `$top` and `$skiptoken`."""

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


def page(query: dict[str, str], default: int) -> tuple[int, int]:
    """Where a page starts and how long it is."""
    top, start = query.get("$top", ""), query.get("$skiptoken", "0")
    if (top and not (top.isdecimal() and int(top[:9]) > 0)) or not (start.isdecimal() and len(start) < 10):
        raise bad_request("InvalidQueryParameterValue", "$top and $skiptoken must be positive numbers.")
    return int(start), min(int(top[:9]), default) if top else default
