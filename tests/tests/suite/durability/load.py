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
  registrars how many connections register devices of the key group, each with its derived key
  group_key  key of the group, base64
  padding    bytes that each message carries besides its id
  most       requests of each sender and each registrar at most

Prints "started" once every connection has had an answer; then, when all have ended, one line of JSON. A connection ends
with the server, with its first refused request, or with its last request.
"""
import base64
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
clients = len(plan["senders"]) + plan["registrars"]
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
threads += [threading.Thread(target=guarded, args=[register, worker]) for worker in range(plan["registrars"])]
for thread in threads:
    thread.start()
for _ in range(clients):
    first_answers.acquire()
print("started", flush=True)
for thread in threads:
    thread.join()
print(json.dumps(result), flush=True)
