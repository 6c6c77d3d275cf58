"""What would change, and the steps that change it."""
