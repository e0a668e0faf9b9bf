'use strict';
// What a scenario program is given, and what it answers: as in ../python/scenario.py.

const { existsSync } = require('node:fs');

const PATIENCE = 45_000;

// Runs the step that is asked for and prints how it went.
function run(steps) {
  const subject = JSON.parse(process.env.MUSTER_SDK_SUBJECT);
  const scenario = { messages: [], ...subject, ...JSON.parse(process.argv[2]) };
  scenario.isX509 = scenario.credential?.kind === 'x509';
  steps[scenario.step](scenario).then(
    (done) => answer({ done: done ?? {} }),
    (error) => answer({ failed: described(error) }),
  );
}

function answer(value) {
  // Sockets that an SDK leaves behind must not keep the program.
  process.stdout.write(JSON.stringify(value) + '\n', () => process.exit(0));
}

function described(error) {
  const causes = [];
  for (let cause = inner(error); cause && causes.length < 5; cause = inner(cause)) {
    causes.push(`${cause.name}: ${cause.message ?? cause}`);
  }
  return { error: error.name, text: String(error.message ?? error), causes };
}

// The vendor's errors carry what caused them under names of each package's own.
function inner(error) {
  return error.cause ?? error.amqpError ?? error.transportError ?? error.innerError;
}

// Fails when a promise takes longer than anything should.
function bounded(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not happen in ${PATIENCE / 1000} s`)), PATIENCE);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// Says that the program is ready, and waits until the file `signal` is there.
async function readyAndTold({ signal }) {
  process.stdout.write('{"ready":true}\n');
  const told = async () => {
    while (!existsSync(signal)) await new Promise((resolve) => setTimeout(resolve, 50));
  };
  await bounded(told(), 'the signal');
}

module.exports = { run, bounded, readyAndTold, PATIENCE };
