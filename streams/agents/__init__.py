"""What the two Faust apps do with the batches that reach them."""
