"""Hosts of the URLs that an inventory names; their fields are checked for the form only."""

from urllib.parse import urlsplit


def host_of(url: str) -> str | None:
    """A URL's host in small letters, an IPv6 address without brackets; None without one that can be read."""
    try:
        return urlsplit(url).hostname
    except ValueError:  # brackets that do not match, or hold no address
        return None
