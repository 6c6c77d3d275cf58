"""What `pulumi up -s SITE` runs.

Pulumi runs this file as a script, outside of any package: hence the installed name in the import.
"""

from pathlib import Path

import pulumi

from fleet_stacks.stack_config import configured_program

configured_program(Path(pulumi.get_root_directory()), pulumi.get_stack(), pulumi.Config("fleet"))()
