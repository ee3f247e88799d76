// Reads the first record of a topic and writes one, with the schemas of a registry: stock kafkajs, nothing of ours.
// Prints what it read, as JSON.
const { Kafka, Partitioners, logLevel } = require("kafkajs");
const { SchemaRegistry } = require("@kafkajs/confluent-schema-registry");

const { BROKERS, REGISTRY, TOPIC } = process.env;

async function main() {
  const registry = new SchemaRegistry({ host: REGISTRY });
  const kafka = new Kafka({ brokers: BROKERS.split(","), logLevel: logLevel.ERROR });

  const id = await registry.getLatestSchemaId("readings-value");
  const reading = { device_id: "pump-7", ts: Date.UTC(2026, 2, 1) * 1000, metrics: { t: 21.5 }, units: {}, tags: {}, seq: null };
  const value = await registry.encode(id, reading);

  const consumer = kafka.consumer({ groupId: `kafkajs-${process.pid}` });
  await consumer.connect();
  await consumer.subscribe({ topics: [TOPIC], fromBeginning: true });
  const read = await new Promise((resolve, reject) => {
    consumer
      .run({ eachMessage: async ({ message }) => resolve(await registry.decode(message.value)) })
      .catch(reject);
  });
  await consumer.disconnect();

  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
  await producer.connect();
  await producer.send({ topic: TOPIC, messages: [{ key: "pump-7", value }] });
  await producer.disconnect();
  console.log(JSON.stringify(read, (_, part) => (typeof part === "bigint" ? part.toString() : part)));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
