"""What a scenario program is given, and what it answers.

The subject stands in the variable MUSTER_SDK_SUBJECT, as JSON: `hub` and `provisioning` (host names), `idScope`, `ca`
(file of the certificates to trust). Nothing in a program knows whose server that is.

The scenario is the one argument, as JSON: `step`, `transport`, `credential`, `registration`, `device`, `messages`. A
credential is `{"key": base64}` or `{"certificate": file, "key": file, "kind": "x509"}`. A message is `{"body": base64,
"system": {name: text}, "properties": {name: text}, "component": text}`, system properties by their AMQP names. `model` is
announced when the client connects.

The answer is the last line of standard output, JSON: `{"done": {...}}`, or `{"failed": {"error", "text", "causes"}}` with
the SDK's own word for what went wrong. A program judges nothing: what is right is known to the one who asks.
"""

import base64
import json
import logging
import os
import sys
import threading
import time

# How long a program waits for what must happen. It bounds a hang, it measures nothing.
PATIENCE = 45


class Scenario:
    """A scenario and its subject."""

    def __init__(self, subject, wanted):
        self.hub = subject["hub"]
        self.provisioning = subject["provisioning"]
        self.id_scope = subject["idScope"]
        self.ca = subject["ca"]
        self.step = wanted["step"]
        self.transport = wanted["transport"]
        self.credential = wanted.get("credential", {})
        self.registration = wanted.get("registration")
        self.device = wanted.get("device")
        self.messages = wanted.get("messages", [])
        self.model = wanted.get("model")
        self.wanted = wanted

    @property
    def is_x509(self):
        return self.credential.get("kind") == "x509"

    @property
    def connection_string(self):
        return f"HostName={self.hub};DeviceId={self.device};SharedAccessKey={self.credential['key']}"


def body(message):
    """The bytes of a message."""
    return base64.b64decode(message["body"])


def wait_for(event, what):
    """Waits for a threading.Event."""
    if not event.wait(PATIENCE):
        raise TimeoutError(f"{what} did not happen in {PATIENCE} s")


def ready_and_told(scenario):
    """Says that the program is ready, and waits until the file `signal` is there."""
    print(json.dumps({"ready": True}), flush=True)
    deadline = time.monotonic() + PATIENCE
    while not os.path.exists(scenario.wanted["signal"]):
        if time.monotonic() > deadline:
            raise TimeoutError("nobody gave the signal")
        time.sleep(0.05)


def run(steps):
    """Runs the step that is asked for and prints how it went."""
    if os.environ.get("MUSTER_SDK_LOG"):
        logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    scenario = Scenario(json.loads(os.environ["MUSTER_SDK_SUBJECT"]), json.loads(sys.argv[1]))
    # What an SDK says in a thread of its own must not hide what it says to its caller.
    threading.excepthook = lambda args: print(f"in a thread: {args.exc_type.__name__}: {args.exc_value}", file=sys.stderr)
    try:
        answer = {"done": steps[scenario.step](scenario) or {}}
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        answer = {"failed": described(error)}
    print(json.dumps(answer), flush=True)
    # Threads that an SDK leaves behind must not keep the program.
    os._exit(0)


def described(error):
    causes = []
    cause = error.__cause__ or error.__context__
    while cause is not None and len(causes) < 5:
        causes.append(f"{type(cause).__name__}: {cause}")
        cause = cause.__cause__ or cause.__context__
    return {"error": type(error).__name__, "text": str(error), "causes": causes}
