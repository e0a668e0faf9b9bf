#!/usr/bin/env bash
# Writes the fixture of a release: a data directory with something of everything, and what is to be read from it.
#
#   tests/upgrade/make.sh BINARY NAME
#
# BINARY is the `muster` whose forms are to be kept, NAME the folder under tests/upgrade, such as v1. Needs cc, curl, openssl
# and python3. All keys are made here, on P-256, and protect nothing.
set -euo pipefail
umask 077
here=$(realpath "$(dirname "$0")")
binary=$(realpath "$1")
target=$here/$2
test ! -e "$target" || { echo "$target is there already" >&2; exit 1; }
work=$(mktemp -d)
pid=
finish() {
    test -z "$pid" || kill -9 "$pid" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT
export MUSTER_DATA=$work/data
cc -shared -fPIC -O1 -o "$work/clock.so" "$here/clock.c"
mkdir -p "$work/material"
cd "$work/material"
hub=muster-hub.azure-devices.muster.localhost
global=global.azure-devices-provisioning.muster.localhost

# Everything from now on happens so many seconds later: a segment takes the messages of an hour.
later() {
    export LD_PRELOAD=$work/clock.so MUSTER_TEST_CLOCK=$1
}
start() {
    rm -f "$MUSTER_DATA/endpoints.json"
    "$binary" serve --port 0 --metrics-listen 127.0.0.1:0 >"$work/server.log" 2>&1 &
    pid=$!
    until test -s "$MUSTER_DATA/endpoints.json"; do kill -0 "$pid"; sleep 0.05; done
    https=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["https"])' "$MUSTER_DATA/endpoints.json")
}
stop() {
    kill -TERM "$pid"
    wait "$pid"
    pid=
}
iot() { "$binary" iot "$@" >/dev/null; }
ask() { curl --disable --silent --show-error --fail-with-body --cacert "$MUSTER_DATA/ca.pem" --connect-to "::$https" "$@"; }
field() { python3 -c 'import json, sys; print(json.load(sys.stdin)'"$1"')'; }
register() { # registration id, certificate, key
    ask -X PUT --cert "$2" --key "$3" -H 'Content-Type: application/json' -d "{\"registrationId\": \"$1\"}" \
        "https://$global/$scope/registrations/$1/register?api-version=2021-06-01" |
        field '["operationId"]' | sed "s|^|$1 $2 $3 |" >>registered
}
send() { # device, certificate, key, further arguments of curl
    ask --cert "$2" --key "$3" "${@:4}" "https://$hub/devices/$1/messages/events?api-version=2021-04-12"
}

start
scope=$("$binary" iot dps show --name muster-dps | field '["properties"]["idScope"]')

# Certificates: a chain with devices, and devices that sign themselves.
"$binary" cert chain --key p256 --days 7300 --device group-1 --device group-2 --device group-3 --device leaf-1 \
    --device hub-ca-1 --device later-1 >/dev/null
for name in self-1 self-2 hub-self-1; do
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 7300 -subj "/CN=$name" \
        -addext extendedKeyUsage=clientAuth -keyout "private/$name.key.pem" -out "certs/$name.cert.pem" 2>/dev/null
done
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 7300 -subj "/CN=another root" \
    -keyout private/another.key.pem -out certs/another.cert.pem 2>/dev/null
root=certs/azure-iot-test-only.root.ca.cert.pem
intermediate=certs/azure-iot-test-only.intermediate.cert.pem

# CA certificates: verified, not verified, and half-way to the proof.
for service in dps hub; do
    iot $service certificate create --certificate-name root --path "$root" --verified true
    "$binary" iot $service certificate create --certificate-name another --path certs/another.cert.pem >created
    iot $service certificate generate-verification-code --certificate-name another --etag "$(field '["etag"]' <created)"
done

# Hubs: a second one that is linked, one that was deleted with what it held.
iot hub create --name second-hub
iot dps linked-hub create --dps-name muster-dps --hub-name second-hub
iot hub create --name gone-hub
iot hub device-identity create --hub-name gone-hub --device-id gone-1
iot hub delete --name gone-hub
iot hub consumer-group create --hub-name muster-hub --name readers

# Devices of each kind.
thumbprint() { openssl x509 -noout -fingerprint "-$2" -in "certs/$1.cert.pem" | sed 's/.*=//; s/://g'; }
iot hub device-identity create --hub-name muster-hub --device-id by-key
iot hub device-identity create --hub-name muster-hub --device-id disabled-1 --status disabled --status-reason 'in repair'
iot hub device-identity create --hub-name muster-hub --device-id edge-1 --edge-enabled true
iot hub device-identity create --hub-name muster-hub --device-id hub-ca-1 --auth-method x509_ca
iot hub device-identity create --hub-name muster-hub --device-id hub-self-1 --auth-method x509_thumbprint \
    --primary-thumbprint "$(thumbprint hub-self-1 sha256)" --secondary-thumbprint "$(thumbprint self-2 sha1)"

# Enrollments of each kind.
static="--allocation-policy static --iot-hubs $hub"
iot dps enrollment create --enrollment-id self-1 --attestation-type x509 --certificate-path certs/self-1.cert.pem \
    --secondary-certificate-path certs/self-2.cert.pem --device-id self-1-of-the-hub $static \
    --initial-twin-tags '{"site": "north"}' --initial-twin-properties '{"interval": 30}'
