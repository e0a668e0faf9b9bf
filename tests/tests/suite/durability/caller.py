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


context = ssl.create_default_context(cafile=plan["root"])
context.load_cert_chain(plan["certificate"], plan["key"])
link = Connection(plan["host"], context=context)
link.request("GET", "/nothing-is-here")
link.getresponse().read()
headers = {"Content-Type": "application/json", "Content-Length": str(len(plan["body"]))}
link.request(plan["method"], plan["path"], body=plan["body"], headers=headers)
answer = link.getresponse()
text = answer.read()
if answer.status != plan["status"]:
    sys.exit(f"{answer.status}: {text}")
