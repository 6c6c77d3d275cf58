"""Rules about names that Azure and the domain take, and about tags and security settings."""

from tests.unit.rules.cases import FLEET, GRAZ, NARVIK, Case, Cases, Edits, rule_tests

DOMAIN = "domainFqdn: factory.example"
OU = "ouPath: OU=Graz,DC=factory,DC=example"
VAULT = "keyVault: kv-fleet-graz"


def security(text: str) -> Edits:
    """Other security settings everywhere."""
    return {FLEET: [(DOMAIN, f"{DOMAIN}\n    security: {{{text}}}")]}


def domain(name: str) -> Edits:
    """Another domain, for Narvik alone, whose identity is a local one."""
    return {NARVIK: [("  namingPrefix: narvik\n", f"  namingPrefix: narvik\n  domainFqdn: {name}\n")]}


def unit(path: str) -> Edits:
    """Another organisational unit at Graz."""
    return {GRAZ: [(OU, f"ouPath: {path}")]}


def vault(name: str) -> Edits:
    """Another key vault at Graz."""
    return {GRAZ: [(VAULT, f"keyVault: {name}")]}


def witness(name: str) -> Edits:
    """Another witness at Graz."""
    return {GRAZ: [("storageAccount: fleetwitnessgraz", f"storageAccount: {name}")]}


def tags(text: str) -> Edits:
    """Tags at Graz."""
    return {
        GRAZ: [
            (
                "azure: {resourceGroup: rg-fleet-graz}",
                f"azure: {{resourceGroup: rg-fleet-graz, tags: {{{text}}}}}",
            )
        ]
    }


def many(number: int) -> Edits:
    """So many tags."""
    return tags(", ".join(f"t{n}: x" for n in range(number)))


CASES = {
    "AZL022": Cases(
        fires=[
            Case(security("wdacEnforced: false"), "fleet.yaml:{wdacEnforced} the security setting wdacEnforced is switched off",
                 help="'wdacEnforced: true'"),
            Case(security("bitlockerDataVolumes: false, hvciProtection: false"),
                 ("fleet.yaml:{hvciProtection} the security setting bitlockerDataVolumes is switched off",
                  "fleet.yaml:{hvciProtection} the security setting hvciProtection is switched off")),
        ],
        near=[security("wdacEnforced: true, smbClusterEncryption: false"), security("smbClusterEncryption: true")],
    ),
    "AZL023": Cases(
        fires=[Case(domain(name), f"sites/narvik.yaml:{{domainFqdn}} '{name}' is no full name of a domain")
               for name in ("factory", "factory.example.", "-a.example", "a..example", "my_domain.example", "a.example/x", "a" * 64 + ".example")],
        near=[domain("a.example"), domain("FACTORY.Example"), domain("a" * 63 + ".example"), domain("0-1.x.example")],
    ),
    "AZL024": Cases(
        fires=[
            Case(unit("OU=Graz,DC=factory,DC=test"), "sites/graz.yaml:{ouPath} the organisational unit is in factory.test, the machines are in factory.example",
                 help="end it with DC=factory,DC=example"),
            Case(unit("OU=Graz"), "sites/graz.yaml:{ouPath} the organisational unit is in no domain"),
            Case(unit("OU=Graz,DC=example"), "sites/graz.yaml:{ouPath} the organisational unit is in example, the machines"),
        ],
        near=[unit("ou=Graz,ou=Sites, dc=Factory,dc=example"), unit("OU=Sites,DC=factory,DC=example")],
    ),
    "AZL025": Cases(
        fires=[
            Case(vault("kv-windows-graz"), "sites/graz.yaml:{keyVault} the key vault's name 'kv-windows-graz' has the reserved word 'windows'"),
            Case(vault("Login-graz"), "sites/graz.yaml:{keyVault} the key vault's name 'Login-graz' has the reserved word 'login'"),
            Case(vault("sharepoint"), "sites/graz.yaml:{keyVault} the key vault's name 'sharepoint' has the reserved word 'sharepoint'"),
            Case(witness("microsoftgraz"), "sites/graz.yaml:{storageAccount} the storage account's name 'microsoftgraz' has the reserved word 'microsoft'"),
        ],
        near=[vault("graz-login"), vault("sharepoint-graz"), vault("win-dows"), witness("azuregraz")],
    ),
    "AZL026": Cases(
        fires=[
            Case(many(51), "sites/graz.yaml:{tags} 51 tags; a resource has at most 50"),
            Case(tags(f"{'n' * 129}: x"), "sites/graz.yaml:{tags} a tag's name has 129 characters; a storage account takes 1 to 128"),
            Case(tags("'': x"), "sites/graz.yaml:{tags} a tag's name has 0 characters"),
            Case(tags(f"line: {'v' * 257}"), "sites/graz.yaml:{tags} the tag 'line' has a value of 257 characters; at most 256"),
            Case(tags("cost/center: x"), "sites/graz.yaml:{tags} the tag 'cost/center' has '/' in its name"),
            Case(tags("AzureTeam: x"), "sites/graz.yaml:{tags} the tag 'AzureTeam' begins with 'azure', which Azure keeps"),
            Case(tags("team: x, Team: y"), "sites/graz.yaml:{tags} the tags 'Team' and 'team' are the same to Azure"),
        ],
        near=[many(50), tags(f"{'n' * 128}: {'v' * 256}"), tags("cost-center: x/y"), tags("onazure: x, teams: y, team: y")],
    ),
}  # fmt: skip

test_fires, test_near_misses = rule_tests(CASES)
