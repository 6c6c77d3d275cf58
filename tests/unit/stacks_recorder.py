"""Runs a site's program against Pulumi's mock monitor and records every registration."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pulumi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime import mocks
from pulumi.runtime.proto import resource_pb2

from fleet.adapters.inventory_files import read_inventory
from fleet.model.site import SiteSpec
from fleet_stacks.program import FluxContent, Phase, declare_site

FACTORY = Path(__file__).parents[2] / "examples" / "factory"
CONTENT = FluxContent("oci://registry.factory.example/fleet/site", "sha256:" + "5" * 64)
SECRETS = {"fleet:localAdmin": "admin:correct-horse", "fleet:lcmUser": "lcm:battery-staple"}
STORAGE_KEY = "c3RvcmFnZS1rZXk="
SECRET_SIGNATURE = "4dabf18193072939515e22adb298388d"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


@dataclass(frozen=True)
class Registered:
    """One resource as the engine is asked for it. `after` are the names it waits for."""

    type: str
    name: str
    inputs: dict[str, Any]
    protect: bool
    retain: bool
    ignore_changes: tuple[str, ...]
    timeouts: dict[str, str]
    after: frozenset[str]
    read: bool = False


@dataclass
class Recording:
    resources: dict[str, Registered] = field(default_factory=dict)
    components: dict[str, str] = field(default_factory=dict)
    """Types by name."""
    outputs: dict[str, Any] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def order(self, name: str) -> set[str]:
        """Everything that must be there before `name` is begun."""
        found: set[str] = set()
        todo = [name]
        while todo:
            for earlier in self.resources[todo.pop()].after - found:
                found.add(earlier)
                todo.append(earlier)
        return found

    def text(self) -> str:
        return json.dumps([r.inputs for r in self.resources.values()])


def _plain(message: Any) -> Any:
    """A protobuf struct as JSON values, whole numbers as integers: protobuf knows only floats."""

    def whole(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: whole(item) for key, item in value.items()}
        if isinstance(value, list):
            return [whole(item) for item in value]
        return int(value) if isinstance(value, float) and value.is_integer() else value

    return whole(json_format.MessageToDict(message))


class _Unused(mocks.Mocks):
    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        raise AssertionError(f"the monitor answers for {args.name}")

    def call(self, args: mocks.MockCallArgs) -> dict[str, Any]:
        raise AssertionError(f"the monitor answers {args.token}")


class _Monitor(mocks.MockMonitor):
    """Pulumi's mock monitor, answering on the wire: its own answers leave event loops open in threads."""

    def __init__(self, recording: Recording) -> None:
        super().__init__(_Unused())
        self.recording = recording

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 -- gRPC's name
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.custom:
            self._record(request, request.object, read=False)
        elif request.type != "pulumi:pulumi:Stack":
            self.recording.components[request.name] = request.type
        return resource_pb2.RegisterResourceResponse(
            urn=urn,
            id=f"{request.name}-id" if request.custom else "",
            object=_outputs(request, request.object),
        )

    def ReadResource(self, request: Any) -> Any:  # noqa: N802
        self._record(request, request.properties, read=True)
        urn = self.make_urn(request.parent, request.type, request.name)
        return resource_pb2.ReadResourceResponse(urn=urn, properties=_outputs(request, request.properties))

    def Invoke(self, request: Any) -> Any:  # noqa: N802
        self.recording.calls.append(request.tok)
        keys = Struct()
        keys.update({"keys": [{"keyName": "key1", "value": STORAGE_KEY, "permissions": "Full"}]})
        return resource_pb2.ResourceInvokeResponse(**{"return": keys})

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        if request.urn.split("::")[2] == "pulumi:pulumi:Stack":
            self.recording.outputs = _plain(request.outputs)
        return super().RegisterResourceOutputs(request)

    def _record(self, request: Any, values: Any, *, read: bool) -> None:
        waits_for = set(request.dependencies)
        timeouts: dict[str, str] = {}
        if not read:
            for urns in request.propertyDependencies.values():
                waits_for.update(urns.urns)
            timeouts = {k: getattr(request.customTimeouts, k) for k in ("create", "update", "delete")}
        self.recording.resources[request.name] = Registered(
            type=request.type,
            name=request.name,
            inputs=_plain(values),
            protect=False if read else request.protect,
            retain=False if read else request.retainOnDelete,
            ignore_changes=() if read else tuple(request.ignoreChanges),
            timeouts=timeouts,
            after=frozenset(urn.rsplit("::", 1)[1] for urn in waits_for),
            read=read,
        )


def _outputs(request: Any, values: Struct) -> Struct:
    """The inputs again, and what Azure adds that the program reads."""
    outputs = Struct()
    outputs.CopyFrom(values)
    if request.type == "azure-native:hybridcompute:Machine":
        outputs.update(
            {"identity": {"principalId": f"principal-of-{request.name}", "type": "SystemAssigned"}}
        )
    if request.type == "azure-native:storage:StorageAccount":
        outputs.update({"name": values["accountName"]})
    return outputs


