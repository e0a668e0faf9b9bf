"""mosquitto's command-line clients as a device.

Learnt from mosquitto 2.0.11: mosquitto_sub, when its connection is lost, either comes back by itself or says so and ends,
depending on how TLS was ended; mosquitto_rr refuses a response topic with a wildcard.
"""

import subprocess
import tempfile
import threading

import stranger
from scenario import PATIENCE, body, run, wait_for


def arguments(scenario, host, client_id, login):
    name, password = login
    line = ["-h", host, "-p", "8883", "-V", "mqttv311", "--cafile", scenario.ca, "-i", client_id, "-u", name]
    if scenario.is_x509:
        line += ["--cert", scenario.credential["certificate"], "--key", scenario.credential["key"]]
    else:
        line += ["-P", password]
    return line


def at_hub(scenario):
    return arguments(scenario, scenario.hub, scenario.device, stranger.hub_login(scenario))


def ran(command):
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    if ended.returncode != 0:
        raise stranger.Refused(f"{command[0]} ended with {ended.returncode}: {ended.stdout}{ended.stderr}".strip())
    return ended.stdout


def send_all(scenario, messages):
    for message in messages:
        with tempfile.NamedTemporaryFile() as file:
            file.write(body(message))
            file.flush()
            topic = stranger.telemetry(scenario, message)
            ran(["mosquitto_pub", *at_hub(scenario), "-c", "-q", "1", "-t", topic, "-f", file.name])


def send(scenario):
    send_all(scenario, scenario.messages)


def reconnect(scenario):
    """Each message on a connection of its own, in one session."""
    send_all(scenario, scenario.messages)
    return {"connectedBetween": False}


def takeover(scenario):
    inbox = f"devices/{scenario.device}/messages/devicebound/#"
    line = ["stdbuf", "-oL", "mosquitto_sub", "-d", *at_hub(scenario), "-c", "-q", "1", "-t", inbox]
    first = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    ready, lost, said = threading.Event(), threading.Event(), []

    def follow():
        for text in first.stdout:
            said.append(text)
            if "received SUBACK" in text:
                ready.set()
            if "connection was lost" in text or sum("sending CONNECT" in one for one in said) > 1:
                lost.set()

    threading.Thread(target=follow, daemon=True).start()
    try:
        wait_for(ready, "SUBACK")
        send_all(scenario, scenario.messages)
        wait_for(lost, "the loss of the first connection")
    except TimeoutError as error:
        raise TimeoutError(f"{error}; mosquitto_sub said: {''.join(said)}") from None
    finally:
        first.kill()
        first.wait()
    return {"secondConnected": True}


run({"send": send, "reconnect": reconnect, "takeover": takeover})
