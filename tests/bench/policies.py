"""What an organisation's policies cost: `policies.py [SITES]` (1,000 by default), those of the example and three.

Prints processor seconds, and fails on none.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fleet.adapters.inventory_files import read_inventory
from fleet.adapters.rego import policy_rules
from fleet.inventory.rule import check

ROOT = Path(__file__).resolve().parent.parent.parent
POLICY = """\
package fleet.site.{name}

# METADATA
# title: {name}
# custom: {{code: {code}}}
deny contains {{"msg": sprintf("%s", [what]), "path": {path}}} if {{
	{body}
}}
"""
MORE = (
    ("images", "ORG003", '["agents", what]',
     'some what, agent in input.agents\n\tnot startswith(agent.image, "registry.factory.example/")'),
    ("pools", "ORG004", '["kubernetes", "nodePools", what]',
     "some what, pool in input.kubernetes.nodePools\n\tpool.count > 16"),
    ("nodes", "ORG005", '["azureLocal", "nodes", what]',
     "some what, node in input.azureLocal.nodes\n\tnot regex.match(`^[a-z0-9-]+$`, node.name)"),
)  # fmt: skip


def main() -> None:
    """Generate a fleet, compile five policies, evaluate them, and print what each step took."""
    sites = sys.argv[1] if len(sys.argv) > 1 else "1000"
    folder = Path(tempfile.mkdtemp())
    try:
        generator = Path(__file__).with_name("generate_fleet.py")
        subprocess.run([sys.executable, generator, sites, folder / "fleet"], check=True, capture_output=True)
        policies = folder / "policies"
        shutil.copytree(ROOT / "examples" / "policies", policies)
        for name, code, path, body in MORE:
            text = POLICY.format(name=name, code=code, path=path, body=body)
            (policies / f"{name}.rego").write_text(text, encoding="utf-8")
        inventory, _ = read_inventory(folder / "fleet")
        assert inventory is not None
        began = time.process_time()
        rules = policy_rules(policies)
        compiled = time.process_time()
        findings = check(inventory, rules)
        done = time.process_time()
    finally:
        shutil.rmtree(folder)
    print(f"compile 5 policies: {compiled - began:.2f} s of processor time")
    print(f"evaluate {len(inventory.sites)} sites: {done - compiled:.2f} s, {len(findings)} findings")


if __name__ == "__main__":
    main()
