"""Stack references: what another stack of the same store exports (`pulumi.StackReference`).

It is a provider like any other, of the package `pulumi`, as in the Pulumi engine
(pkg/resource/deploy/builtins.go of pulumi/pulumi).
"""

import difflib
from typing import Any, Final, NoReturn

import grpc
from pulumi.runtime.proto import provider_pb2 as pb
from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderServicer

from fleet.engine.local.goals import STACK_TYPE
from fleet.engine.local.provider_host import ERROR_CODE_METADATA
from fleet.engine.local.secrets import Passphrase, StackSecrets
from fleet.engine.local.store import StateStore
from fleet.engine.local.values import (
    UNKNOWN_VALUE,
    SealedSecret,
    contains_secret,
    from_struct,
    to_struct,
    transform,
)
from fleet.ports.engine import PassphraseError, StackRef

PACKAGE: Final = "pulumi"
ORGANIZATION: Final = "organization"
"""The one organization of a store without accounts, as in Pulumi's self-managed backends."""


class StackReferences(ResourceProviderServicer):
    """Reads the outputs of stacks for the stack `of`.

    A name is `stack` (of the same project), `project/stack` or `organization/project/stack`. The other
    stack's secrets are opened with the same passphrase, and stay secret. Without one (a preview) they are
    unknown, and with them, to the program, all outputs of a stack that has any: the SDK holds them as one.
    """

    def __init__(self, store: StateStore, of: StackRef, passphrase: Passphrase | None) -> None:
        self._store = store
        self._of = of
        self._passphrase = passphrase

    # The protocol names these methods.
    def CheckConfig(self, request: pb.CheckRequest, context: Any) -> pb.CheckResponse:  # noqa: N802
        """There is nothing to configure."""
        return pb.CheckResponse()

    def DiffConfig(self, request: pb.DiffRequest, context: Any) -> pb.DiffResponse:  # noqa: N802
        """There is nothing to configure."""
        return pb.DiffResponse(changes=pb.DiffResponse.DIFF_NONE)

    def Configure(self, request: pb.ConfigureRequest, context: Any) -> pb.ConfigureResponse:  # noqa: N802
        """There is nothing to configure."""
        return pb.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Read(self, request: pb.ReadRequest, context: Any) -> pb.ReadResponse:  # noqa: N802
        """Read a stack's outputs; those with a secret in them are named in `secretOutputNames`."""
        inputs = from_struct(request.inputs)
        name = inputs.get("name")
        if not isinstance(name, str):
            _fail(context, "StackNameUnknown", "the name of the stack to reference is not a text")
        stack = self._stack(name, context)
        deployment = self._store.load(stack)
        secrets = StackSecrets(self._passphrase, deployment.salt_state)
        sealed = next((r.outputs for r in deployment.resources if r.type == STACK_TYPE), {})
        try:
            outputs = self._opened(sealed, secrets)
        except PassphraseError as error:
            _fail(context, "PassphraseWrong", f"the secrets of {name} cannot be opened: {error}")
        return pb.ReadResponse(
            id=request.id,
            inputs=request.inputs,
            properties=to_struct(
                {
                    "name": name,
                    "outputs": outputs,
                    "secretOutputNames": sorted(k for k, v in sealed.items() if contains_secret(v)),
                }
            ),
        )

    def _opened(self, outputs: dict[str, Any], secrets: StackSecrets) -> dict[str, Any]:
        if secrets.available:
            return dict(secrets.open_all(outputs))
        return dict(transform(outputs, lambda v: UNKNOWN_VALUE if isinstance(v, SealedSecret) else v))

    def _stack(self, name: str, context: Any) -> StackRef:
        """The stack that a name means; it has a state. Fails the call otherwise."""
        *front, stack = name.split("/")
        organization, project = ([ORGANIZATION, self._of.project] if not front else [ORGANIZATION, *front])[
            -2:
        ]
        if len(front) > 2 or not (organization and project and stack):
            _fail(
                context,
                "StackNameMalformed",
                f"{name!r} is not a stack: write stack, project/stack or {ORGANIZATION}/project/stack",
            )
        if organization != ORGANIZATION:
            _fail(
                context,
                "OrganizationUnknown",
                f"there is no organization {organization!r} here: stacks that this engine keeps are "
                f"{ORGANIZATION}/project/stack",
            )
        found = StackRef(project, stack)
        known = self._store.stacks()
        if found not in known:
            names = {f"{s.project}/{s.name}" for s in known}
            near = difflib.get_close_matches(f"{project}/{stack}", sorted(names), n=3)
            _fail(
                context,
                "StackNotFound",
                f"no stack {project}/{stack} has been brought up here"
                + (f"; did you mean {' or '.join(near)}?" if near else "; bring it up first"),
            )
        return found


def _fail(context: Any, code: str, message: str) -> NoReturn:
    context.set_trailing_metadata(((ERROR_CODE_METADATA, code),))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, message)
    raise AssertionError("abort returns nothing")
