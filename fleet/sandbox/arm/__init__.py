"""A stand-in for Azure Resource Manager: real HTTPS, ARM's manners, no Azure behind it.

Start one with `ArmSandbox`. What it checks and what it does not is said there, by the server's
`GET /`, and in every answer's `x-fleet-sandbox` header.
"""

from fleet.sandbox.arm.server import ArmSandbox

__all__ = ["ArmSandbox"]