def record(
    spec: SiteSpec,
    phase: Phase = "deploy",
    content: FluxContent | None = CONTENT,
    *,
    preview: bool = False,
    secrets: dict[str, str] | None = None,
    program: Callable[[], None] | None = None,
) -> Recording:
    """What the program of `spec` declares. Raises what it raises."""
    recording = Recording()
    given = SECRETS if secrets is None else secrets

    async def run() -> None:
        mocks.set_mocks(_Unused(), "fleet", spec.name, preview, monitor=_Monitor(recording))
        pulumi.runtime.settings.set_root_resource(None)  # type: ignore[arg-type] # run_in_stack makes its own
        pulumi.runtime.set_all_config(dict(given), list(given))
        await pulumi.runtime.run_in_stack(program or (lambda: declare_site(spec, phase, content)))

    asyncio.run(run())
    return recording


def factory_sites() -> dict[str, SiteSpec]:
    """The sites of the example fleet."""
    inventory, diagnostics = read_inventory(FACTORY)
    assert inventory is not None, diagnostics
    return {site.name: site.spec for site in inventory.sites}


def certificate_pem(name: str = "Factory Root CA") -> str:
    """A certificate as PEM text."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2036, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def changed(spec: SiteSpec, **sections: dict[str, Any]) -> SiteSpec:
    """The spec with some keys of some sections (as in YAML) replaced."""
    data = spec.model_dump(mode="json", by_alias=True)
    for section, values in sections.items():
        data[section] = {**data[section], **values}
    return SiteSpec.model_validate(data)


_ELSEWHERE = "/subscriptions/7c1d9a52-0000-4000-8000-0000000000f9/resourceGroups/rg-shared/providers"


def patterns() -> dict[str, SiteSpec]:
    """Sites of each pattern of Azure Local that no example has, and one with everything that Arc installs."""
    sites = factory_sites()
    turin, graz, narvik = sites["turin"], sites["graz"], sites["narvik"]
    three = ["graz-n1", "graz-n2", "graz-n3"]
    links = [{"node": name, "ip": f"10.0.1.{n}"} for n, name in enumerate(three, 1)]
    sixteen = [{"name": f"graz-n{n}", "ip": f"10.30.1.{n + 10}"} for n in range(1, 17)]
    zoned = [
        {"name": f"graz-n{n}", "ip": f"10.30.1.1{n}", "zone": ["west", "east"][n % 2]} for n in range(1, 5)
    ]
    storage = {"adapter": "ethernet 3", "vlan": 711}
    return {
        "two-nodes": changed(graz, azureLocal={"nodes": sixteen[:2]}),
        "two-nodes-switchless": changed(graz, azureLocal={"nodes": sixteen[:2], "switchless": True}),
        "three-nodes-switchless": changed(
            graz,
            azureLocal={
                "switchless": True,
                "storageNetworks": [{"name": "Storage1", **storage, "addresses": links}],
            },
        ),
        "sixteen-nodes": changed(graz, azureLocal={"nodes": sixteen}),
        "rack-aware-2+2": changed(graz, azureLocal={"pattern": "rack-aware", "nodes": zoned}),
        "low-capacity": changed(turin, azureLocal={"pattern": "low-capacity"}),
        "local-identity": changed(turin, azureLocal={"identityProvider": "LocalIdentity", "ouPath": ""}),
        "management-cluster": changed(narvik, azureLocal={"managementCluster": True}),
        "everything": everything(graz),
    }


def everything(spec: SiteSpec) -> SiteSpec:
    """The site with every Arc extension, the audit log, and two roles."""
    data = spec.model_dump(mode="json", by_alias=True)
    workspace = f"{_ELSEWHERE}/Microsoft.OperationalInsights/workspaces/logs"
    rules = f"{_ELSEWHERE}/Microsoft.Insights/dataCollectionRules"
    role = {
        "role": "acdd72a7-3385-48ef-bd42-f606fba81ae7",
        "principal": "9d4b1e77-0000-4000-8000-0000000000dd",
    }
    return changed(
        spec,
        azure={
            "roleAssignments": [role | {"scope": "cluster"}, role | {"scope": "key-vault"}],
            "monitoring": {
                "audit": workspace,
                "logs": workspace,
                "logsRule": f"{rules}/logs",
                "metrics": f"{_ELSEWHERE}/Microsoft.Monitor/accounts/metrics",
                "metricsRule": f"{rules}/metrics",
                "grafana": f"{_ELSEWHERE}/Microsoft.Dashboard/grafana/boards",
            },
            "extensions": {
                "loadBalancer": {"runtimeObjectId": "2b6f7d90-0000-4000-8000-0000000000bb"},
                "foundryLocal": {
                    "entraClientId": "2b6f7d90-0000-4000-8000-0000000000cc",
                    "prerequisites": ["gateway-api", "inference-extension", "istio"],
                },
            },
        },
        telemetry={"azureMonitor": True},
        platform={"policies": {**data["platform"]["policies"], "admission": "azure-policy"}},
        inference={"chat": {**data["inference"]["chat"], "runtime": "foundry-local-azure-local"}},
    )
