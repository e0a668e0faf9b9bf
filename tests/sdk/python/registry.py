"""azure-iot-hub as a back end: manages devices of the registry.

Learnt from azure-iot-hub 2.7.0: it trusts what REQUESTS_CA_BUNDLE names, speaks HTTPS to the `HostName` of its connection
string, and needs the package six without declaring it.
"""

import base64

from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import Device

from scenario import run


def key(text):
    return base64.b64encode(text.encode().ljust(32, b".")).decode()


def manage(scenario):
    """Makes a device of each kind, reads, lists, changes and deletes them, and reports what was seen on the way."""
    registry = IoTHubRegistryManager.from_connection_string(scenario.wanted["connectionString"])
    seen = {}
    keyed, printed, signed = (f"{scenario.device}-{kind}" for kind in ("key", "thumbprint", "ca"))

    made = registry.create_device_with_sas(keyed, key("first"), key("second"), "enabled")
    seen["made"] = {
        "id": made.device_id,
        "type": made.authentication.type,
        "key": made.authentication.symmetric_key.primary_key == key("first"),
        "status": made.status,
        "state": made.connection_state,
        "generation": bool(made.generation_id),
        "etag": bool(made.etag),
    }
    made = registry.create_device_with_x509(printed, "A" * 40, "B" * 40, "disabled", status_reason="not yet")
    seen["thumbprint"] = {
        "type": made.authentication.type,
        "primary": made.authentication.x509_thumbprint.primary_thumbprint,
        "status": made.status,
        "reason": made.status_reason,
    }
    made = registry.create_device_with_certificate_authority(signed, "enabled")
    seen["ca"] = {"type": made.authentication.type}

    found = registry.get_device(keyed)
    seen["read"] = found.device_id == keyed and found.etag == registry.get_device(keyed).etag
    listed = {device.device_id for device in registry.get_devices(max_number_of_devices=1000)}
    seen["listed"] = sorted(listed & {keyed, printed, signed}) == sorted([keyed, printed, signed])

    changed = registry.update_device_with_sas(keyed, found.etag, key("third"), key("fourth"), "disabled", status_reason="held")
    seen["changed"] = {
        "status": changed.status,
        "reason": changed.status_reason,
        "key": changed.authentication.symmetric_key.primary_key == key("third"),
        "etag": changed.etag != found.etag,
        "generation": changed.generation_id == found.generation_id,
    }
    seen["stale"] = refusal(lambda: registry.update_device_with_sas(keyed, found.etag, key("x"), key("y"), "enabled"))
    seen["again"] = refusal(lambda: registry.create_device_with_sas(keyed, key("x"), key("y"), "enabled"))
    seen["wrongId"] = refusal(
        lambda: registry.protocol.devices.create_or_update_identity(
            f"{scenario.device}-bad", Device(device_id="another", status="enabled")
        )
    )
    for device in (keyed, printed, signed):
        registry.delete_device(device)
    seen["gone"] = refusal(lambda: registry.get_device(keyed))
    seen["statistics"] = registry.get_device_registry_statistics().total_device_count is not None
    return seen


def refusal(call):
    try:
        call()
    except Exception as error:  # noqa: BLE001 - its status is the answer
        response = getattr(error, "response", None)
        return getattr(response, "status_code", None) or f"{type(error).__name__}: {error}"
    return "not refused"


run({"manage": manage})
