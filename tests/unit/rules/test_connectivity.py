"""Rules about how a site reaches what it needs."""

from tests.unit.rules.cases import FLEET, GRAZ, NARVIK, Case, Cases, Edits, rule_tests

MODE = "connectivity: {mode: constrained, linkMbps: 50}"
WITHOUT_CACHE = ("    modelCache: {storageGib: 200}\n", "")
WITHOUT_REGISTRY = ("    registry: {storageGib: 500}\n", "")
WITHOUT_HOST = ("registry: {host: registry.graz.factory.example}\n", "")

OFFSHORE = "connectivity: {mode: disconnected}"
NIGHTS = "windows: [{days: [mon], start: '22:00', minutes: 240}]"


def offshore(more: str) -> Edits:
    """The disconnected profile with more said of its connectivity."""
    return {FLEET: [(OFFSHORE, f"connectivity: {{mode: disconnected, {more}}}")]}


def constrained(more: str) -> Edits:
    """Graz's profile with more said of its connectivity."""
    return {FLEET: [(MODE, MODE.replace("}", f", {more}}}"))]}


def maintenance(zone: str, more: str = "") -> tuple[str, str]:
    """When Graz may be changed."""
    return ("", f"maintenance: {{timeZone: {zone}, {NIGHTS}{more}}}\n")


def blackout(start: str, end: str) -> Edits:
    """Days on which Graz is left alone, the second of two."""
    days = f"{{start: '2026-01-01', end: '2026-01-06', reason: a}}, {{start: '{start}', end: '{end}', reason: b}}"
    return {GRAZ: [maintenance("Europe/Vienna", f", blackouts: [{days}]")]}


CASES = {
    "CON001": Cases(
        fires=[
            Case({GRAZ: [WITHOUT_HOST], FLEET: [WITHOUT_REGISTRY]},
                 "fleet.yaml:{mode: constrained} a constrained site needs a registry of its own"),
            Case({GRAZ: [WITHOUT_HOST], FLEET: [WITHOUT_REGISTRY, WITHOUT_CACHE]},
                 ("fleet.yaml:{mode: constrained} a constrained site needs a modelCache of its own",
                  "fleet.yaml:{mode: constrained} a constrained site needs a registry of its own")),
            Case({FLEET: [("    modelCache: {storageGib: 100}\n", "")]},
                 "fleet.yaml:{mode: disconnected} a disconnected site needs a modelCache of its own"),
        ],
        near=[
            # connected needs neither
            {GRAZ: [WITHOUT_HOST], FLEET: [WITHOUT_REGISTRY, WITHOUT_CACHE, (MODE, "connectivity: {mode: connected}")]},
            {FLEET: [("    modelCache: {storageGib: 100}\n", "    modelCache: {storageGib: 50}\n")]},
        ],
    ),
    "CON003": Cases(
        fires=[
            Case(offshore("linkMbps: 1"), "fleet.yaml:{linkMbps: 1}} linkMbps describes a link, and a disconnected site has none"),
            Case(offshore("rateLimitMbps: 1, private: true"),
                 ("fleet.yaml:{rateLimitMbps} rateLimitMbps describes a link", "fleet.yaml:{rateLimitMbps} private describes a link")),
            Case({FLEET: offshore(NIGHTS)[FLEET], NARVIK: [maintenance("Europe/Oslo")]}, "fleet.yaml:{windows:} windows describes a link"),
        ],
        near=[constrained("private: true"), constrained("rateLimitMbps: 1"), offshore("private: false")],
    ),
    "CON004": Cases(
        fires=[Case(constrained("rateLimitMbps: 51"), "fleet.yaml:{rateLimitMbps} mirroring may take 51 Mbit/s of a link that has 50")],
        near=[constrained("rateLimitMbps: 50"), {FLEET: [(MODE, "connectivity: {mode: constrained, rateLimitMbps: 51}")]}],
    ),
    "CON005": Cases(
        fires=[Case(constrained(NIGHTS), "fleet.yaml:{windows:} the link's windows are in maintenance.timeZone, which is not said")],
        near=[{**constrained(NIGHTS), GRAZ: [maintenance("Europe/Vienna")]}, constrained("windows: []")],
    ),
    "CON006": Cases(
        fires=[Case({GRAZ: [maintenance("Europe/Graz")]}, "sites/graz.yaml:{timeZone} there is no time zone 'Europe/Graz'"),
               Case({GRAZ: [maintenance("Europe/Wienna")]}, "sites/graz.yaml:{timeZone} there is no time zone 'Europe/Wienna'",
                    help="did you mean 'Europe/Vienna'?"),
               Case({GRAZ: [maintenance("europe/vienna")]}, "sites/graz.yaml:{timeZone} there is no time zone 'europe/vienna'")],
        near=[{GRAZ: [maintenance(zone)]} for zone in ("Europe/Vienna", "UTC", "America/Argentina/Buenos_Aires", "Asia/Calcutta", "Etc/GMT+3")],
    ),
    "CON007": Cases(
        fires=[Case(blackout("2026-12-24", "2026-12-23"),
                    "sites/graz.yaml:{blackouts} the blackout ends on 2026-12-23, before it starts on 2026-12-24")],
        near=[blackout("2026-12-24", "2026-12-24"), blackout("2026-12-24", "2027-01-06")],
    ),
    "CON008": Cases(
        fires=[Case({FLEET: [("secretStore: {kind: sops-age}", "secretStore: {kind: key-vault}")]},
                    "fleet.yaml:{secretStore} a disconnected site has no Azure extension that brings secrets")],
        near=[{FLEET: [("secretStore: {kind: sops-age}", "secretStore: {kind: kubernetes}")]},
              {FLEET: [("secretStore: {kind: sops-age}", "secretStore: {kind: key-vault}"), (OFFSHORE, "connectivity: {mode: constrained, linkMbps: 9}")]}],
    ),
    "CON009": Cases(
        fires=[Case({FLEET: [("secretStore: {kind: sops-age}", "secretStore: {kind: sops-age}, policies: {admission: azure-policy}")]},
                    "fleet.yaml:{admission} a disconnected site has no Azure extension for policies")],
        near=[{FLEET: [("secretStore: {kind: sops-age}", "secretStore: {kind: sops-age}, policies: {admission: kyverno}")]},
              {GRAZ: [("platform: {ingress:", "platform: {policies: {admission: azure-policy}, ingress:")],
               FLEET: [("secretStore: {kind: sops-age}", "secretStore: {kind: sops-age}, policies: {admission: none}")]}],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
