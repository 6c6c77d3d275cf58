"""What texts of a given form look like, in words, for messages: nobody reads a regular expression twice."""

from collections.abc import Mapping

FORMS: Mapping[str, tuple[str, str]] = {
    r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$": (
        "a name of 1 to 63 small letters, digits and dashes, with no dash at either end",
        "graz-1",
    ),
    r"^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$": (
        "a name of 1 to 40 small letters, digits and dashes, that begins with a letter and ends with no dash",
        "chat-2",
    ),
    r"^[a-z][a-z0-9]{2,11}$": (
        "the name of a node pool: 3 to 12 small letters and digits, a letter first",
        "agents1",
    ),
    r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$": (
        "a GUID in small letters",
        "5e0c2f1a-0000-4000-8000-000000000001",
    ),
    r"^sha256:[0-9a-f]{64}$": (
        "a digest: sha256: and 64 hexadecimal digits",
        f"sha256:{'0123456789abcdef' * 4}",
    ),
    r"^[^@\s]+@sha256:[0-9a-f]{64}$": (
        "an image by its digest: name@sha256: and 64 hexadecimal digits",
        f"registry.example/site/registry@sha256:{'0123456789abcdef' * 4}",
    ),
    r"^[a-z0-9][-a-z0-9.]*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$": (
        "an image by host, path and tag",
        "ghcr.io/fluxcd/source-controller:v1.6.2",
    ),
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*(:[0-9]{1,5})?$": (
        "a host name in small letters, with a port or without, and no https://",
        "registry.example:5000",
    ),
    r"^[a-z0-9]+([._/-][a-z0-9]+)*$": (
        "a path of images in small letters, with no slash at either end",
        "fleet/sites",
    ),
    r"^[-_A-Za-z0-9.()]{0,89}[-_A-Za-z0-9()]$": (
        "the name of a resource group: at most 90 letters, digits and -_.(), with no dot at the end",
        "rg-fleet-graz",
    ),
    r"^[a-z0-9]+$": ("the name of a region, as az account list-locations -o table has it", "westeurope"),
    r"^[A-Za-z0-9]([-A-Za-z0-9]{0,13}[A-Za-z0-9])?$": (
        "1 to 15 letters, digits and dashes, with no dash at either end",
        "graz-n1",
    ),
    r"^[a-zA-Z0-9-]{1,8}$": ("1 to 8 letters, digits and dashes", "graz"),
    r"^[a-zA-Z](-?[a-zA-Z0-9]){2,23}$": (
        "3 to 24 letters, digits and single dashes, a letter first and no dash at the end",
        "kv-fleet-graz",
    ),
    r"^[a-z0-9]{3,24}$": (
        "the name of a storage account: 3 to 24 small letters and digits",
        "fleetwitnessgraz",
    ),
    r"^[A-Za-z0-9]{1,32}$": ("1 to 32 letters and digits", "managementcompute"),
    r"^[A-Za-z0-9][-A-Za-z0-9]{0,31}$": ("1 to 32 letters, digits and dashes, no dash first", "rack-a"),
    r"^/subscriptions/[^/\s]+/resource[gG]roups/[^/\s]+/providers"
    r"/[^/\s]+/[^/\s]+/[^/\s]+(/[^/\s]+/[^/\s]+)*$": (
        "the id of an Azure resource",
        "/subscriptions/…/resourceGroups/rg-logs/providers/Microsoft.OperationalInsights/workspaces/logs",
    ),
    r"^(s3|nfs|smb|azblob)://[^@\s]+$": (
        "an address that begins with s3, nfs, smb or azblob, without a password",
        "s3://backup/graz",
    ),
    r"^https://[^\s@]+$": ("an address that begins with https://", "https://acme.example/directory"),
    r"^https?://[^/@\s]+$": (
        "http:// or https://, a host and its port, without a password",
        "http://proxy.example:3128",
    ),
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$": ("a date as year-month-day", "2026-12-24"),
    r"^20[0-9]{2}-[0-9]{2}-[0-9]{2}$": ("a date as year-month-day", "2025-06-18"),
    r"^([01][0-9]|2[0-3]):[0-5][0-9]$": ("a time of day, 00:00 to 23:59", "22:30"),
    r"^[0-9]+(s|m|h)$": ("a whole number of seconds, minutes or hours", "30m"),
    r"^[A-Za-z]+(/[-_+A-Za-z0-9]+){0,2}$": ("a time zone by its IANA name", "Europe/Vienna"),
    r"^1\.[0-9]{2}\.[0-9]{1,2}$": ("a version of Kubernetes with its patch", "1.30.4"),
    r"^v[0-9]+\.[0-9]+\.[0-9]+$": ("v and a version of three numbers", "v26.7.0"),
    r"^v?[0-9]+(\.[0-9]+){1,2}([-+][0-9A-Za-z.-]+)?$": ("a version of two or three numbers", "1.16.2"),
    r"^[0-9]+(\.[0-9]+){1,3}([-+][0-9A-Za-z.-]+)?$": ("a version of two to four numbers", "1.16.2"),
    r"^[0-9]+(\.[0-9]+){1,2}$": ("a version of two or three numbers", "0.10.2"),
    r"^[A-Za-z][-A-Za-z]*$": ("a release train: letters and dashes", "stable"),
    r"^(ssh-(rsa|ed25519)|ecdsa-sha2-nistp[0-9]+) \S+( .*)?$": (
        "a public SSH key: its type, the key, and a remark if you like",
        "ssh-ed25519 AAAAC3Nza… me@example",
    ),
    r"^[A-Z][A-Z0-9_]*$": (
        "the name of a variable: capital letters, digits and _, a letter first",
        "FLEET_LCM_USER",
    ),
    r"^[-._a-zA-Z0-9]+$": ("the key of a Kubernetes secret: letters, digits and -._", "api-key"),
    r"^([-.a-z0-9]{1,253}/)?[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?$": (
        "a Kubernetes key: at most 63 letters, digits and -_., after a domain and a slash if you like",
        "example.com/gpu",
    ),
    r"^([A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?)?$": (
        "at most 63 letters, digits and -_., with a letter or digit at either end",
        "gpu-only",
    ),
    r"^[a-z][a-z0-9-]*$": (
        "the name of a header: small letters, digits and dashes, a letter first",
        "x-correlation-id",
    ),
    r"^([1-9][0-9]{0,4}|(100|[1-9]?[0-9])%)$": (
        "a number of sites, 1 or more, or a share of them, in quotes",
        "25%",
    ),
}
"""For each pattern of the model: its form in words, and an example of it (a test tries it)."""


def expected_form(pattern: str) -> str:
    """What a text of this `pattern` looks like, to stand behind "expected"; itself where it has no words."""
    if pattern not in FORMS:
        return f"a text of the form {pattern}"
    words, example = FORMS[pattern]
    return f"{words}, such as {example}"
