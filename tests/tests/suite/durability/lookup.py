"""Asks one server for many paths over one connection.

Called with one argument, a JSON file: address, root, host, paths, and for all of them the header authorization. Prints one
line of JSON: for each path its status and its body as text.
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


link = Connection(plan["host"], context=ssl.create_default_context(cafile=plan["root"]))
answers = []
for path in plan["paths"]:
    link.request("GET", path, headers={"Authorization": plan["authorization"]})
    answer = link.getresponse()
    answers.append([answer.status, answer.read().decode("utf-8", "replace")])
print(json.dumps(answers))
