"""One inventory for AI agents and local inference at every Azure Local site."""
