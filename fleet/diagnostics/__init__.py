"""Findings about an inventory: one value, many renderers."""
