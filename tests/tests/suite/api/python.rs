//! The same APIs by Python's `requests`: another TLS library's view, another HTTP library's habits.

use muster_tests::python;

use crate::stage::Stage;

/// Walks from an enrollment to telemetry and back, over one kept-alive session. Names are resolved by the program itself,
/// since the machine's resolver knows none of them.
const PROGRAM: &str = r#"
import base64, hashlib, hmac, json, socket, sys, time, urllib.parse
import requests

port, root, operator = int(sys.argv[1]), sys.argv[2], sys.argv[3]
asked = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: asked('127.0.0.1', port, *rest[1:], **more)
session = requests.Session()
session.verify = root
session.trust_env = False

def token(resource, key, policy=None):
    resource, end = urllib.parse.quote(resource, safe=''), int(time.time()) + 3600
    mac = hmac.new(base64.b64decode(key), f'{resource}\n{end}'.encode(), hashlib.sha256).digest()
    text = 'SharedAccessSignature ' + urllib.parse.urlencode({'sr': urllib.parse.unquote(resource), 'sig': base64.b64encode(mac), 'se': end})
    return text + (f'&skn={policy}' if policy else '')

bearer = {'Authorization': 'Bearer ' + operator}
arm = {'api-version': '2022-02-05'}
subscription = session.get('https://localhost/subscriptions', params=arm, headers=bearer).json()['value'][0]['subscriptionId']
base = f'https://localhost/subscriptions/{subscription}/resourceGroups/muster/providers/Microsoft.Devices'
service = session.get(f'{base}/provisioningServices/muster-dps', params=arm, headers=bearer).json()
hub = session.get(f'{base}/IotHubs/muster-hub', params=arm, headers=bearer).json()
dps_host, hub_host = service['properties']['serviceOperationsHostName'], hub['properties']['hostName']
scope, host = service['properties']['idScope'], service['properties']['deviceProvisioningHostName']
rule = session.post(f'{base}/provisioningServices/muster-dps/keys/provisioningserviceowner/listkeys', params=arm, headers=bearer)
assert rule.status_code == 200, rule.text
dps = {'Authorization': token(dps_host, rule.json()['primaryKey'], 'provisioningserviceowner')}
rule = session.post(f'{base}/IotHubs/muster-hub/IotHubKeys/iothubowner/listkeys', params=arm, headers=bearer)
owner = {'Authorization': token(hub_host, rule.json()['primaryKey'], 'iothubowner')}

made = session.put(f'https://{dps_host}/enrollments/sensor%3A1', params={'api-version': '2021-10-01'}, headers=dps,
    json={'registrationId': 'sensor:1', 'deviceId': 'sensor-1', 'attestation': {'type': 'symmetricKey'}})
assert made.status_code == 200, made.text
key = made.json()['attestation']['symmetricKey']['primaryKey']
device = {'Authorization': token(f'{scope}/registrations/sensor:1', key, 'registration')}
version = {'api-version': '2021-06-01'}
url = f'https://{host}/{scope}/registrations/sensor%3A1'
begun = session.put(f'{url}/register', params=version, headers=device, json={'registrationId': 'sensor:1'})
assert begun.status_code == 202 and begun.headers['Retry-After'] == '3', begun.text
operation = begun.json()['operationId']
state = session.get(f'{url}/operations/{operation}', params=version, headers=device)
assert state.status_code == 200 and state.json()['status'] == 'assigned', state.text
assert state.json()['registrationState']['assignedHub'] == hub_host, state.text
assert state.json()['registrationState']['deviceId'] == 'sensor-1', state.text

identity = session.get(f'https://{hub_host}/devices/sensor-1', params={'api-version': '2021-04-12'}, headers=owner)
assert identity.status_code == 200 and identity.headers['ETag'] == '"' + identity.json()['etag'] + '"', identity.text
own = {'Authorization': token(f'{hub_host}/devices/sensor-1', key)}
events = f'https://{hub_host}/devices/sensor-1/messages/events'
def parts():
    yield b'{"n": '
    yield b'1}'
sent = session.post(events, params={'api-version': '2020-03-13'}, headers=own, data=parts())
assert sent.status_code == 204 and sent.content == b'', sent.text
batch = [{'body': base64.b64encode(b'{"n": 2}').decode(), 'properties': {'iothub-app-alert': 'true'}}, {'body': 'three', 'base64Encoded': False}]
sent = session.post(events, params={'api-version': '2020-03-13'}, data=json.dumps(batch),
    headers={**own, 'Content-Type': 'application/vnd.microsoft.iothub.json'})
assert sent.status_code == 204, sent.text
read = session.get('https://localhost/muster/hubs/muster-hub/events', params={'from': 'earliest'}, headers=bearer)
found = [json.loads(line) for line in read.text.splitlines()]
assert [one['body'] for one in found] == ['{"n": 1}', '{"n": 2}', 'three'], read.text
assert 'true' in json.dumps(found[1]), read.text
refused = session.get(f'https://{dps_host}/enrollments/absent', params={'api-version': '2021-10-01'}, headers=dps)
assert refused.status_code == 404 and refused.json()['errorCode'] == 404201, refused.text
gone = session.delete(f'https://{dps_host}/enrollments/sensor%3A1', params={'api-version': '2021-10-01'}, headers=dps)
assert gone.status_code == 204, gone.text
print('walked')
"#;

#[test]
fn requests_walks_the_whole_way() {
    let stage = Stage::new();
    let port = stage.server.https().port().to_string();
    let root = stage.server.root().display().to_string();
    let ended = python(
        stage.folder(),
        PROGRAM,
        &[&port, &root, &stage.server.operator_token()],
    );
    assert_eq!(ended.succeeded("the program"), "walked\n");
}
