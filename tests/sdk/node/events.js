'use strict';
// @azure/event-hubs as a reader of the built-in endpoint; wish and answer as in ../python/events.py.
//
// Learnt from @azure/event-hubs 6.0.4: it takes the Event Hubs connection string and no other, and trusts what
// NODE_EXTRA_CA_CERTS names when the process starts.

const { EventHubConsumerClient, earliestEventPosition } = require('@azure/event-hubs');
const WebSocket = require('ws');
const { bounded, PATIENCE, run } = require('./scenario.js');

const SYSTEM = {
  messageId: 'message-id',
  correlationId: 'correlation-id',
  userId: 'user-id',
  to: 'to',
  contentType: 'content-type',
  contentEncoding: 'content-encoding',
  absoluteExpiryTime: 'absolute-expiry-time',
};

// A value of AMQP as JSON has it: times in milliseconds, bytes as text.
function plain(value) {
  if (value instanceof Date) return value.getTime();
  return Buffer.isBuffer(value) ? value.toString() : value;
}

function mapped(entries, name = (key) => key) {
  return Object.fromEntries(
    Object.entries(entries ?? {})
      .filter(([key, value]) => value !== undefined && value !== null && name(key))
      .map(([key, value]) => [name(key), plain(value)]),
  );
}

// The time until which a message is of use is shown in ISO 8601, as the hub's own lines show it.
function systemProperties(properties) {
  const found = mapped(properties, (key) => SYSTEM[key]);
  const expiry = found['absolute-expiry-time'];
  if (expiry !== undefined) found['absolute-expiry-time'] = new Date(expiry).toISOString();
  return found;
}

async function read(scenario) {
  const options = scenario.transport === 'amqp-ws' ? { webSocketOptions: { webSocket: WebSocket } } : {};
  const group = scenario.consumerGroup ?? '$Default';
  const reader = new EventHubConsumerClient(group, scenario.connectionString, options);
  const partitions = await bounded(reader.getPartitionIds(), 'the list of partitions');
  const events = [];
  let failure;
  await new Promise((resolve) => {
    const timer = setTimeout(resolve, PATIENCE);
    const end = (error) => {
      failure ??= error;
      clearTimeout(timer);
      resolve();
    };
    reader.subscribe(
      {
        processEvents: async (batch, context) => {
          for (const event of batch) {
            const raw = event.getRawAmqpMessage();
            events.push({
              partition: Number(context.partitionId),
              sequenceNumber: event.sequenceNumber,
              annotations: mapped(raw.messageAnnotations),
              properties: systemProperties(raw.properties),
              applicationProperties: mapped(raw.applicationProperties),
              body: Buffer.from(event.body).toString('base64'),
              bodyEncoding: 'base64',
            });
          }
          if (events.length >= scenario.count) end();
        },
        processError: async (error) => end(error),
      },
      { startPosition: earliestEventPosition, maxWaitTimeInSeconds: 1, skipParsingBodyAsJson: true },
    );
  });
  await bounded(reader.close(), 'the end');
  if (failure) throw failure;
  events.sort((one, other) => one.partition - other.partition || one.sequenceNumber - other.sequenceNumber);
  return { partitions, events };
}

run({ read });
