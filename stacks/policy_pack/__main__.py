"""What Pulumi runs for `--policy-pack`: serves the policies until it is stopped.

Pulumi runs this folder as a script, outside of any package: hence the installed name in the import.
"""

from fleet_stacks.policy_pack.pack import serve

serve()
