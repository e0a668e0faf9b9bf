//! Every route of the binary's own table refuses the stranger, the wrong token and the policy without the right, with
//! the status that its surface documents. What anybody may call is a list here that may only shrink.

use std::collections::BTreeSet;

use muster_tests::{Answer, Credential, Server, sas_token};
use serde_json::{Value, json};

use crate::stage::Stage;

/// What answers without a credential. The list may only shrink.
const PUBLIC: &[&str] = &[
    "GET ca.pem",
    "GET healthz",
    "GET metadata/endpoints",
    "GET readyz",
];

const HUB: &str = "muster-hub.azure-devices.muster.localhost";
const DPS: &str = "muster-dps.azure-devices-provisioning.muster.localhost";
const GLOBAL: &str = "global.azure-devices-provisioning.muster.localhost";
const HOUR: i64 = 3_600;
/// A key that is nobody's.
const OTHER_KEY: &str = "bm90IGEga2V5IG9mIGFueWJvZHkgaW4gdGhpcyBzZXJ2ZXI=";
const DEVICE: &str = "device-01";

/// A route as `muster generate routes` prints it.
struct Route {
    surface: String,
    verb: String,
    pattern: String,
}

/// What a caller shows.
enum Shown<'a> {
    Nothing,
    Header(&'a str),
    Certificate(&'a Credential),
}

struct World {
    stage: Stage,
    subscription: String,
    scope: String,
    routes: Vec<Route>,
}

impl World {
    fn new() -> Self {
        let stage = Stage::new();
        let hub = stage.json("muster iot hub show --name muster-hub");
        let subscription = hub["id"]
            .as_str()
            .and_then(|id| id.split('/').nth(2))
            .expect("a subscription")
            .to_owned();
        let routes = stage
            .json("muster generate routes")
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| {
                let text = |name: &str| one[name].as_str().expect("a text").to_owned();
                Route {
                    surface: text("surface"),
                    verb: text("verb"),
                    pattern: text("pattern"),
                }
            })
            .collect();
        let scope = stage.id_scope();
        stage.json(&format!(
            "muster iot hub device-identity create --hub-name muster-hub --device-id {DEVICE}"
        ));
        Self {
            stage,
            subscription,
            scope,
            routes,
        }
    }

    fn server(&self) -> &Server {
        &self.stage.server
    }

    fn of<'a>(&'a self, surfaces: &'a [&str]) -> impl Iterator<Item = &'a Route> {
        self.routes
            .iter()
            .filter(move |route| surfaces.contains(&route.surface.as_str()))
    }

    /// Fills the parameters with what is there, so that nothing is refused for being absent.
    fn path(&self, route: &Route) -> String {
        let mut before = "";
        let mut path = String::new();
        for segment in route.pattern.split('/') {
            let filled = if segment == "{}" {
                match before {
                    "" => &self.scope,
                    "subscriptions" => &self.subscription,
                    "resourceGroups" => "muster",
                    "IotHubs" | "hubs" => "muster-hub",
                    "provisioningServices" => "muster-dps",
                    "ConsumerGroups" => "$Default",
                    "IotHubKeys" => "iothubowner",
                    "keys" => "provisioningserviceowner",
                    "operations" => "5.0123456789abcdef.00000000-0000-4000-8000-000000000000",
                    "refusals" => "00000000-0000-4000-8000-000000000000",
                    _ => DEVICE,
                }
            } else {
                segment
            };
            path.push('/');
            path.push_str(filled);
            before = segment;
        }
        path
    }

    fn call(&self, route: &Route, shown: &Shown<'_>) -> Answer {
        let (host, version) = match route.surface.as_str() {
            "DpsDevice" => (GLOBAL, "2021-06-01"),
            "DpsService" => (DPS, "2021-10-01"),
            "HubDevice" | "HubService" => (HUB, "2021-04-12"),
            _ => ("localhost", "2023-06-30"),
        };
        let path = format!("{}?api-version={version}", self.path(route));
        let mut curl = self.server().curl_as(host, &path);
        if matches!(route.verb.as_str(), "PUT" | "POST" | "PATCH") {
            curl = curl.json(&body(&route.pattern));
        }
        curl = match shown {
            Shown::Nothing => curl,
            Shown::Header(value) => curl.authorization(value),
            Shown::Certificate(one) => curl.client(&one.full_chain, &one.key),
        };
        curl.method(&route.verb).send()
    }

    /// Asserts that a caller is refused with a status, in the form of the surface.
    fn refused(&self, route: &Route, shown: &Shown<'_>, who: &str, status: u16) {
        let answer = self.call(route, shown);
        let call = format!("{} {} by {who}", route.verb, route.pattern);
        assert_eq!(
            answer.status,
            status,
            "{call}: {}",
            String::from_utf8_lossy(&answer.body)
        );
        assert!(
            answer.header("x-ms-request-id").is_some(),
            "{call}: no request id"
        );
        if route.verb == "HEAD" {
            return;
        }
        let body = answer.json();
        let form = match route.surface.as_str() {
            "DpsDevice" | "DpsService" => {
                body["errorCode"].as_u64().map(|code| code / 1_000) == Some(u64::from(status))
            }
            "HubDevice" | "HubService" => {
                body["Message"]
                    .as_str()
                    .is_some_and(|text| text.starts_with("ErrorCode:"))
                    && body["ExceptionMessage"]
                        .as_str()
                        .is_some_and(|text| text.starts_with("Tracking ID:"))
            }
            // Events of a hub are asked for by its back ends, who read the hub's form.
            "Own" if route.pattern.ends_with("/events") => {
                body["error"]["code"].is_string() || body["Message"].is_string()
            }
            _ => body["error"]["code"].is_string() && body["error"]["message"].is_string(),
        };
        assert!(form, "{call}: {body}");
    }

    /// Asserts that a caller gets past the door, whatever is said behind it.
    fn admitted(&self, route: &Route, shown: &Shown<'_>, who: &str) {
        let answer = self.call(route, shown);
        assert!(
            !matches!(answer.status, 401 | 403) && answer.status < 500,
            "{} {} by {who}: {} {}",
            route.verb,
            route.pattern,
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
    }

    /// The primary key of each policy of a hub.
    fn hub_policies(&self, hub: &str) -> Vec<(String, String, String)> {
        let path = format!("IotHubs/{hub}/listkeys");
        policies(&self.management("POST", &path, None))
    }

    fn management(&self, verb: &str, path: &str, body: Option<&Value>) -> Value {
        let path = format!(
            "/subscriptions/{}/resourceGroups/muster/providers/Microsoft.Devices/{path}?api-version=2022-02-05",
            self.subscription
        );
        let mut curl = self
            .server()
            .curl(&path)
            .authorization(&format!("Bearer {}", self.server().operator_token()));
        if let Some(body) = body {
            curl = curl.json(body);
        }
        let answer = curl.method(verb).send();
        assert!(
            answer.status < 300,
            "{path}: {} {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        answer.json()
    }
}

/// A body that the call takes, so that nobody is refused for it.
fn body(pattern: &str) -> Value {
    let key = json!({"type": "symmetricKey"});
    match pattern {
        "devices" => json!([{"id": "device-77", "importMode": "create"}]),
        "devices/{}" => json!({"deviceId": DEVICE}),
        "enrollmentGroups" => {
            json!({"mode": "create", "enrollmentGroups": [{"enrollmentGroupId": "device-77", "attestation": key}]})
        }
        "enrollmentGroups/{}" => json!({"enrollmentGroupId": DEVICE, "attestation": key}),
        "enrollments" => {
            json!({"mode": "create", "enrollments": [{"registrationId": "device-77", "attestation": key}]})
        }
        "enrollments/query" | "enrollmentGroups/query" | "registrations/{}/query" => {
            json!({"query": "SELECT *"})
        }
        "enrollments/{}" => json!({"registrationId": DEVICE, "attestation": key}),
        _ => json!({}),
    }
}

fn policies(list: &Value) -> Vec<(String, String, String)> {
    let text = |one: &Value, name: &str| one[name].as_str().expect("a text").to_owned();
    let list = list["value"].as_array().expect("a list");
    list.iter()
        .map(|one| (text(one, "keyName"), text(one, "primaryKey"), text(one, "rights")))
        .collect()
}

#[test]
fn only_the_listed_routes_are_public() {
    let world = World::new();
    let found: BTreeSet<String> = world
        .of(&["Public"])
        .map(|route| format!("{} {}", route.verb, route.pattern))
        .collect();
    let listed: BTreeSet<String> = PUBLIC.iter().map(|one| (*one).to_owned()).collect();
    assert_eq!(found, listed);
    for route in world.of(&["Public"]) {
        let _ = world.call(route, &Shown::Nothing).expect(200);
    }
}

#[test]
fn every_route_refuses_who_shows_nothing_or_a_certificate_that_is_nobodys() {
    let world = World::new();
    let folder = tempfile::tempdir().expect("a folder");
    let stranger = Credential::self_signed(folder.path(), DEVICE);
    let surfaces = ["Arm", "DpsDevice", "DpsService", "HubDevice", "HubService", "Own"];
    assert!(
        world.of(&surfaces).count() + PUBLIC.len() == world.routes.len(),
        "a surface is not walked over"
    );
    for route in world.of(&surfaces) {
        world.refused(route, &Shown::Nothing, "a stranger", 401);
        world.refused(
            route,
            &Shown::Certificate(&stranger),
            "a stranger with a certificate",
            401,
        );
    }
}

#[test]
fn every_route_refuses_a_wrong_token() {
    let world = World::new();
    world.stage.json("muster iot hub create --name plant-7");
    let owner = |hub: &str| {
        let found = world
            .hub_policies(hub)
            .into_iter()
            .find(|(name, ..)| name == "iothubowner")
            .expect("the owner");
        sas_token(
            &format!("{hub}.azure-devices.muster.localhost"),
            &found.1,
            Some("iothubowner"),
            HOUR,
        )
    };
    let operator = world.server().operator_token();
    let elsewhere = owner("plant-7");
    let here = owner("muster-hub");
    let forged_hub = sas_token(HUB, OTHER_KEY, Some("iothubowner"), HOUR);
    let forged_dps = sas_token(DPS, OTHER_KEY, Some("provisioningserviceowner"), HOUR);
    let forged_device = sas_token(
        &format!("{}/registrations/{DEVICE}", world.scope),
        OTHER_KEY,
        Some("registration"),
        HOUR,
    );
    let bearer = format!("Bearer {}x", &operator);
    let shorter = format!(
        "Bearer {}",
        operator.get(..operator.len() - 1).expect("a longer token")
    );
    let any = [
        "Bearer ",
        "Basic Og==",
        "SharedAccessSignature",
        "SharedAccessSignature sr=&sig=&se=",
        &bearer,
        &shorter,
    ];
    for route in world.of(&["Arm", "DpsDevice", "DpsService", "HubDevice", "HubService", "Own"]) {
        for value in any {
            world.refused(route, &Shown::Header(value), value, 401);
        }
        let tokens: &[&str] = match route.surface.as_str() {
            "DpsDevice" => &[&forged_device, &forged_dps, &here],
            "DpsService" => &[&forged_dps, &here],
            "HubDevice" | "HubService" => &[&forged_hub, &elsewhere],
            // Events of a hub are for its back ends too.
            "Own" if route.pattern.ends_with("/events") => &[&forged_hub, &elsewhere, &forged_dps],
            _ => &[&forged_hub, &here, &forged_dps],
        };
        for token in tokens {
            world.refused(route, &Shown::Header(token), token, 401);
        }
    }
    // The same routes open to who may: the walk did not only meet closed doors.
    let own = format!("Bearer {operator}");
    for route in world
        .of(&["Arm", "Own"])
        .filter(|route| matches!(route.verb.as_str(), "GET" | "HEAD"))
    {
        world.admitted(route, &Shown::Header(&own), "the operator");
    }
}

#[test]
fn every_route_of_a_hub_refuses_a_policy_without_the_right() {
    let world = World::new();
    // An identity of its own for each: the admitted calls change and delete.
    let policies = world.hub_policies("muster-hub");
    assert_eq!(policies.len(), 5, "{policies:?}");
    for route in world.of(&["HubDevice", "HubService", "Own"]) {
        let needed = match (route.surface.as_str(), route.verb.as_str()) {
            ("HubDevice", _) => "DeviceConnect",
            ("HubService", "GET") => "RegistryRead",
            ("HubService", _) => "RegistryWrite",
            _ if route.pattern.ends_with("/events") => "ServiceConnect",
            _ => "nothing that a policy grants",
        };
        for (name, key, rights) in &policies {
            let token = sas_token(HUB, key, Some(name), HOUR);
            let has = rights
                .split(", ")
                .any(|right| right == needed || (right == "RegistryWrite" && needed == "RegistryRead"));
            if has {
                world.admitted(route, &Shown::Header(&token), name);
            } else {
                // Our own call for events answers a known policy as management does.
                let status = if needed == "ServiceConnect" { 403 } else { 401 };
                world.refused(route, &Shown::Header(&token), name, status);
            }
        }
    }
}

#[test]
fn every_route_of_a_provisioning_service_refuses_a_policy_without_the_right() {
    const RIGHTS: &[&str] = &[
        "DeviceConnect",
        "EnrollmentRead",
        "EnrollmentWrite",
        "RegistrationStatusRead",
        "RegistrationStatusWrite",
        "ServiceConfig",
    ];
    let world = World::new();
    let mut service = world.management("GET", "provisioningServices/muster-dps", None);
    let single: Vec<Value> = RIGHTS
        .iter()
        .map(|right| json!({"keyName": format!("only{right}"), "rights": right}))
        .collect();
    service["properties"]["authorizationPolicies"] = Value::Array(single);
    world.management("PUT", "provisioningServices/muster-dps", Some(&service));
    let policies = policies(&world.management("POST", "provisioningServices/muster-dps/listkeys", None));
    assert_eq!(policies.len(), RIGHTS.len(), "{policies:?}");
    for route in world.of(&["DpsService"]) {
        let enough: &[&str] = match (route.verb.as_str(), route.pattern.as_str()) {
            ("GET", "registrations/{}") | ("POST", "registrations/{}/query") => {
                // Writing includes reading, as in a hub's registry.
                &[
                    "RegistrationStatusRead",
                    "RegistrationStatusWrite",
                    "EnrollmentWrite",
                ]
            }
            ("DELETE", "registrations/{}") => &["RegistrationStatusWrite", "EnrollmentWrite"],
            ("GET", _) | ("POST", "enrollments/query" | "enrollmentGroups/query") => {
                &["EnrollmentRead", "EnrollmentWrite"]
            }
            _ => &["EnrollmentWrite"],
        };
        for (name, key, rights) in &policies {
            let token = sas_token(DPS, key, Some(name), HOUR);
            if enough.contains(&rights.as_str()) {
                world.admitted(route, &Shown::Header(&token), name);
            } else {
                world.refused(route, &Shown::Header(&token), name, 403);
            }
        }
    }
    // A device is nobody that a policy speaks for.
    let (_, key, _) = policies
        .iter()
        .find(|(_, _, rights)| rights == "EnrollmentWrite")
        .expect("the policy");
    for route in world.of(&["DpsDevice"]) {
        for audience in [DPS, &format!("{}/registrations/{DEVICE}", world.scope)] {
            let token = sas_token(audience, key, Some("onlyEnrollmentWrite"), HOUR);
            world.refused(route, &Shown::Header(&token), "a back end", 401);
        }
    }
}
