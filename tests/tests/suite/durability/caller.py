"""Makes one request on a connection that has been used before and is quiet.

Called with one argument, a JSON file: address, root, host, certificate, key, method, path, body, and the status that is
due. The first request, for a small public file, brings the handshake and all that follows it to an end; the second one
is the subject.
"""
import http.client
import json
import socket
import ssl
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    plan = json.load(file)


class Connection(http.client.HTTPSConnection):
    """Goes to the server whatever the name; the name stays in SNI and in the check of the certificate."""

    def connect(self):
        raw = socket.create_connection(plan["address"], timeout=30)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = self._context.wrap_socket(raw, server_hostname=self.host)


def exactly(link, count):
    got = b""
    while len(got) < count:
        part = link.recv(count - len(got))
        if not part:
            sys.exit("the connection ended")
        got += part
    return got


def text(value):
    return len(value.encode()).to_bytes(2, "big") + value.encode()


context = ssl.create_default_context(cafile=plan["root"])
context.load_cert_chain(plan["certificate"], plan["key"])
if plan["method"] == "PUBLISH":
    # The path is the device's id. The ping brings everything before it to an end.
    raw = socket.create_connection(plan["address"], timeout=30)
    link = context.wrap_socket(raw, server_hostname=plan["host"])
    device = plan["path"]
    body = text("MQTT") + b"\x04\x82\x00\x00" + text(device) + text(f"{plan['host']}/{device}/?api-version=2021-04-12")
    link.sendall(bytes([0x10, len(body)]) + body)
    if exactly(link, 4) != b"\x20\x02\x00\x00":
        sys.exit("refused")
    link.sendall(b"\xc0\x00")
    exactly(link, 2)
    body = text(f"devices/{device}/messages/events/") + b"\x00\x01" + plan["body"].encode()
    link.sendall(bytes([0x32, len(body)]) + body)
    sys.exit(0 if exactly(link, 4) == b"\x40\x02\x00\x01" else "another answer")
link = Connection(plan["host"], context=context)
link.request("GET", "/nothing-is-here")
link.getresponse().read()
headers = {"Content-Type": "application/json", "Content-Length": str(len(plan["body"]))}
link.request(plan["method"], plan["path"], body=plan["body"], headers=headers)
answer = link.getresponse()
text = answer.read()
if answer.status != plan["status"]:
    sys.exit(f"{answer.status}: {text}")
