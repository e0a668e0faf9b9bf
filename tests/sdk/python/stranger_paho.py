"""paho-mqtt as a device, with nothing of the vendor's."""

import json
import queue
import ssl
import threading
import time

import paho.mqtt.client as mqtt

import stranger
from scenario import PATIENCE, body, ready_and_told, run, wait_for


class Connection:
    """One connection, made and waited for."""

    def __init__(self, scenario, host, client_id, login, clean, comes_back=False):
        websocket = scenario.transport == "mqtt-ws"
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=clean,
            transport="websockets" if websocket else "tcp",
            reconnect_on_failure=comes_back,
        )
        if websocket:
            self.client.ws_set_options(path="/$iothub/websocket")
        context = ssl.create_default_context(cafile=scenario.ca)
        if scenario.is_x509:
            context.load_cert_chain(scenario.credential["certificate"], scenario.credential["key"])
        self.client.tls_set_context(context)
        self.client.username_pw_set(*login)
        self.answered, self.subscribed = threading.Event(), threading.Event()
        self.lost, self.back = threading.Event(), threading.Event()
        self.reason, self.ended, self.received = None, None, queue.Queue()
        self.client.on_connect = self.on_connect
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.on_disconnect = self.on_disconnect
        self.client.on_message = lambda _client, _data, message: self.received.put(message)
        self.client.connect(host, 443 if websocket else 8883, keepalive=60)
        self.client.loop_start()
        wait_for(self.answered, "the answer to CONNECT")
        if self.reason is None:
            raise stranger.Refused(f"no CONNACK, but an end: {self.ended}")
        if self.reason.is_failure:
            raise stranger.Refused(f"CONNACK: {self.reason}")

    def on_connect(self, _client, _data, _flags, reason, _properties):
        self.reason = reason
        if self.lost.is_set():
            self.back.set()
        self.answered.set()

    def on_disconnect(self, _client, _data, _flags, reason, _properties):
        self.ended = reason
        self.lost.set()
        self.answered.set()

    def publish(self, topic, payload):
        sent = self.client.publish(topic, payload, qos=1)
        sent.wait_for_publish(PATIENCE)
        if not sent.is_published():
            raise TimeoutError("no PUBACK")

    def subscribe(self, topic):
        self.client.subscribe(topic, qos=1)
        wait_for(self.subscribed, "SUBACK")

    def close(self):
        self.client.disconnect()
        wait_for(self.lost, "the end")
        self.client.loop_stop()


def at_hub(scenario, **options):
    login = stranger.hub_login(scenario)
    return Connection(scenario, scenario.hub, scenario.device, login, clean=False, **options)


def send_all(connection, scenario, messages):
    for message in messages:
        connection.publish(stranger.telemetry(scenario, message), body(message))


def provision(scenario):
    login = stranger.provisioning_login(scenario)
    connection = Connection(scenario, scenario.provisioning, scenario.registration, login, clean=True)
    connection.subscribe(stranger.RESULTS)
    connection.publish(stranger.REGISTER, json.dumps({"registrationId": scenario.registration}))
    for number in range(2, 20):
        message = connection.received.get(timeout=PATIENCE)
        status, wait = stranger.result(message.topic)
        if status >= 300:
            raise stranger.Refused(f"{status}: {message.payload.decode()}")
        answer = json.loads(message.payload)
        if answer["status"] != "assigning":
            connection.close()
            return stranger.facts(answer)
        time.sleep(wait)
        connection.publish(stranger.status_topic(number, answer["operationId"]), " ")
    raise TimeoutError("the registration does not end")


def send(scenario):
    connection = at_hub(scenario)
    send_all(connection, scenario, scenario.messages)
    connection.close()


def reconnect(scenario):
    first = at_hub(scenario)
    send_all(first, scenario, scenario.messages[:1])
    first.close()
    second = at_hub(scenario)
    send_all(second, scenario, scenario.messages[1:])
    second.close()
    return {"connectedBetween": False}


def takeover(scenario):
    first = at_hub(scenario)
    send_all(first, scenario, scenario.messages[:1])
    second = at_hub(scenario)
    wait_for(first.lost, "the loss of the first connection")
    send_all(second, scenario, scenario.messages[1:])
    still = not second.lost.is_set()
    second.close()
    return {"secondConnected": still}


def outlive(scenario):
    """The server goes away and comes back; the client connects again by itself."""
    connection = at_hub(scenario, comes_back=True)
    send_all(connection, scenario, scenario.messages[:1])
    ready_and_told(scenario)
    wait_for(connection.lost, "the loss of the connection")
    wait_for(connection.back, "the second connection")
    send_all(connection, scenario, scenario.messages[1:])
    connection.lost.clear()
    connection.close()


run({"provision": provision, "send": send, "reconnect": reconnect, "takeover": takeover, "outlive": outlive})
