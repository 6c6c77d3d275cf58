"""The Pulumi engine: the Pulumi CLI through its Automation API. The only engine that touches real Azure.

Exercised where a `pulumi` is on PATH (tests/parity), with a provider of toys and the sandbox's, on a backend
of files: previews, updates, refresh, and a destroy that protection stops. Elsewhere the tests have a stand-in
for the Automation API. NEVER RUN AGAINST AZURE ITSELF, and its targets not against a CLI: before relying on
it, run one stack by hand against a test subscription.
"""

import json
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleet.ports.engine import (
    SECRET,
    ChangeKind,
    EngineError,
    EngineEvent,
    EngineFailure,
    OnEvent,
    Op,
    PropertyChange,
    PulumiCliMissing,
    ResourceChange,
    StackRef,
    StackResource,
    StackResult,
    StackRun,
)

if TYPE_CHECKING:
    from pulumi.automation import LocalWorkspaceOptions, Stack

_OPS: dict[str, Op] = {
    "same": "same",
    "create": "create",
    "update": "update",
    "replace": "replace",
    "create-replacement": "replace",
    "delete-replaced": "replace",
    "delete": "delete",
    "read": "read",
    "read-replacement": "read",
    "import": "import",
    "import-replacement": "replace",
    "refresh": "refresh",
}
_LAST_WORD = re.compile(r"\w+ failed")
"""What the CLI says of no resource at the end of a run in which one failed: "update failed"."""
_KINDS: dict[str, ChangeKind] = {"add": "add", "delete": "remove", "update": "update"}


