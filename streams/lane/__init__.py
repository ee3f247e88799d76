"""The fast Faust lane: one event is a batch of records of one partition."""
