"""What is unusual: streaming statistics over arrays, a function of the log alone. Pure."""
