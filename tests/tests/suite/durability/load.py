"""Devices that send and register without a pause, and write down what they were promised.

Called with one argument, a JSON file:
  address    [host, port] of the server
  root       file of the root to trust
  hub        host name of the hub
  global     host name of provisioning
  scope      id scope
  prefix     stands before the id of every message and registration
  senders    [{"device", "certificate", "key", "batch"}]: each sends one message after the other; `batch` above 1 packs so
             many into one request
  mqtt       [host, port] of the server's MQTT
  publishers [{"device", "certificate", "key"}]: each publishes over MQTT, a few messages ahead of their acknowledgements
  registrars how many connections register devices of the key group, each with its derived key
  group_key  key of the group, base64
  padding    bytes that each message carries besides its id
  most       requests of each sender and each registrar at most

Prints "started" once every connection has had an answer; then, when all have ended, one line of JSON. A connection ends
with the server, with its first refused request, or with its last request.
"""
import base64
import collections
import hashlib
import hmac
import http.client
import json
import socket
import ssl
import sys
import threading
import time
import urllib.parse

with open(sys.argv[1], encoding="utf-8") as file:
    plan = json.load(file)
lock = threading.Lock()
result = {"sent": [], "answered": [], "assigned": [], "refused": [], "broken": []}
clients = len(plan["senders"]) + len(plan["publishers"]) + plan["registrars"]
first_answers = threading.Semaphore(0)


class Connection(http.client.HTTPSConnection):
    """Goes to the server whatever the name; the name stays in SNI and in the check of the certificate."""

    def connect(self):
        raw = socket.create_connection(plan["address"], timeout=30)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = self._context.wrap_socket(raw, server_hostname=self.host)


def connection(host, credential=None):
    context = ssl.create_default_context(cafile=plan["root"])
    if credential:
        context.load_cert_chain(credential["certificate"], credential["key"])
    return Connection(host, context=context)


def note(kind, value):
    with lock:
        result[kind].append(value)


def ask(link, method, path, body, headers):
    """Returns status and body; None once the server is gone. A request on the way then has an unknown outcome."""
    try:
        link.request(method, path, body=body, headers=headers)
        answer = link.getresponse()
        text = answer.read()
        if answer.getheader("connection", "").lower() == "close":
            link.close()
        return answer.status, text
    except (OSError, http.client.HTTPException) as error:
        note("broken", repr(error))
        return None


def send(sender):
    link = connection(plan["hub"], sender)
    path = f"/devices/{sender['device']}/messages/events?api-version=2021-04-12"
    padding = "." * plan["padding"]
    for number in range(plan["most"]):
        name = f"{plan['prefix']}/{sender['device']}/{number:06}"
        if sender["batch"] > 1:
            ids = [f"{name}/{part}" for part in range(sender["batch"])]
            body = json.dumps([
                {
                    "body": base64.b64encode(json.dumps({"id": i, "padding": padding}).encode()).decode(),
                    "properties": {"iothub-contenttype": "application/json"},
                }
                for i in ids
            ])
            kind = "application/vnd.microsoft.iothub.json"
        else:
            ids = [name]
            body = json.dumps({"id": name, "padding": padding})
            kind = "application/json"
        answer = ask(link, "POST", path, body, {"Content-Type": kind})
        if number == 0:
            first_answers.release()
        if answer is None:
            return
        if answer[0] != 204:
            note("refused", {"ids": ids, "status": answer[0], "body": answer[1].decode("utf-8", "replace")})
            return
        note("sent", ids)


def text(value):
    return len(value.encode()).to_bytes(2, "big") + value.encode()


def packet(first, body):
    length, rest = bytearray(), len(body)
    while True:
        rest, low = divmod(rest, 128)
        length.append(low | (128 if rest else 0))
        if not rest:
            return bytes([first]) + bytes(length) + body


def exactly(link, count):
    got = b""
    while len(got) < count:
        part = link.recv(count - len(got))
        if not part:
            raise OSError("the end")
        got += part
    return got


