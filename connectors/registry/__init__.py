"""A schema registry of somebody else: Confluent's, Karapace, Apicurio (its `ccompat` API)."""
