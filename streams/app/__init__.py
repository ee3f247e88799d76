"""The composition root: the one place that knows how the parts fit together, one module a process."""
