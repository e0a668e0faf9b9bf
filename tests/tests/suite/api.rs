//! The provisioning, registry and management APIs in the exact shapes that the vendor's clients insist on, by curl and by
//! a client that is not ours.

mod management;
mod provisioning;
mod python;
mod registry;

use muster_tests::{Answer, Curl, Server, sas_token};
use serde_json::Value;

use crate::stage::Stage;

const HUB: &str = "muster-hub.azure-devices.muster.localhost";
const DPS: &str = "muster-dps.azure-devices-provisioning.muster.localhost";
const HOUR: i64 = 3_600;
const JSON: &str = "application/json; charset=utf-8";

/// A back end at one host with one policy's token.
struct BackEnd<'a> {
    server: &'a Server,
    host: &'static str,
    version: &'static str,
    token: String,
}

impl<'a> BackEnd<'a> {
    fn at_hub(stage: &'a Stage) -> Self {
        let key = key(
            stage,
            "muster iot hub connection-string show --hub-name muster-hub",
        );
        let token = sas_token(HUB, &key, Some("iothubowner"), HOUR);
        Self {
            server: &stage.server,
            host: HUB,
            version: "2021-04-12",
            token,
        }
    }

    fn at_service(stage: &'a Stage) -> Self {
        let key = key(
            stage,
            "muster iot dps connection-string show --dps-name muster-dps",
        );
        let token = sas_token(DPS, &key, Some("provisioningserviceowner"), HOUR);
        Self {
            server: &stage.server,
            host: DPS,
            version: "2021-10-01",
            token,
        }
    }

    fn call(&self, verb: &str, path: &str) -> Curl {
        let mark = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{mark}api-version={}", self.version);
        self.server
            .curl_as(self.host, &path)
            .authorization(&self.token)
            .method(verb)
    }

    fn get(&self, path: &str) -> Answer {
        self.call("GET", path).send()
    }

    fn send(&self, verb: &str, path: &str, body: &Value, headers: &[&str]) -> Answer {
        let call = self.call(verb, path).json(body).method(verb);
        headers
            .iter()
            .fold(call, |call, header| call.header(header))
            .send()
    }

    fn delete(&self, path: &str, headers: &[&str]) -> Answer {
        headers
            .iter()
            .fold(self.call("DELETE", path), |call, header| call.header(header))
            .send()
    }
}

fn key(stage: &Stage, line: &str) -> String {
    let shown = stage.json(line);
    let text = shown["connectionString"].as_str().expect("a connection string");
    text.split("SharedAccessKey=").nth(1).expect("a key").to_owned()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name} in {value}"))
}

/// `Sat, 31 Dec 2039 23:59:59 GMT`
fn is_rfc_1123(value: &Value) -> bool {
    let Some(text) = value.as_str() else { return false };
    let parts: Vec<&str> = text.split(' ').collect();
    let [day, of_month, month, year, time, "GMT"] = parts.as_slice() else {
        return false;
    };
    day.len() == 4
        && day.ends_with(',')
        && of_month.len() == 2
        && "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"
            .split(' ')
            .any(|one| one == *month)
        && year.len() == 4
        && time.len() == 8
}

/// An ISO 8601 time of UTC, with a `Z`.
fn is_iso(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.len() >= 20 && text.ends_with('Z') && text.as_bytes().get(10) == Some(&b'T'))
}
