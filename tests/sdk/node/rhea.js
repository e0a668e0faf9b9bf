'use strict';
// rhea as a device over AMQP, with nothing of the vendor's: SASL PLAIN with a token, or a client certificate without SASL.
//
// Source: "Communicate with your IoT hub by using the AMQP protocol", read 2026-11.

const { createHmac } = require('node:crypto');
const { readFileSync } = require('node:fs');
const rhea = require('rhea');
const WebSocket = require('ws');
const { bounded, run } = require('./scenario.js');

const SYSTEM = {
  'message-id': 'message_id',
  'correlation-id': 'correlation_id',
  'user-id': 'user_id',
  'content-type': 'content_type',
  'content-encoding': 'content_encoding',
  'absolute-expiry-time': 'absolute_expiry_time',
};

function token(resource, key) {
  const encoded = encodeURIComponent(resource);
  const end = Math.floor(Date.now() / 1000) + 3600;
  const mac = createHmac('sha256', Buffer.from(key, 'base64')).update(`${encoded}\n${end}`).digest('base64');
  return `SharedAccessSignature sr=${encoded}&sig=${encodeURIComponent(mac)}&se=${end}`;
}

function options(scenario) {
  const { hub, device, credential, transport, ca } = scenario;
  const tls = { host: hub, servername: hub, ca: readFileSync(ca) };
  if (scenario.isX509) {
    Object.assign(tls, { cert: readFileSync(credential.certificate), key: readFileSync(credential.key) });
  }
  const proof = scenario.isX509
    ? {}
    : { username: `${device}@sas.${hub.split('.')[0]}`, password: token(`${hub}/devices/${device}`, credential.key) };
  const common = { hostname: hub, container_id: device, reconnect: false, ...proof };
  if (transport === 'amqp-ws') {
    const socket = rhea.websocket_connect(WebSocket);
    const details = socket(`wss://${hub}:443/$iothub/websocket`, 'AMQPWSB10', tls);
    return { ...common, connection_details: details };
  }
  return { ...common, ...tls, transport: 'tls', port: 5671 };
}

// Opens a connection with a sender of events, and says when it is gone.
async function connected(scenario) {
  const container = rhea.create_container();
  const opened = {};
  opened.lost = new Promise((resolve) => (opened.whenLost = resolve));
  await bounded(
    new Promise((resolve, reject) => {
      const fail = (context) => {
        const error = context.sender?.error ?? context.connection?.error ?? context.error ?? new Error('closed');
        opened.whenLost(error);
        reject(Object.assign(new Error(error.description ?? error.message), { name: error.condition ?? error.name }));
      };
      for (const event of ['connection_error', 'connection_close', 'disconnected', 'sender_error', 'error']) {
        container.on(event, fail);
      }
      container.once('sendable', (context) => {
        opened.sender = context.sender;
        resolve();
      });
      opened.connection = container.connect(options(scenario));
      opened.connection.open_sender(`/devices/${scenario.device}/messages/events`);
    }),
    'the connection',
  );
  return opened;
}

async function sendAll({ connection, sender }, messages) {
  for (const wanted of messages) {
    const message = { body: rhea.message.data_section(Buffer.from(wanted.body, 'base64')) };
    if (Object.keys(wanted.properties).length > 0) message.application_properties = wanted.properties;
    if (wanted.component) message.message_annotations = { 'dt-subject': wanted.component };
    for (const [name, value] of Object.entries(wanted.system)) {
      message[SYSTEM[name]] = name === 'absolute-expiry-time' ? new Date(value) : value;
    }
    const settled = new Promise((resolve, reject) => {
      connection.container.once('accepted', resolve);
      for (const outcome of ['rejected', 'released', 'modified']) {
        connection.container.once(outcome, () => reject(new Error(outcome)));
      }
    });
    sender.send(message);
    await bounded(settled, 'the acknowledgement');
  }
}

async function close({ connection }) {
  const closed = new Promise((resolve) => connection.container.once('connection_close', resolve));
  connection.close();
  await bounded(closed, 'the end');
}

async function send(scenario) {
  const device = await connected(scenario);
  await sendAll(device, scenario.messages);
  await close(device);
}

async function reconnect(scenario) {
  for (const messages of [scenario.messages.slice(0, 1), scenario.messages.slice(1)]) {
    const device = await connected(scenario);
    await sendAll(device, messages);
    await close(device);
  }
  return { connectedBetween: false };
}

async function takeover(scenario) {
  const first = await connected(scenario);
  await sendAll(first, scenario.messages.slice(0, 1));
  const second = await connected(scenario);
  await bounded(first.lost, 'the loss of the first connection');
  await sendAll(second, scenario.messages.slice(1));
  const still = second.connection.is_open();
  await close(second);
  return { secondConnected: still };
}

run({ send, reconnect, takeover });
