"""The ARM stand-in where Azure says no: limits, conditions, names that are taken, faults of each kind."""

import json
from pathlib import Path
from typing import Any

import pytest

from fleet.sandbox.arm.crud import Site
from fleet.sandbox.arm.faults import Fault, FaultBook, FaultError, parse_fault
from fleet.sandbox.arm.limits import AS_AZURE, AZURE_RATES, Strictness
from fleet.sandbox.arm.messages import ArmRequest, ArmResponse
from fleet.sandbox.arm.recorder import REDACTED, Recorder, redacted, redacted_query
from fleet.sandbox.arm.service import ArmService, DroppedConnection
from fleet.sandbox.arm.store import Store
from fleet.sandbox.arm.types import load_types
from fleet.sandbox.arm.world import World

SUB = "11111111-1111-1111-1111-111111111111"
SCOPE = f"/subscriptions/{SUB}"
GROUP = f"{SCOPE}/resourceGroups/rg"
P = f"{GROUP}/providers"
MACHINE = (f"{P}/Microsoft.HybridCompute/machines/n1", "2025-01-13")
CLUSTER = (f"{P}/Microsoft.AzureStackHCI/clusters/c1", "2025-10-01")
VAULT = (f"{P}/Microsoft.KeyVault/vaults/kv-plant1", "2024-11-01")
RULE = (f"{P}/Microsoft.Insights/dataCollectionRules/r1", "2024-03-11")
HERE = {"location": "eastus"}
Target = tuple[str, str]


class Arm:
    """The stand-in with a clock that only `now` moves; durations as in real life."""

    def __init__(self, strictness: Strictness | None = None, *, group: bool = True) -> None:
        self.now = 1_700_000_000.0
        world = World(Store(), load_types(), lambda: self.now, 1.0)
        site = Site((SUB,), "https://127.0.0.1:1", FaultBook(), 1000, strictness or Strictness())
        self.service = ArmService(world, site)
        if group:
            assert self.ask("PUT", (GROUP, "2024-03-01"), HERE).status == 201

    def ask(self, method: str, target: Target, body: Any = None, **headers: str) -> ArmResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        raw = b"" if body is None else json.dumps(body).encode()
        return self.service.handle(ArmRequest(method, target[0], {"api-version": target[1]}, raw, named))

    def fault(self, **order: Any) -> Fault:
        return self.service.faults.add(parse_fault(order))


def code(answer: ArmResponse) -> tuple[int, str]:
    return answer.status, answer.body["error"]["code"]


def test_an_etag_changes_with_the_resource_and_conditions_are_kept() -> None:
    arm = Arm()
    made = arm.ask("PUT", RULE, HERE, if_none_match="*")
    tag = made.headers["ETag"]
    assert made.status == 201 and made.body["etag"] == tag
    assert code(arm.ask("PUT", RULE, HERE, if_none_match="*")) == (412, "PreconditionFailed")
    assert arm.ask("GET", RULE, if_none_match=tag).status == 304
    changed = arm.ask("PUT", RULE, {**HERE, "tags": {"a": "b"}}, if_match=tag)
    assert changed.status == 200 and changed.headers["ETag"] != tag
    for method, body in (("PUT", HERE), ("PATCH", {}), ("DELETE", None)):
        assert code(arm.ask(method, RULE, body, if_match=tag)) == (412, "PreconditionFailed")
    assert arm.ask("GET", RULE, if_none_match=tag).status == 200
    assert arm.ask("DELETE", RULE, if_match=f'"x", {changed.headers["ETag"]}').status == 200
    assert code(arm.ask("PUT", RULE, HERE, if_match="*")) == (412, "PreconditionFailed")


def test_types_without_etags_ignore_conditions() -> None:
    arm = Arm()
    assert "ETag" not in arm.ask("PUT", MACHINE, HERE).headers
    assert arm.ask("PUT", MACHINE, HERE, if_none_match="*").status == 200


