"""The contract: Avro schemas, the models that mirror them, the codec, the topics. Imports nothing of ours."""
