"""Names that lead to the nearest region that is well: gdnsd."""
