"""A rendered tree as the objects that a cluster is sent, the way Flux takes it there: part by part."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from fleet.render.tree import RenderedTree
from tests.conformance.binaries import binary
from tests.conformance.cluster import Document, documents

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job")


def rendered(tree: RenderedTree) -> list[Document]:
    """The objects of a tree, namespaces first; kustomize's own files are no objects of a cluster."""
    found = [
        document
        for path, text in tree.files.items()
        for document in documents(text)
        if not document.value["apiVersion"].startswith("kustomize.config.k8s.io/")
    ]
    return sorted(found, key=lambda document: document.value["kind"] != "Namespace")


def pods_of(found: Sequence[Document]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Namespace and pod template of each workload."""
    for document in found:
        if document.value["kind"] in WORKLOADS:
            yield document.value["metadata"]["namespace"], document.value["spec"]["template"]


def write_tree(tree: RenderedTree, folder: Path) -> None:
    """The tree as files."""
    for path, text in tree.files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def build(folder: Path) -> list[Document]:
    """What kustomize makes of a folder, as Flux's kustomize-controller does."""
    done = subprocess.run(
        [binary("kustomize"), "build", folder], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return list(documents(done.stdout))


@dataclass(frozen=True)
class BuiltPart:
    """A Flux Kustomization and its objects."""

    name: str
    objects: Sequence[Document]


def parts_in_order(tree: RenderedTree, folder: Path) -> list[BuiltPart]:
    """The tree's Flux Kustomizations, each after those it depends on, built from files below `folder`."""
    write_tree(tree, folder)
    entry = build(folder / "clusters" / tree.site)
    parts = {
        d.value["metadata"]["name"]: d.value["spec"] for d in entry if d.value["kind"] == "Kustomization"
    }
    before = {name: [other["name"] for other in spec.get("dependsOn", ())] for name, spec in parts.items()}
    order = TopologicalSorter(before).static_order()
    return [BuiltPart(name, build(folder / parts[name]["path"])) for name in order]
