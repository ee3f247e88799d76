"""From a window to a question for a model, and from its answer to an insight. Pure."""
