"""azure-eventhub as a reader of the built-in endpoint.

Learnt from azure-eventhub 5.15.1: it takes the Event Hubs connection string and no other, trusts the file in
`connection_verify` (SSL_CERT_FILE is not honoured), and asks for properties on a connection of its own. The wish is
`{"connectionString", "consumerGroup", "count"}`; the answer holds the events of all partitions, from the first on.
"""

import base64
import threading
from datetime import datetime, timezone

from azure.eventhub import EventHubConsumerClient, TransportType

from scenario import PATIENCE, run


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def plain(value):
    """A value of AMQP as JSON has it: times in milliseconds, bytes as text."""
    value = text(value)
    if hasattr(value, "timestamp"):
        return int(value.timestamp() * 1000)
    return value


def expiry(value):
    """The time until which a message is of use, which the hub's own lines show in ISO 8601."""
    milliseconds = value if isinstance(value, int) else int(value.timestamp() * 1000)
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read(scenario):
    wanted = scenario.wanted
    reader = EventHubConsumerClient.from_connection_string(
        wanted["connectionString"],
        consumer_group=wanted.get("consumerGroup", "$Default"),
        transport_type=TransportType.AmqpOverWebsocket if scenario.transport == "amqp-ws" else TransportType.Amqp,
        connection_verify=scenario.ca,
    )
    found, enough = [], threading.Event()

    def on_event(partition, event):
        raw = event.raw_amqp_message
        annotations = {text(name): plain(value) for name, value in (raw.annotations or {}).items()}
        properties = raw.properties
        found.append(
            {
                "partition": int(partition.partition_id),
                "sequenceNumber": event.sequence_number,
                "annotations": annotations,
                "properties": {
                    name.replace("_", "-"): expiry(value) if name == "absolute_expiry_time" else plain(value)
                    for name, value in (dict(properties) if properties else {}).items()
                    if value is not None
                },
                "applicationProperties": {text(n): plain(v) for n, v in (raw.application_properties or {}).items()},
                "body": base64.b64encode(b"".join(event.body)).decode(),
                "bodyEncoding": "base64",
            }
        )
        if len(found) >= wanted["count"]:
            enough.set()

    facts = {"partitions": reader.get_partition_ids()}
    thread = threading.Thread(
        target=lambda: reader.receive(on_event=on_event, starting_position="-1", starting_position_inclusive=True),
        daemon=True,
    )
    thread.start()
    enough.wait(PATIENCE)
    reader.close()
    found.sort(key=lambda event: (event["partition"], event["sequenceNumber"]))
    return {**facts, "events": found}


run({"read": read})
