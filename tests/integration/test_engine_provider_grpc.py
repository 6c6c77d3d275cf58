"""The azure-native stand-in over real gRPC, as the Pulumi CLI would call it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import provider_pb2 as pb
from pulumi.runtime.proto import status_pb2
from pulumi.runtime.proto.provider_pb2_grpc import (
    ResourceProviderStub,
    add_ResourceProviderServicer_to_server,
)

from fleet.adapters.arm_client import ArmError
from fleet.engine.local.values import from_struct, to_struct
from fleet.sandbox.azure_provider import AzureNativeProvider

URN = "urn:pulumi:s::p::azure-native:resources:ResourceGroup::g"
GROUP = "/subscriptions/s-1/resourceGroups/rg-a"
INPUTS = to_struct({"resourceGroupName": "rg-a", "location": "eastus"})


class OneGroup:
    """An ARM with one resource group, whose PUT ends badly if told so."""

    def __init__(self) -> None:
        self.group: dict[str, Any] | None = None
        self.broken = False

    def find(self, path: str, api_version: str) -> dict[str, Any] | None:
        return self.group

    def put(self, path: str, api_version: str, body: dict[str, Any], *, timeout: float = 0) -> dict[str, Any]:
        self.group = {"id": path, "name": "rg-a", **body}
        if self.broken:
            raise ArmError(200, "Boom", "it went up in smoke")
        return self.group

    def post(self, path: str, api_version: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        return {}

    def delete(self, path: str, api_version: str, *, timeout: float = 0) -> None:
        self.group = None


@pytest.fixture
def arm() -> OneGroup:
    return OneGroup()


@pytest.fixture
def stub(arm: OneGroup) -> Iterator[Any]:
    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    add_ResourceProviderServicer_to_server(AzureNativeProvider(arm), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield ResourceProviderStub(channel)
    server.stop(0).wait()


def test_the_life_of_a_resource(stub: Any) -> None:
    assert stub.GetPluginInfo(Empty()).version == "3.29.0"
    stub.Configure(pb.ConfigureRequest(variables={"azure-native:config:subscriptionId": "s-1"}))
    checked = stub.Check(pb.CheckRequest(urn=URN, news=INPUTS))
    assert not checked.failures
    created = stub.Create(pb.CreateRequest(urn=URN, properties=checked.inputs))
    assert created.id == GROUP
    diff = stub.Diff(
        pb.DiffRequest(
            id=GROUP,
            urn=URN,
            olds=created.properties,
            old_inputs=checked.inputs,
            news=to_struct({"resourceGroupName": "rg-a", "location": "westus"}),
        )
    )
    assert list(diff.replaces) == ["location"]
    assert diff.detailedDiff["location"].kind == pb.PropertyDiff.UPDATE_REPLACE
    assert stub.Read(pb.ReadRequest(id=GROUP, urn=URN)).id == GROUP
    stub.Delete(pb.DeleteRequest(id=GROUP, urn=URN))
    assert stub.Read(pb.ReadRequest(id=GROUP, urn=URN)).id == ""


def test_refusals_carry_status_and_code(stub: Any, arm: OneGroup) -> None:
    stub.Configure(pb.ConfigureRequest(args=to_struct({"subscriptionId": "s-1"})))
    arm.group = {"id": GROUP}
    with pytest.raises(grpc.RpcError) as error:
        stub.Create(pb.CreateRequest(urn=URN, properties=INPUTS))
    assert error.value.code() == grpc.StatusCode.ALREADY_EXISTS
    assert dict(error.value.trailing_metadata())["fleet-error-code"] == "AlreadyExists"
    with pytest.raises(grpc.RpcError, match="azure-native:network:Subnet"):
        stub.Check(pb.CheckRequest(urn="urn:pulumi:s::p::azure-native:network:Subnet::x"))


def test_a_half_made_resource_is_told_as_pulumi_expects_it(stub: Any, arm: OneGroup) -> None:
    stub.Configure(pb.ConfigureRequest(args=to_struct({"subscriptionId": "s-1"})))
    arm.broken = True
    with pytest.raises(grpc.RpcError) as error:
        stub.Create(pb.CreateRequest(urn=URN, properties=INPUTS))
    details = dict(error.value.trailing_metadata())["grpc-status-details-bin"]
    failed = pb.ErrorResourceInitFailed()
    assert status_pb2.Status.FromString(details).details[0].Unpack(failed)
    assert failed.id == GROUP
    assert from_struct(failed.properties)["name"] == "rg-a"
