'use strict';
// azure-iot-device as a device, over each of its transports: registers, connects, sends, is taken over.
//
// Learnt from azure-iot-device 1.18.4 and its transports: they trust what NODE_EXTRA_CA_CERTS names when the process
// starts (or `ca` in the options); `setOptions` of Http stores its options and never calls back; a client tells a wrong
// credential from a lost link by the protocol's own refusal only; with NoRetry it emits `disconnect` and stays away.

const { readFileSync } = require('node:fs');
const { Client, Message } = require('azure-iot-device');
const { NoRetry } = require('azure-iot-common');
const { ProvisioningDeviceClient } = require('azure-iot-provisioning-device');
const { SymmetricKeySecurityClient } = require('azure-iot-security-symmetric-key');
const { X509Security } = require('azure-iot-security-x509');
const { bounded, readyAndTold, run } = require('./scenario.js');

const DEVICE = {
  amqp: () => require('azure-iot-device-amqp').Amqp,
  'amqp-ws': () => require('azure-iot-device-amqp').AmqpWs,
  http: () => require('azure-iot-device-http').Http,
  mqtt: () => require('azure-iot-device-mqtt').Mqtt,
  'mqtt-ws': () => require('azure-iot-device-mqtt').MqttWs,
};
const PROVISIONING = {
  amqp: () => require('azure-iot-provisioning-device-amqp').Amqp,
  'amqp-ws': () => require('azure-iot-provisioning-device-amqp').AmqpWs,
  http: () => require('azure-iot-provisioning-device-http').Http,
  mqtt: () => require('azure-iot-provisioning-device-mqtt').Mqtt,
  'mqtt-ws': () => require('azure-iot-provisioning-device-mqtt').MqttWs,
};
const SYSTEM = {
  'message-id': 'messageId',
  'correlation-id': 'correlationId',
  'user-id': 'userId',
  'content-type': 'contentType',
  'content-encoding': 'contentEncoding',
  'absolute-expiry-time': 'expiryTimeUtc',
};

function certificate({ credential }) {
  return {
    cert: readFileSync(credential.certificate, 'utf8'),
    key: readFileSync(credential.key, 'utf8'),
  };
}

async function client(scenario) {
  const { hub, device, credential, transport } = scenario;
  const proof = scenario.isX509 ? 'x509=true' : `SharedAccessKey=${credential.key}`;
  const made = Client.fromConnectionString(`HostName=${hub};DeviceId=${device};${proof}`, DEVICE[transport]());
  made.on('error', (error) => console.error(`error event: ${error}`));
  const options = {
    ...(scenario.isX509 && certificate(scenario)),
    ...(scenario.model && { modelId: scenario.model }),
  };
  if (Object.keys(options).length > 0) {
    const stored = made.setOptions(options);
    if (transport !== 'http') await bounded(stored, 'setOptions');
  }
  return made;
}

async function sendAll(device, messages) {
  for (const wanted of messages) {
    const message = new Message(Buffer.from(wanted.body, 'base64'));
    for (const [name, value] of Object.entries(wanted.system)) message[SYSTEM[name]] = value;
    for (const [name, value] of Object.entries(wanted.properties)) message.properties.add(name, value);
    if (wanted.component) message.properties.add('dt-subject', wanted.component);
    await bounded(device.sendEvent(message), 'the acknowledgement');
  }
}

async function provision(scenario) {
  const { registration, credential, provisioning, idScope, transport } = scenario;
  const security = scenario.isX509
    ? new X509Security(registration, certificate(scenario))
    : new SymmetricKeySecurityClient(registration, credential.key);
  const device = ProvisioningDeviceClient.create(provisioning, idScope, new (PROVISIONING[transport]())(), security);
  const state = await bounded(device.register(), 'the registration');
  return { status: state.status, hub: state.assignedHub, device: state.deviceId, substatus: state.substatus };
}

async function send(scenario) {
  const device = await client(scenario);
  await bounded(device.open(), 'the connection');
  await sendAll(device, scenario.messages);
  await bounded(device.close(), 'the end');
}

// The same client leaves and comes back.
async function reconnect(scenario) {
  const device = await client(scenario);
  await bounded(device.open(), 'the connection');
  await sendAll(device, scenario.messages.slice(0, 1));
  await bounded(device.close(), 'the end');
  await bounded(device.open(), 'the second connection');
  await sendAll(device, scenario.messages.slice(1));
  await bounded(device.close(), 'the second end');
  return { connectedBetween: false };
}

// A second client of the same identity connects; the first learns that it is gone.
async function takeover(scenario) {
  const first = await client(scenario);
  first.setRetryPolicy(new NoRetry());
  await bounded(first.open(), 'the connection');
  await sendAll(first, scenario.messages.slice(0, 1));
  const lost = new Promise((resolve) => first.once('disconnect', resolve));
  const second = await client(scenario);
  let still = true;
  second.once('disconnect', () => (still = false));
  await bounded(second.open(), 'the second connection');
  await bounded(lost, 'the loss of the first connection');
  await sendAll(second, scenario.messages.slice(1));
  const secondConnected = still;
  await bounded(second.close(), 'the end');
  return { secondConnected };
}

// The server goes away and comes back; the client sends as if nothing had been.
async function outlive(scenario) {
  const device = await client(scenario);
  await bounded(device.open(), 'the connection');
  await sendAll(device, scenario.messages.slice(0, 1));
  await readyAndTold(scenario);
  await sendAll(device, scenario.messages.slice(1));
  await bounded(device.close(), 'the end');
}

run({ provision, send, reconnect, takeover, outlive });