def test_requests_beyond_the_rate_are_throttled_until_the_bucket_refills() -> None:
    arm = Arm(Strictness(rates=AZURE_RATES))
    left = [arm.ask("GET", (GROUP, "2024-03-01")).headers for _ in range(250)]
    assert left[0]["x-ms-ratelimit-remaining-subscription-reads"] == "249"
    throttled = arm.ask("GET", (GROUP, "2024-03-01"))
    assert code(throttled) == (429, "SubscriptionRequestsThrottled")
    assert throttled.headers["Retry-After"] == "1"
    assert throttled.headers["x-ms-ratelimit-remaining-subscription-reads"] == "0"
    assert arm.ask("PUT", MACHINE, HERE).status == 201, "writes have a bucket of their own"
    arm.now += 1
    assert [arm.ask("GET", (GROUP, "2024-03-01")).status for _ in range(26)] == [200] * 25 + [429]


def test_a_lenient_sandbox_counts_nothing() -> None:
    arm = Arm()
    assert {arm.ask("GET", (GROUP, "2024-03-01")).status for _ in range(600)} == {200}
    assert not arm.ask("GET", (GROUP, "2024-03-01")).headers


def test_a_strict_sandbox_wants_providers_registered() -> None:
    arm = Arm(AS_AZURE)
    assert code(arm.ask("PUT", CLUSTER, HERE)) == (409, "MissingSubscriptionRegistration")
    provider = (f"{SCOPE}/providers/Microsoft.AzureStackHCI", "2024-03-01")
    register = (f"{provider[0]}/register", "2024-03-01")
    assert arm.ask("POST", register).body["registrationState"] == "Registering"
    assert code(arm.ask("PUT", CLUSTER, HERE)) == (409, "MissingSubscriptionRegistration")
    arm.now += 60
    assert arm.ask("PUT", CLUSTER, HERE).status == 201
    unregister = (f"{provider[0]}/unregister", "2024-03-01")
    assert arm.ask("POST", unregister).body["registrationState"] == "NotRegistered"
    guest = (f"{SCOPE}/providers/Microsoft.GuestConfiguration/register", "2024-03-01")
    assert arm.ask("POST", guest).status == 200, "a namespace without types can be registered too"


def test_a_subscription_holds_so_many_resource_groups() -> None:
    arm = Arm(Strictness(quotas=True))
    for number in range(979):
        arm.ask("PUT", (f"{SCOPE}/resourceGroups/g{number}", "2024-03-01"), HERE)
    more = (f"{SCOPE}/resourceGroups/more", "2024-03-01")
    assert code(arm.ask("PUT", more, HERE)) == (409, "ResourceQuotaExceeded")
    assert arm.ask("PUT", (GROUP, "2024-03-01"), HERE).status == 200, "what is there can be put again"


def test_a_deleted_vault_keeps_its_name_until_it_is_purged_or_recovered() -> None:
    arm = Arm()
    body = {**HERE, "tags": {"site": "plant1"}, "properties": {"enableRbacAuthorization": True}}
    recover = {**HERE, "properties": {"createMode": "recover"}}
    assert code(arm.ask("PUT", VAULT, recover)) == (400, "SoftDeletedVaultDoesNotExist")
    arm.ask("PUT", VAULT, body)
    arm.now += 60
    other = (VAULT[0].replace("/rg/", "/two/"), VAULT[1])
    arm.ask("PUT", (f"{SCOPE}/resourceGroups/two", "2024-03-01"), HERE)
    assert code(arm.ask("PUT", other, body)) == (409, "VaultAlreadyExists")
    assert arm.ask("DELETE", VAULT).status == 200
    assert code(arm.ask("PUT", VAULT, body)) == (409, "ConflictError")
    recovered = arm.ask("PUT", VAULT, recover).body
    assert recovered["tags"] == {"site": "plant1"} and "createMode" not in recovered["properties"]
    arm.now += 60
    arm.ask("DELETE", VAULT)
    deleted = (f"{SCOPE}/providers/Microsoft.KeyVault/locations/eastus/deletedVaults/kv-plant1", VAULT[1])
    shown = arm.ask("GET", deleted).body["properties"]
    assert shown["vaultId"] == VAULT[0] and "kept" not in shown
    assert code(arm.ask("PUT", deleted, {})) == (405, "MethodNotAllowed")
    assert arm.ask("POST", (f"{deleted[0]}/purge", VAULT[1])).status == 200
    assert arm.ask("PUT", VAULT, body).status == 201


