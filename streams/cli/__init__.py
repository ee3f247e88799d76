"""The command `tidegate`: one module a verb."""
