"""Rendering six manifests for each of N sites, beside other tools: `peers.py [N [PEER_FLEET.PY]]`.

The fleet is that of ../shared/tools/peer_fleet.py. Processor seconds of all processes. What is timed is not the
same work, and each line says so. Ours here is fleet's own reader, templating, checks and writer on templates of
the same six manifests; the site model, its rules and the list of what is unchanged are not in it, since
these sites are not of our model (tests/bench/render.py times those). A tool that is not here is named and
left out: kustomize is looked for on PATH and in ~/.cache/fleet/tools, kapitan and helm on PATH.
Figures only: nothing fails on a time; it does fail when our objects are not those of plain Jinja2.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PEERS = ROOT.parent / "shared" / "tools" / "peer_fleet.py"

OURS = r"""
import hashlib, json, re, sys
from pathlib import Path
import yaml
from jinja2 import DictLoader
from fleet.adapters.tree_folder import Inputs, SiteTree, tree_folder, write_tree
from fleet.inventory.yaml_reader import read_yaml
from fleet.render.limits import check_files
from fleet.render.templating import environment

root, out = Path(sys.argv[1]), Path(sys.argv[2])

def ours(text):
    # What is quoted in the templates of others is quoted by ours itself.
    def one(match):
        parts = [p for p in re.split(r"({{.*?}})", match[1]) if p]
        return "{{ " + " ~ ".join(p[2:-2].strip() if p.startswith("{{") else json.dumps(p) for p in parts) + " }}"
    return re.sub(r'"([^"\n]*{{[^"\n]*)"', one, text).replace("dns | join(',')", "dns | join(',')")

templates = {name: ours(text) for name, text in json.loads((root / "T.json").read_text()).items()}
made = environment(DictLoader(templates))
compiled = {name: made.get_template(name) for name in sorted(templates)}
sites = read_yaml((root / "fleet.yaml").read_text(), "fleet.yaml").value["sites"]
with tree_folder(out, Inputs("bench", "bench")) as folder:
    new = {}
    for site in sites:
        files = {f"manifests/{n}": t.render(p={"site": site}) for n, t in compiled.items()}
        check_files(site["name"], files)
        write_tree(folder.staging / site["name"], files)
        digest = hashlib.sha256("".join(files.values()).encode()).hexdigest()
        new[site["name"]] = SiteTree(digest, digest, digest, len(files))
    folder.commit({}, new)
"""

FLOOR = r"""
import json, sys
from pathlib import Path
import jinja2, yaml
root, out = Path(sys.argv[1]), Path(sys.argv[2])
made = jinja2.Environment()
compiled = {n: made.from_string(t) for n, t in json.loads((root / "T.json").read_text()).items()}
for site in yaml.load((root / "fleet.yaml").read_text(), Loader=yaml.CSafeLoader)["sites"]:
    folder = out / site["name"] / "manifests"
    folder.mkdir(parents=True)
    for name, template in compiled.items():
        (folder / name).write_text(template.render(p={"site": site}))
"""

SAME = r"""
import sys, yaml
from pathlib import Path
a, b = map(Path, sys.argv[1:])
names = sorted(p.relative_to(a) for p in a.rglob("*.yml"))
assert names and names == sorted(p.relative_to(b) for p in b.rglob("*.yml"))
for name in names:
    one, two = (yaml.load((x / name).read_text(), Loader=yaml.CSafeLoader) for x in (a, b))
    assert one == two, name
"""


def seconds(run: Callable[[], None]) -> float:
    """Processor seconds of the processes that `run` starts and waits for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def program(name: str) -> str | None:
    """A tool's executable."""
    built = sorted((Path.home() / ".cache" / "fleet" / "tools").glob(f"*/{name}"))
    return shutil.which(name) or (str(built[0]) if built else None)


def call(*command: str, cwd: Path | None = None) -> None:
    subprocess.run(command, check=True, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main() -> None:
    """Print a line a tool."""
    sites = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    source = Path(sys.argv[2]) if len(sys.argv) > 2 else PEERS
    if not source.exists():
        raise SystemExit(f"{source} is not there: name peer_fleet.py as second argument")
    memory = Path("/dev/shm")
    place = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=place, prefix="fleet-bench-") as name:
        measure(sites, source, Path(name))


def measure(sites: int, source: Path, folder: Path) -> None:
    """Make the fleet, run each tool over it, and print."""
    root = folder / "peers"
    call(sys.executable, str(source), str(sites), str(root))
    print(f"{sites:,} sites of six manifests; load {os.getloadavg()[0]:.1f}; processor seconds", flush=True)
    ours = seconds(lambda: call(sys.executable, "-c", OURS, str(root), str(folder / "ours")))

    def line(tool: str, used: float, what: str) -> None:
        print(f"  {tool:11} {used:7.2f} s  {used / ours:6.1f} x  {what}", flush=True)

    line("fleet", ours, "reads with places and duplicate keys, quotes, checks names and sizes, swaps folders")
    floor = seconds(lambda: call(sys.executable, "-c", FLOOR, str(root), str(folder / "floor")))
    line("floor", floor, "PyYAML's C parser, Jinja2, write: no quoting, no checks")
    call(sys.executable, "-c", SAME, str(folder / "floor"), str(folder / "ours"))
    if kapitan := program("kapitan"):
        kapitan_out = str(folder / "kapitan")
        used = seconds(lambda: call(kapitan, "compile", "--output-path", kapitan_out, cwd=root / "kapitan"))
        line("kapitan", used, "merges classes of its own inventory, resolves references; one process a core")
    if kustomize := program("kustomize"):
        used = seconds(
            lambda: [call(kustomize, "build", str(p)) for p in each(root / "kustomize" / "sites")] and None
        )
        line("kustomize", used, "a process a site; parses and patches objects; fewer values differ a site")
    if helm := program("helm"):
        chart = str(root / "helm" / "chart")
        used = seconds(
            lambda: (
                [call(helm, "template", "x", chart, "-f", str(p)) for p in each(root / "helm" / "values")]
                and None
            )
        )
        line("helm", used, "a process a site; Go templates, sorted by kind; hooks and releases besides")
    for tool in ("kapitan", "kustomize", "helm"):
        if program(tool) is None:
            print(f"  {tool:11} is not installed here, and was not measured")


def each(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


if __name__ == "__main__":
    main()