def test_a_vault_with_purge_protection_is_not_purged() -> None:
    arm = Arm()
    arm.ask("PUT", VAULT, {**HERE, "properties": {"enablePurgeProtection": True}})
    arm.now += 60
    arm.ask("DELETE", VAULT)
    deleted = f"{SCOPE}/providers/Microsoft.KeyVault/locations/eastus/deletedVaults/kv-plant1"
    assert code(arm.ask("POST", (f"{deleted}/purge", VAULT[1]))) == (409, "DeletedVaultPurge")


def test_a_role_is_not_assigned_to_a_stranger() -> None:
    arm = Arm()
    target = (f"{P}/Microsoft.Authorization/roleAssignments/{SUB}", "2022-04-01")
    grant = {"principalId": "nobody", "roleDefinitionId": "/x/roleDefinitions/y"}
    assert code(arm.ask("PUT", target, {"properties": grant})) == (400, "PrincipalNotFound")
    made = arm.ask("PUT", MACHINE, {**HERE, "identity": {"type": "SystemAssigned"}}).body
    grant["principalId"] = made["identity"]["principalId"]
    assert arm.ask("PUT", target, {"properties": grant}).status == 201


def test_nothing_is_made_in_a_group_that_is_being_deleted() -> None:
    arm = Arm()
    arm.ask("DELETE", (GROUP, "2024-03-01"))
    assert code(arm.ask("PUT", MACHINE, HERE)) == (409, "ResourceGroupBeingDeleted")


def test_an_operation_fails_after_hours() -> None:
    arm = Arm()
    arm.fault(kind="operation", type="Microsoft.AzureStackHCI/clusters", code="Broke", after=7200)
    arm.ask("PUT", CLUSTER, HERE)
    arm.now += 7199
    assert arm.ask("GET", CLUSTER).body["properties"]["provisioningState"] == "Creating"
    arm.now += 1
    assert arm.ask("GET", CLUSTER).body["properties"]["provisioningState"] == "Failed"


def test_a_slow_delete_takes_its_time_and_succeeds() -> None:
    arm = Arm()
    arm.ask("PUT", MACHINE, HERE)
    arm.fault(kind="slow", methods=["DELETE"], after=3600)
    assert arm.ask("DELETE", MACHINE).status == 202
    arm.now += 3599
    assert arm.ask("GET", MACHINE).body["properties"]["provisioningState"] == "Deleting"
    assert code(arm.ask("PUT", MACHINE, HERE)) == (409, "AnotherOperationInProgress")
    arm.now += 1
    assert arm.ask("GET", MACHINE).status == 404


def test_a_lost_answer_was_carried_out_and_a_dropped_request_was_not() -> None:
    arm = Arm()
    arm.fault(kind="drop", count=1)
    with pytest.raises(DroppedConnection) as dropped:
        arm.ask("PUT", MACHINE, HERE)
    assert dropped.value.answer is None and arm.ask("GET", MACHINE).status == 404
    arm.fault(kind="lost", methods=["PUT"], count=1)
    with pytest.raises(DroppedConnection) as lost:
        arm.ask("PUT", MACHINE, HERE)
    assert lost.value.answer and lost.value.answer.status == 201
    assert arm.ask("GET", MACHINE).status == 200


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("AuthorizationFailed", 403),
        ("InvalidAuthenticationTokenTenant", 401),
        ("QuotaExceeded", 409),
        ("StorageAccountAlreadyTaken", 409),
        ("SomethingElse", 500),
    ],
)
def test_a_known_code_brings_its_status(name: str, status: int) -> None:
    arm = Arm()
    arm.fault(code=name, count=1)
    assert code(arm.ask("GET", MACHINE)) == (status, name)


def test_a_throttle_says_when_to_come_back() -> None:
    arm = Arm()
    arm.fault(kind="throttle", retryAfter=9)
    answer = arm.ask("DELETE", MACHINE)
    assert (answer.status, answer.headers["Retry-After"]) == (429, "9")
    assert answer.headers["x-ms-ratelimit-remaining-subscription-deletes"] == "0"


