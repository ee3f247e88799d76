"""The only input and output: one folder per outside system. One connector never imports another."""
