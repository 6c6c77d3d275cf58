"""The local engine beside Pulumi: its own Go SDK, its CLI where there is one, and a model of its rules (docs/parity.md)."""