def test_a_wrong_order_names_its_member() -> None:
    with pytest.raises(FaultError) as caught:
        parse_fault({"kind": "operation", "status": 500})
    assert caught.value.member == "status"


def test_an_extension_needs_what_it_stands_on() -> None:
    arm = Arm()
    cluster = f"{P}/Microsoft.Kubernetes/connectedClusters/aks"
    extensions = f"{cluster}/providers/Microsoft.KubernetesConfiguration/extensions"
    arm.ask("PUT", (cluster, "2024-01-01"), HERE)
    record = arm.service.world.store.get(cluster)
    assert record is not None
    arm.now += 60
    arm.ask("GET", (cluster, "2024-01-01"))
    record.manage(connectivityStatus="Connected")

    def install(kind: str) -> Any:
        target = (f"{extensions}/{kind.rsplit('.', 1)[1]}", "2024-11-01")
        assert arm.ask("PUT", target, {"properties": {"extensionType": kind}}).status in (200, 201)
        assert arm.ask("GET", target).body["properties"]["provisioningState"] in ("Creating", "Updating")
        arm.now += 600
        return arm.ask("GET", target).body["properties"]

    balancer = (f"{cluster}/providers/Microsoft.KubernetesRuntime/loadBalancers/lb", "2024-03-01")
    assert code(arm.ask("PUT", balancer, {})) == (400, "ExtensionNotInstalled")
    failed = install("Microsoft.Foundry")
    assert failed["provisioningState"] == "Failed" and "certmanagement" in failed["errorInfo"]["message"]
    assert install("Microsoft.CertManagement")["provisioningState"] == "Succeeded"
    foundry = install("Microsoft.Foundry")
    assert foundry["provisioningState"] == "Succeeded" and "errorInfo" not in foundry
    install("microsoft.arcnetworking")
    assert arm.ask("PUT", balancer, {}).status == 201


def test_secrets_are_taken_out_wherever_they_stand() -> None:
    key = "A" * 86 + "=="
    body = {
        "properties": {
            "clientSecret": "s1",
            "apiKey": "s2",
            "list": [{"adminPassword": "s3"}, f"DefaultEndpointsProtocol=https;AccountKey={key}"],
            "url": f"https://x.blob.core.windows.net/c?sv=1&sig={key}",
            "configurationProtectedSettings": {"a": "s4"},
            "authorization": "Bearer s5",
            "secretUri": "https://kv.vault.azure.net/secrets/adm",
            "eceSecretName": "LocalAdminCredential",
            "keyName": "key1",
        }
    }
    seen = redacted(body)
    text = json.dumps(seen)
    assert not any(secret in text for secret in ("s1", "s2", "s3", "s4", "s5", key))
    assert seen["properties"]["secretUri"].endswith("/adm") and seen["properties"]["keyName"] == "key1"
    pair = redacted({"env": [{"name": "DB_PASSWORD", "value": "s8"}, {"name": "MODE", "value": "fast"}]})
    assert [item["value"] for item in pair["env"]] == [REDACTED, "fast"]
    for body in ([{"properties": {"value": "s9"}}], {"properties": [{"VALUE": "s9"}]}):
        assert "s9" not in json.dumps(redacted(body, ("properties.value",)))
    query = redacted_query({"api-version": "2024-03-01", "sig": "s6", "code": "s7"})
    assert query == {"api-version": "2024-03-01", "sig": REDACTED, "code": REDACTED}


def test_a_record_is_for_its_owner_only_also_where_the_file_was_there(tmp_path: Path) -> None:
    file = tmp_path / "record.jsonl"
    file.touch(0o644)
    Recorder(file).close()
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_next_link_repeats_no_stranger() -> None:
    arm = Arm()
    for name in ("a", "b"):
        arm.ask("PUT", (f"{P}/Microsoft.HybridCompute/machines/{name}", "2025-01-13"), HERE)
    query = {"api-version": "2025-01-13", "$top": "1", "sig": "s3cret"}
    request = ArmRequest("GET", f"{P}/Microsoft.HybridCompute/machines", query)
    link = arm.service.handle(request).body["nextLink"]
    assert "s3cret" not in link and "%24top=1" in link
