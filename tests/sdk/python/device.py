"""azure-iot-device as a device: registers, connects, sends, is taken over.

Learnt from azure-iot-device 2.14.0: it trusts what SSL_CERT_FILE names (or the PEM text in `server_verification_cert`),
dials 8883, and 443 with `websockets=True`; other ports cannot be given. `connection_retry=False` makes it report a lost
connection and stay away. A `product_info` that begins with `dtmi` is the model; a message's component is the custom
property `$.sub`.
"""

import threading

from azure.iot.device import X509, IoTHubDeviceClient, Message, ProvisioningDeviceClient

from scenario import body, ready_and_told, run, wait_for

SYSTEM = {
    "message-id": "message_id",
    "correlation-id": "correlation_id",
    "user-id": "user_id",
    "content-type": "content_type",
    "content-encoding": "content_encoding",
    "absolute-expiry-time": "expiry_time_utc",
}


def certificate(scenario):
    return X509(cert_file=scenario.credential["certificate"], key_file=scenario.credential["key"])


def client(scenario, **options):
    if scenario.model:
        options["product_info"] = scenario.model
    options["websockets"] = scenario.transport == "mqtt-ws"
    if scenario.is_x509:
        return IoTHubDeviceClient.create_from_x509_certificate(
            certificate(scenario), scenario.hub, scenario.device, **options
        )
    return IoTHubDeviceClient.create_from_connection_string(scenario.connection_string, **options)


def send_all(device, messages):
    for wanted in messages:
        message = Message(body(wanted))
        for name, value in wanted["system"].items():
            setattr(message, SYSTEM[name], value)
        message.custom_properties.update(wanted["properties"])
        if wanted.get("component"):
            message.custom_properties["$.sub"] = wanted["component"]
        device.send_message(message)


def provision(scenario):
    common = {"websockets": scenario.transport == "mqtt-ws"}
    names = {
        "provisioning_host": scenario.provisioning,
        "registration_id": scenario.registration,
        "id_scope": scenario.id_scope,
    }
    if scenario.is_x509:
        device = ProvisioningDeviceClient.create_from_x509_certificate(x509=certificate(scenario), **names, **common)
    else:
        device = ProvisioningDeviceClient.create_from_symmetric_key(
            symmetric_key=scenario.credential["key"], **names, **common
        )
    result = device.register()
    state = result.registration_state
    return {
        "status": result.status,
        "hub": state.assigned_hub,
        "device": state.device_id,
        "substatus": state.sub_status,
    }


def send(scenario):
    device = client(scenario)
    device.connect()
    send_all(device, scenario.messages)
    device.disconnect()
    device.shutdown()


def reconnect(scenario):
    """The same client leaves and comes back."""
    device = client(scenario)
    device.connect()
    send_all(device, scenario.messages[:1])
    device.disconnect()
    between = device.connected
    device.connect()
    send_all(device, scenario.messages[1:])
    device.disconnect()
    device.shutdown()
    return {"connectedBetween": between}


def takeover(scenario):
    """A second client of the same identity connects; the first learns that it is gone."""
    first = client(scenario, connection_retry=False)
    first.connect()
    send_all(first, scenario.messages[:1])
    lost = threading.Event()
    first.on_connection_state_change = lambda: None if first.connected else lost.set()
    second = client(scenario)
    second.connect()
    wait_for(lost, "the loss of the first connection")
    send_all(second, scenario.messages[1:])
    still = second.connected
    second.shutdown()
    first.shutdown()
    return {"secondConnected": still}


def outlive(scenario):
    """The server goes away and comes back; the client sends as if nothing had been."""
    device = client(scenario)
    device.connect()
    send_all(device, scenario.messages[:1])
    ready_and_told(scenario)
    send_all(device, scenario.messages[1:])
    device.shutdown()


run({"provision": provision, "send": send, "reconnect": reconnect, "takeover": takeover, "outlive": outlive})
