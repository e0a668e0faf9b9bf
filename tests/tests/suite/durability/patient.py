"""Opens a request, waits, and finishes it.

Called with one argument, a JSON file: address, root, host, certificate, key, path, body. The head is sent with an
expectation, so that the server's interim answer tells that it has the request open; then "open" is printed, a line of
standard input is awaited, the body sent, and the final answer printed: its status, and whether the connection stays.
"""
import json
import socket
import ssl
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    plan = json.load(file)
context = ssl.create_default_context(cafile=plan["root"])
context.load_cert_chain(plan["certificate"], plan["key"])
raw = socket.create_connection(plan["address"], timeout=60)
link = context.wrap_socket(raw, server_hostname=plan["host"])
answers = link.makefile("rb")
body = plan["body"].encode()
link.sendall(
    f"POST {plan['path']} HTTP/1.1\r\nHost: {plan['host']}\r\nContent-Type: application/json\r\n"
    f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n".encode()
)
interim = answers.readline().split()
if interim[1] != b"100":
    sys.exit(f"no interim answer but {interim}")
answers.readline()
print("open", flush=True)
sys.stdin.readline()
link.sendall(body)
status = answers.readline().split()[1].decode()
stays = True
while (line := answers.readline().strip().lower()):
    if line == b"connection: close":
        stays = False
print(json.dumps([status, stays]), flush=True)