def publish(publisher):
    """Publishes at least-once over MQTT, eight messages ahead of their acknowledgements."""
    device = publisher["device"]
    context = ssl.create_default_context(cafile=plan["root"])
    context.load_cert_chain(publisher["certificate"], publisher["key"])
    padding = "." * plan["padding"]
    waiting = collections.deque()
    try:
        raw = socket.create_connection(plan["mqtt"], timeout=30)
        link = context.wrap_socket(raw, server_hostname=plan["hub"])
        user = f"{plan['hub']}/{device}/?api-version=2021-04-12"
        link.sendall(packet(0x10, text("MQTT") + b"\x04\x80\x00\x00" + text(device) + text(user)))
        answer = exactly(link, 4)
        if answer[:2] != b"\x20\x02" or answer[3]:
            note("refused", {"ids": [], "status": answer[3], "body": "CONNACK"})
            first_answers.release()
            return
        number = 0
        while number < plan["most"] or waiting:
            while number < plan["most"] and len(waiting) < 8:
                name = f"{plan['prefix']}/{device}/{number:06}"
                identifier = (number % 65535 + 1).to_bytes(2, "big")
                topic = text(f"devices/{device}/messages/events/%24.ct=application%2Fjson&%24.ce=utf-8")
                body = json.dumps({"id": name, "padding": padding}).encode()
                link.sendall(packet(0x32, topic + identifier + body))
                waiting.append((identifier, name))
                number += 1
            answer = exactly(link, 4)
            identifier, name = waiting.popleft()
            if answer != b"\x40\x02" + identifier:
                note("refused", {"ids": [name], "status": 0, "body": repr(answer)})
                return
            note("sent", [name])
            if name.endswith("/000000"):
                first_answers.release()
    except OSError as error:
        note("broken", repr(error))


def token(audience, key):
    audience = urllib.parse.quote(audience, safe="")
    expiry = int(time.time()) + 3600
    digest = hmac.new(base64.b64decode(key), f"{audience}\n{expiry}".encode(), hashlib.sha256).digest()
    signature = urllib.parse.quote(base64.b64encode(digest), safe="")
    return f"SharedAccessSignature sr={audience}&sig={signature}&se={expiry}&skn=registration"


def register(worker):
    link = connection(plan["global"])
    for number in range(plan["most"]):
        name = f"{plan['prefix']}-{worker}-{number:05}"
        key = hmac.new(base64.b64decode(plan["group_key"]), name.encode(), hashlib.sha256).digest()
        resource = f"{plan['scope']}/registrations/{name}"
        headers = {
            "Authorization": token(resource, base64.b64encode(key)),
            "Content-Type": "application/json",
        }
        body = json.dumps({"registrationId": name})
        answer = ask(link, "PUT", f"/{resource}/register?api-version=2021-06-01", body, headers)
        if number == 0:
            first_answers.release()
        if answer is None:
            return
        if answer[0] != 202:
            note("refused", {"ids": [name], "status": answer[0], "body": answer[1].decode("utf-8", "replace")})
            return
        operation = json.loads(answer[1])["operationId"]
        note("answered", [name, operation])
        answer = ask(link, "GET", f"/{resource}/operations/{operation}?api-version=2021-06-01", None, headers)
        if answer is None:
            return
        if answer[0] == 200 and json.loads(answer[1])["status"] == "assigned":
            note("assigned", name)


def guarded(work, argument):
    """A fault of this program is told, and keeps nobody waiting."""
    try:
        work(argument)
    except Exception as error:
        note("refused", {"ids": [], "status": 0, "body": repr(error)})
        first_answers.release()


threads = [threading.Thread(target=guarded, args=[send, sender]) for sender in plan["senders"]]
threads += [threading.Thread(target=guarded, args=[publish, publisher]) for publisher in plan["publishers"]]
threads += [threading.Thread(target=guarded, args=[register, worker]) for worker in range(plan["registrars"])]
for thread in threads:
    thread.start()
for _ in range(clients):
    first_answers.acquire()
print("started", flush=True)
for thread in threads:
    thread.join()
print(json.dumps(result), flush=True)