class PulumiCliEngine:
    """Implements `fleet.ports.engine.Engine` with the Pulumi CLI and the backend it is logged in to.

    `work_dir` keeps the stacks' settings (`Pulumi.<site>.yaml`), among them what decrypts their secrets.
    `env` is added to the CLI's environment, e.g. PULUMI_BACKEND_URL, PULUMI_CONFIG_PASSPHRASE_FILE and
    Azure's credentials; nothing of it is put into arguments or logs. Property values are not reported:
    the CLI's events carry them in forms that this engine does not take apart, so a change says which
    properties and how, and not from what to what.
    """

    def __init__(self, work_dir: Path, env: dict[str, str] | None = None) -> None:
        self._work_dir = work_dir
        self._env = dict(env or {})

    def preview(self, run: StackRun, on_event: OnEvent | None = None) -> StackResult:
        """Run `pulumi preview`. Raises `PulumiCliMissing`."""
        return self._run(run, on_event, lambda stack, listen: stack.preview(**_common(run, listen)))

    def up(self, run: StackRun, on_event: OnEvent | None = None) -> StackResult:
        """Run `pulumi up`. Raises `PulumiCliMissing`."""
        return self._run(run, on_event, lambda stack, listen: stack.up(**_common(run, listen)))

    def refresh(self, run: StackRun, on_event: OnEvent | None = None) -> StackResult:
        """Run `pulumi refresh`. Raises `PulumiCliMissing`."""
        return self._run(run, on_event, lambda stack, listen: stack.refresh(**_common(run, listen)))

    def destroy(self, run: StackRun, on_event: OnEvent | None = None) -> StackResult:
        """Run `pulumi destroy`. Raises `PulumiCliMissing`."""
        return self._run(run, on_event, lambda stack, listen: stack.destroy(**_common(run, listen)))

    def _run(
        self, run: StackRun, on_event: OnEvent | None, action: Callable[["Stack", Callable[[Any], None]], Any]
    ) -> StackResult:
        _require_cli()
        if run.options.unprotect:
            # The CLI can only take the protection away for good, and that is for a person to decide.
            raise EngineError(
                "the pulumi engine does not unprotect resources for one run",
                "use `pulumi state unprotect <urn>` on what is to go",
            )
        if run.options.dry_run:
            raise EngineError(
                "the pulumi engine makes no dry run of this command", "use `pulumi refresh --preview-only`"
            )
        from pulumi.automation import CommandError, ConfigValue, create_or_select_stack

        with _told_in_its_words("select the stack"):
            stack = create_or_select_stack(
                stack_name=run.stack.name,
                project_name=run.stack.project,
                program=run.program,
                opts=self._workspace(run.stack),
            )
        with _told_in_its_words("set the configuration"):
            stack.set_all_config({k: ConfigValue(v) for k, v in run.config.items()})
        for key, value in run.secret_config.items():
            self.set_secret(run.stack.name, key, value)
        collector = _Collector(on_event)
        try:
            action(stack, collector.take)
        except CommandError as error:
            # The CLI has said what failed in its events; its output is only the fallback.
            if not collector.failures:
                collector.failures.append(EngineFailure("", "PulumiFailed", str(error).strip()))
        with _told_in_its_words("read the stack's outputs"):
            outputs = {k: SECRET if v.secret else v.value for k, v in stack.outputs().items()}
        with _told_in_its_words("export the stack"):
            state = self._deployment(run.stack.name)
        changes = tuple(sorted(collector.changes.values(), key=lambda change: change.urn))
        return StackResult(
            stack=run.stack,
            changes=changes,
            counts=dict(Counter(change.op for change in changes)),
            outputs=outputs,
            error=collector.failures[0] if collector.failures else None,
            failures=tuple(collector.failures),
            pending=tuple(sorted({p["resource"]["urn"] for p in state.get("pending_operations") or ()})),
        )

    def resources(self, stack: StackRef) -> tuple[StackResource, ...]:
        """What `pulumi stack export` has; nothing for a stack that the backend does not know.

        Raises `PulumiCliMissing`, and `EngineError` with the CLI's words.
        """
        _require_cli()
        from pulumi.automation import StackNotFoundError, select_stack

        from fleet.engine.local.checkpoint import PendingOperation, ResourceState, stack_resources

        with _told_in_its_words("export the stack"):
            try:
                select_stack(
                    stack_name=stack.name,
                    project_name=stack.project,
                    program=lambda: None,
                    opts=self._workspace(stack),
                )
            except StackNotFoundError:
                return ()
            state = self._deployment(stack.name)
        try:
            return stack_resources(
                [ResourceState.from_json(document) for document in state.get("resources") or ()],
                [
                    PendingOperation(ResourceState.from_json(p["resource"]), str(p["type"]))
                    for p in state.get("pending_operations") or ()
                ],
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise EngineError(
                f"`pulumi stack export` gave a resource that is malformed ({error!r})"
            ) from error

    def _workspace(self, stack: StackRef) -> "LocalWorkspaceOptions":
        from pulumi.automation import LocalWorkspaceOptions, ProjectSettings

        self._work_dir.mkdir(parents=True, exist_ok=True)
        return LocalWorkspaceOptions(
            work_dir=str(self._work_dir),
            env_vars=self._env,
            project_settings=ProjectSettings(stack.project, "python"),
        )

    def set_secret(self, stack_name: str, key: str, value: str) -> None:
        """Set a secret of the stack's configuration through standard input.

        The Automation API would pass it as an argument, where every process of the machine can read it.
        Raises `EngineError` with the CLI's words.
        """
        self._pulumi("config", "set", "--secret", key, "--stack", stack_name, stdin=value)

    def _deployment(self, stack_name: str) -> Mapping[str, Any]:
        """What `pulumi stack export` has. The Automation API's would ask for the secrets in plain text."""
        exported = json.loads(self._pulumi("stack", "export", "--stack", stack_name))
        return exported.get("deployment") or {}

    def _pulumi(self, *arguments: str, stdin: str = "") -> str:
        done = subprocess.run(  # noqa: S603 - fixed words, and a stack's name
            ["pulumi", *arguments, "--non-interactive"],  # noqa: S607
            input=stdin,
            cwd=self._work_dir,
            env={**os.environ, **self._env},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise EngineError(f"pulumi {' '.join(arguments[:2])} failed: {done.stderr.strip()}")
        return done.stdout


def _require_cli() -> None:
    if shutil.which("pulumi") is None:
        raise PulumiCliMissing


@contextmanager
def _told_in_its_words(what: str) -> Iterator[None]:
    """Around calls of the CLI that are not the run itself: an error of it becomes an `EngineError`."""
    from pulumi.automation import CommandError

    try:
        yield
    except CommandError as error:
        raise EngineError(f"pulumi could not {what}: {str(error).strip()}") from None


def _common(run: StackRun, listen: Callable[[Any], None]) -> dict[str, Any]:
    common: dict[str, Any] = {"on_event": listen, "parallel": run.parallel, "color": "never"}
    if run.options.targets:
        # The CLI knows targets by URN, with ** for anything in one (from memory: `pulumi up --help`).
        common["target"] = [t if t.startswith("urn:") else f"**::{t}" for t in run.options.targets]
        common["target_dependents"] = run.options.target_dependents
    return common


class _Collector:
    """Turns the CLI's event stream into ours."""

    def __init__(self, on_event: OnEvent | None) -> None:
        self._on_event = on_event or (lambda event: None)
        self.changes: dict[str, ResourceChange] = {}
        self.failures: list[EngineFailure] = []
        self._looked_at: set[str] = set()

    def take(self, event: Any) -> None:
        """Take one event of `pulumi.automation.events.EngineEvent`."""
        if event.resource_pre_event:
            self._step(event.resource_pre_event.metadata)
        elif event.res_outputs_event:
            data = event.res_outputs_event.metadata
            if data.urn in self._looked_at:
                self._seen(data)
                return
            known = self.changes.get(data.urn)
            self._on_event(EngineEvent("finished", data.urn, known.op if known else _OPS.get(_text(data.op))))
        elif event.diagnostic_event:
            diagnostic = event.diagnostic_event
            if diagnostic.severity == "error":
                failure = EngineFailure(diagnostic.urn or "", "PulumiError", diagnostic.message.strip())
                if not failure.urn and self.failures and _LAST_WORD.fullmatch(failure.message):
                    return  # what failed has been told
                self.failures.append(failure)
                self._on_event(EngineEvent("failed", failure.urn, None, failure.message, "error"))

    def _step(self, data: Any) -> None:
        op = _OPS.get(_text(data.op))
        if op == "delete" and data.old is not None and data.old.retain_on_delete:
            op = "retain"
        if op is None or (data.type.startswith("pulumi:providers:") and "::default" in data.urn):
            return
        name = data.urn.rsplit("::", 1)[-1]
        self._on_event(EngineEvent("started", data.urn, op))
        if op == "refresh":
            self._looked_at.add(data.urn)
            return
        known = self.changes.get(data.urn)
        if _text(data.op) == "delete-replaced" and known is not None and known.op != "same":
            return  # the new half of the replacement, told before, says what differs
        keys = tuple(data.keys or ())
        self.changes[data.urn] = ResourceChange(data.urn, data.type, name, op, _differences(data), keys)

    def _seen(self, data: Any) -> None:
        """Take what a refresh found: the CLI tells it after the step, as an update, a delete or the same."""
        sides = [side for side in (data.old, data.new) if side is not None]
        if data.type.startswith("pulumi:providers:") or not any(side.custom for side in sides):
            return  # nothing in the world stands for a provider or a component
        found = _OPS.get(_text(data.op))
        op: Op = "refresh" if found == "update" else found or "same"
        name = data.urn.rsplit("::", 1)[-1]
        changes = _differences(data) if op == "refresh" else ()
        self.changes[data.urn] = ResourceChange(data.urn, data.type, name, op, changes)
        self._on_event(EngineEvent("finished", data.urn, op))


def _differences(data: Any) -> tuple[PropertyChange, ...]:
    """What differs by leaf, or by top-level property where the provider tells no more."""
    if data.detailed_diff:
        return tuple(
            PropertyChange(path, _KINDS.get(_text(diff.diff_kind).removesuffix("-replace"), "update"))
            for path, diff in sorted(data.detailed_diff.items())
        )
    old, new = (side.inputs or {} if side is not None else {} for side in (data.old, data.new))
    kinds: dict[tuple[bool, bool], ChangeKind] = {(True, False): "remove", (False, True): "add"}
    return tuple(
        PropertyChange(key, kinds.get((key in old, key in new), "update")) for key in sorted(data.diffs or ())
    )


def _text(value: Any) -> str:
    return str(getattr(value, "value", value))
