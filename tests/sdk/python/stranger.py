"""What the MQTT clients that are not the vendor's must know of the vendor's wire: names, topics, tokens.

Source: "Communicate with an IoT hub using the MQTT protocol" and its counterpart for the provisioning service, read
2026-11.
"""

import base64
import hashlib
import hmac
import time
from urllib.parse import quote

KEYS = {
    "message-id": "$.mid",
    "correlation-id": "$.cid",
    "user-id": "$.uid",
    "content-type": "$.ct",
    "content-encoding": "$.ce",
    "absolute-expiry-time": "$.exp",
}
RESULTS = "$dps/registrations/res/#"
REGISTER = "$dps/registrations/PUT/iotdps-register/?$rid=1"


def token(resource, key, policy=None):
    """A SAS token of an hour."""
    resource, end = quote(resource, safe=""), int(time.time()) + 3600
    mac = hmac.new(base64.b64decode(key), f"{resource}\n{end}".encode(), hashlib.sha256).digest()
    signed = f"SharedAccessSignature sr={resource}&sig={quote(base64.b64encode(mac), safe='')}&se={end}"
    return signed + (f"&skn={policy}" if policy else "")


def hub_login(scenario):
    """User name and password for the hub; no password with a certificate."""
    name = f"{scenario.hub}/{scenario.device}/?api-version=2021-04-12"
    if scenario.model:
        name += f"&model-id={quote(scenario.model, safe='')}"
    if scenario.is_x509:
        return name, None
    return name, token(f"{scenario.hub}/devices/{scenario.device}", scenario.credential["key"])


def provisioning_login(scenario):
    """User name and password for the provisioning service."""
    place = f"{scenario.id_scope}/registrations/{scenario.registration}"
    name = f"{place}/api-version=2021-06-01&ClientVersion=stranger"
    if scenario.is_x509:
        return name, None
    return name, token(place, scenario.credential["key"], "registration")


def telemetry(scenario, message):
    """The topic of a message: system properties first, their names as they are."""
    pairs = [(KEYS[name], value) for name, value in message["system"].items()]
    bag = [f"{name}={quote(value, safe='')}" for name, value in pairs]
    if message.get("component"):
        bag.append(f"$.sub={quote(message['component'], safe='')}")
    bag += [f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in message["properties"].items()]
    return f"devices/{scenario.device}/messages/events/" + "&".join(bag)


def status_topic(number, operation):
    return f"$dps/registrations/GET/iotdps-get-operationstatus/?$rid={number}&operationId={operation}"


def result(topic):
    """Status and retry-after of a result's topic."""
    _, _, rest = topic.partition("$dps/registrations/res/")
    status, _, query = rest.partition("/?")
    fields = dict(pair.partition("=")[::2] for pair in query.split("&"))
    return int(status), int(fields.get("retry-after", 2))


def facts(answer):
    state = answer["registrationState"]
    return {
        "status": answer["status"],
        "hub": state.get("assignedHub"),
        "device": state.get("deviceId"),
        "substatus": state.get("substatus"),
    }


class Refused(Exception):
    """The server said no: in a CONNACK, or in a result."""