iot dps enrollment create --enrollment-id leaf-1 --attestation-type x509 --certificate-path certs/leaf-1.cert.pem $static
iot dps enrollment create --enrollment-id key-1 --attestation-type symmetrickey
iot dps enrollment create --enrollment-id off-1 --attestation-type symmetrickey --provisioning-status disabled
iot dps enrollment-group create --enrollment-id by-intermediate --certificate-path "$intermediate" $static
iot dps enrollment-group create --enrollment-id by-ca --ca-name root --provisioning-status disabled
iot dps enrollment-group create --enrollment-id by-key

# Registrations, and a refusal.
for name in group-1 group-2 group-3 leaf-1; do
    register $name "certs/$name-full-chain.cert.pem" "private/$name.key.pem"
done
register self-1 certs/self-1.cert.pem private/self-1.key.pem
ask -X PUT --cert certs/self-2.cert.pem --key private/self-2.key.pem -H 'Content-Type: application/json' -d '{}' \
    "https://$global/$scope/registrations/self-2/register?api-version=2021-06-01" >refused || true
test "$(field '["errorCode"]' <refused)" = 401002

# Messages in several partitions: small ones, one with everything, one of bytes, a batch; then, in another segment, more.
messages() { # from, to
    for number in $(seq "$1" "$2"); do
        for name in group-1 group-2 group-3; do
            send $name certs/$name-full-chain.cert.pem private/$name.key.pem -H 'Content-Type: application/json' \
                -d "{\"id\": \"$name-$number\", \"temperature\": $number.5}"
        done
        send hub-self-1 certs/hub-self-1.cert.pem private/hub-self-1.key.pem -d "text of $number"
    done
}
messages 1 40
head -c 2000 /dev/urandom >bytes
send hub-ca-1 certs/hub-ca-1-full-chain.cert.pem private/hub-ca-1.key.pem --data-binary @bytes
send group-1 certs/group-1-full-chain.cert.pem private/group-1.key.pem -H 'IoTHub-MessageId: m-1' \
    -H 'IoTHub-CorrelationId: c-1' -H 'IoTHub-UserId: u-1' -H 'iothub-app-temperaturealert: true' \
    -H 'iothub-contenttype: application/json' -H 'iothub-contentencoding: utf-8' -d '{"everything": ["ü", 1, null]}'
send group-2 certs/group-2-full-chain.cert.pem private/group-2.key.pem \
    -H 'Content-Type: application/vnd.microsoft.iothub.json' \
    -d '[{"body": "Zmlyc3Q=", "properties": {"iothub-app-part": "1"}}, {"body": "second", "base64Encoded": false}]'
stop
later 7200
start
messages 41 50
stop

# What is to be read, asked of the server that wrote it. It runs anew, so that what it kept in memory is written.
start
cat >"$work/expect.py" <<'PYTHON'
import json
import subprocess
import sys

binary, scope = sys.argv[1:]
commands = [["iot"] + line.split() for line in """
hub list
hub show --name muster-hub
hub connection-string show --hub-name muster-hub
hub certificate list --hub-name muster-hub
hub consumer-group list --hub-name muster-hub
hub device-identity list --hub-name muster-hub
hub device-identity list --hub-name second-hub
dps list
dps show --name muster-dps
dps connection-string show --dps-name muster-dps
dps certificate list --dps-name muster-dps
dps linked-hub list --dps-name muster-dps
dps enrollment list
dps enrollment-group list
dps enrollment show --enrollment-id key-1 --show-keys
dps enrollment-group show --enrollment-id by-key --show-keys
dps enrollment registration show --enrollment-id self-1
dps enrollment registration show --enrollment-id leaf-1
dps enrollment-group registration list --enrollment-id by-intermediate
dps enrollment-group registration list --enrollment-id by-ca
""".strip().splitlines()]
refusal = json.load(open("refused"))["trackingId"]
commands.append(["explain", refusal, "-o", "json"])
answers = []
for command in commands:
    done = subprocess.run([binary, *command], capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"{command}: {done.stderr.decode()}")
    answers.append({"command": command, "answer": json.loads(done.stdout)})
registered = [dict(zip(["id", "certificate", "key", "operation"], line.split())) for line in open("registered")]
print(json.dumps({"idScope": scope, "registered": registered, "answers": answers}, indent=1))
PYTHON
mkdir -p "$work/out/material/certs" "$work/out/material/private"
python3 "$work/expect.py" "$binary" "$scope" >"$work/out/expected.json"
ask -H "Authorization: Bearer $(cat "$MUSTER_DATA/operator.token")" \
    "https://localhost/muster/hubs/muster-hub/events?from=earliest" >"$work/out/events.ndjson"
date +%s >"$work/out/written"
stop

# Room that was only set aside for messages to come is no part of a form.
python3 - "$MUSTER_DATA"/log/*.seg <<'PYTHON'
import os
import sys

for path in sys.argv[1:]:
    with open(path, "rb") as file:
        length = len(file.read().rstrip(b"\0"))
    os.truncate(path, (length + 15) // 16 * 16)
PYTHON
for name in group-1 group-2 group-3 leaf-1 hub-ca-1 later-1; do
    cp "certs/$name-full-chain.cert.pem" "$work/out/material/certs"
    cp "private/$name.key.pem" "$work/out/material/private"
done
for name in self-1 self-2 hub-self-1; do
    cp "certs/$name.cert.pem" "$work/out/material/certs"
    cp "private/$name.key.pem" "$work/out/material/private"
done
tar --create --gzip --file "$work/out/data.tar.gz" --numeric-owner --owner 0 --group 0 --directory "$work" data
cp -r "$work/out" "$target"
chmod -R u=rwX,go=rX "$target"
du -sh "$target"
