"""Redis or Valkey: what is shared and may be lost."""
