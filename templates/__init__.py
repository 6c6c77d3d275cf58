"""Jinja2 templates of the GitOps tree, laid out as the tree they render."""
