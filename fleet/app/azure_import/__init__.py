"""Drafts of site files from what Azure holds, and what differs from those that are there."""
