//! `muster demo`: the whole way from a CA certificate to telemetry, on a fresh server, with the commands that a user would
//! type. Every command that is printed is the command that is run; nothing reaches behind the public interfaces.

mod stage;

use std::path::PathBuf;

use clap::Args;
use muster_model::Clock;
use serde_json::Value;

use self::stage::Stage;
use super::serve::wait_for_signal;
use crate::cli::{Failure, Outcome, print};
use crate::serve;
use crate::server::clock::SystemClock;
use crate::server::config::Config;
use crate::server::data_dir::DataDir;

const GLOBAL: &str = "global.azure-devices-provisioning.muster.localhost";
const ROOT: &str = "certs/azure-iot-test-only.root.ca.cert.pem";
const INTERMEDIATE: &str = "certs/azure-iot-test-only.intermediate.cert.pem";
const GROUP_DEVICES: [&str; 4] = ["device-01", "device-02", "device-03", "device-04"];
const LONE_DEVICE: &str = "my-x509-device";
const STRANGER: &str = "device-66";
/// Messages that each device sends.
const ROUNDS: u32 = 2;

/// Shows the whole way from a CA certificate to telemetry on a fresh server.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  muster demo               shows the way, then stays up until Ctrl-C
  muster demo --exit        ends with 0 only if every step held")]
pub(crate) struct DemoArgs {
    /// Ends after the last step instead of staying up.
    #[arg(long)]
    exit: bool,
    /// Keeps the data here; a folder that goes away with the demo when left out.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The HTTPS port; a free one when left out.
    #[arg(long)]
    port: Option<u16>,
}

/// A device of the demo: how it proves who it is.
struct Device {
    id: &'static str,
    certificate: String,
    key: String,
}

pub(crate) fn run(args: &DemoArgs) -> Outcome {
    let temporary = tempfile::Builder::new().prefix("muster-demo-").tempdir()?;
    let base = match &args.data {
        Some(path) => {
            std::fs::create_dir_all(path)?;
            std::path::absolute(path)?
        }
        None => temporary.path().to_owned(),
    };
    let (data, work) = (DataDir::new(base.join("data")), base.join("work"));
    if work.exists() {
        return Err(Failure::new(format!(
            "{} holds an earlier demo; choose another folder",
            base.display()
        )));
    }
    std::fs::create_dir(&work)?;
    let mut config = Config::default();
    config.listen.https_port = args.port.unwrap_or(0);
    config.listen.mqtt_port = 0;
    config.listen.https_standard_port = false;
    config.listen.metrics = crate::server::config::MetricsListen::Off;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let running = runtime.block_on(serve::start(&data, &config))?;
    let address = running
        .story
        .https
        .first()
        .copied()
        .ok_or_else(|| Failure::new("no address was bound"))?;
    let mut stage = Stage::new(work, data.root().to_owned(), address)?;
    let walked = walk(&mut stage);
    let problems = stage.problems();
    let verdict = match (&walked, problems.len()) {
        (Err(failure), _) => format!("The way ended early: {failure}"),
        (Ok(()), 0) => "Every step held.".to_owned(),
        (Ok(()), _) => format!("These steps did not hold:\n  {}", problems.join("\n  ")),
    };
    print(&format!("\n{verdict}"))?;
    if !args.exit {
        print(&stage.farewell())?;
        runtime.block_on(wait_for_signal())?;
    }
    runtime.block_on(running.stop(&data));
    walked?;
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Failure::new("a step did not hold"))
    }
}

fn walk(stage: &mut Stage) -> Outcome {
    stage.opening()?;
    let scope = service(stage)?;
    chain(stage)?;
    prove_possession(stage)?;
    enroll(stage)?;
    let devices = devices();
    let mut hub = String::new();
    stage.step(&format!(
        "Five devices register with their certificates at {GLOBAL} and are assigned to a hub."
    ))?;
    for device in &devices {
        hub = register(stage, &scope, device)?;
    }
    telemetry(stage, &hub, &devices)?;
    stranger(stage, &scope)
}

fn devices() -> Vec<Device> {
    let mut devices: Vec<Device> = GROUP_DEVICES
        .iter()
        .map(|id| Device {
            id,
            certificate: format!("certs/{id}-full-chain.cert.pem"),
            key: format!("private/{id}.key.pem"),
        })
        .collect();
    devices.push(Device {
        id: LONE_DEVICE,
        certificate: "device-cert.pem:1234".into(),
        key: "device-key.pem".into(),
    });
    devices
}

fn service(stage: &mut Stage) -> Result<String, Failure> {
    stage.step(
        "The provisioning service that a first start makes, and the ID scope by which devices find it.",
    )?;
    let service = stage.muster_json(
        &["iot", "dps", "show", "--name", "muster-dps"],
        &["idScope", "deviceProvisioningHostName"],
    )?;
    let scope = service["properties"]["idScope"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    stage.check(
        scope.starts_with("0ne"),
        "the provisioning service has an ID scope",
    );
    Ok(scope)
}

fn chain(stage: &mut Stage) -> Outcome {
    stage.step(
        "A root, an intermediate, and four devices below them (P-256 here; RSA-4096 is the default).",
    )?;
    let mut words = vec!["cert", "chain", "--key", "p256"];
    for device in GROUP_DEVICES {
        words.extend(["--device", device]);
    }
    stage.muster(&words)?;
    Ok(())
}

fn prove_possession(stage: &mut Stage) -> Outcome {
    let certificate = ["--dps-name", "muster-dps", "--certificate-name", "demo-root"];
    stage.step("The root is uploaded. Nobody has shown yet that he holds its key: it is unverified.")?;
    let create = [
        &["iot", "dps", "certificate", "create"][..],
        &certificate,
        &["--path", ROOT],
    ]
    .concat();
    let created = stage.muster_json(&create, &["subject", "thumbprint", "isVerified", "etag"])?;
    stage.check(
        created["properties"]["isVerified"] == false,
        "an uploaded CA certificate is unverified",
    );
    let etag = text(&created["etag"]);
    stage.step("The service draws a code …")?;
    let generate = [
        &["iot", "dps", "certificate", "generate-verification-code"][..],
        &certificate,
        &["--etag", &etag],
    ]
    .concat();
    let coded = stage.muster_json(&generate, &["verificationCode", "etag"])?;
    let code = text(&coded["properties"]["verificationCode"]);
    stage.check(code.len() == 48, "a verification code has 48 digits");
    stage.step("… the holder of the root's key signs a certificate whose common name is the code …")?;
    stage.muster(&["cert", "verification", &code, "--key", "p256"])?;
    stage.step("… and the service takes it for proof.")?;
    let etag = text(&coded["etag"]);
    let verify = [
        &["iot", "dps", "certificate", "verify"][..],
        &certificate,
        &["--path", "certs/verification-code.cert.pem", "--etag", &etag],
    ]
    .concat();
    let verified = stage.muster_json(&verify, &["subject", "isVerified"])?;
    stage.check(
        verified["properties"]["isVerified"] == true,
        "the proof was taken",
    );
    Ok(())
}

fn enroll(stage: &mut Stage) -> Outcome {
    stage.step("Every device below the intermediate is enrolled at once, as a group.")?;
    let group = stage.muster_json(
        &[
            "iot",
            "dps",
            "enrollment-group",
            "create",
            "--dps-name",
            "muster-dps",
            "--enrollment-id",
            "demo-group",
            "--certificate-path",
            INTERMEDIATE,
        ],
        &["enrollmentGroupId", "subjectName", "provisioningStatus"],
    )?;
    stage.check(group["provisioningStatus"] == "enabled", "the group is enabled");
    stage.step("A fifth device signs for itself and is enrolled alone.")?;
    stage.muster(&["cert", "self-signed", LONE_DEVICE, "--key", "p256"])?;
    let enrollment = stage.muster_json(
        &[
            "iot",
            "dps",
            "enrollment",
            "create",
            "--dps-name",
            "muster-dps",
            "--enrollment-id",
            LONE_DEVICE,
            "--attestation-type",
            "x509",
            "--certificate-path",
            "device-cert.pem",
        ],
        &[
            "registrationId",
            "subjectName",
            "sha256Thumbprint",
            "provisioningStatus",
        ],
    )?;
    stage.check(
        enrollment["registrationId"] == LONE_DEVICE,
        "the device is enrolled",
    );
    Ok(())
}

fn register(stage: &mut Stage, scope: &str, device: &Device) -> Result<String, Failure> {
    let id = device.id;
    let base = format!("https://{GLOBAL}/{scope}/registrations/{id}");
    let body = format!("{{\"registrationId\": \"{id}\"}}");
    let answer = stage.curl(
        "PUT",
        Some((&device.certificate, &device.key)),
        &["Content-Type: application/json"],
        Some(&body),
        &format!("{base}/register?api-version=2021-06-01"),
    )?;
    stage.check(answer.status == 202, &format!("{id} registers"));
    let operation = text(&answer.json["operationId"]);
    let answer = stage.curl(
        "GET",
        Some((&device.certificate, &device.key)),
        &[],
        None,
        &format!("{base}/operations/{operation}?api-version=2021-06-01"),
    )?;
    stage.check(answer.json["status"] == "assigned", &format!("{id} is assigned"));
    Ok(text(&answer.json["registrationState"]["assignedHub"]))
}

fn telemetry(stage: &mut Stage, hub: &str, devices: &[Device]) -> Outcome {
    stage.step("Somebody listens to the hub while the devices send temperature and humidity.")?;
    let since = SystemClock::new().wall().millis().to_string();
    let wanted = devices.len() * usize::try_from(ROUNDS).unwrap_or(1);
    let count = wanted.to_string();
    let reader = stage.start(&[
        "iot",
        "hub",
        "monitor-events",
        "--hub-name",
        "muster-hub",
        "--properties",
        "app",
        "--enqueued-time",
        &since,
        "--message-count",
        &count,
        "--timeout",
        "30",
    ])?;
    for round in 0..ROUNDS {
        for (place, device) in (0_u32..).zip(devices) {
            let temperature = 24 + (round * 7 + place * 3) % 12;
            let humidity = 60 + (round * 5 + place * 4) % 20;
            let alert = format!("iothub-app-temperatureAlert: {}", temperature > 30);
            let body = format!("{{\"temperature\": {temperature}, \"humidity\": {humidity}}}");
            let answer = stage.curl(
                "POST",
                Some((&device.certificate, &device.key)),
                &["Content-Type: application/json", &alert],
                Some(&body),
                &format!(
                    "https://{hub}/devices/{}/messages/events?api-version=2020-03-13",
                    device.id
                ),
            )?;
            stage.check(
                answer.status == 204,
                &format!("{} sends: 204 means that the message is on disk", device.id),
            );
        }
    }
    stage.step("What the listener saw:")?;
    let seen = stage.finish(reader)?;
    for device in devices {
        let told = seen.matches(&format!("\"{}\"", device.id)).count();
        stage.check(
            told >= usize::try_from(ROUNDS).unwrap_or(1),
            &format!("messages of {} were read", device.id),
        );
    }
    // Names of headers reach a server without their case, and so do the properties that they carry.
    let alerts = seen.to_ascii_lowercase().matches("temperaturealert").count();
    stage.check(alerts == wanted, "every message carries temperatureAlert");
    Ok(())
}

fn stranger(stage: &mut Stage, scope: &str) -> Outcome {
    stage.step("A device below a root that nobody uploaded tries the same …")?;
    stage.muster(&[
        "cert", "chain", "--dir", "stranger", "--key", "p256", "--device", STRANGER,
    ])?;
    let certificate = format!("stranger/certs/{STRANGER}-full-chain.cert.pem");
    let key = format!("stranger/private/{STRANGER}.key.pem");
    let answer = stage.curl(
        "PUT",
        Some((&certificate, &key)),
        &["Content-Type: application/json"],
        Some(&format!("{{\"registrationId\": \"{STRANGER}\"}}")),
        &format!("https://{GLOBAL}/{scope}/registrations/{STRANGER}/register?api-version=2021-06-01"),
    )?;
    stage.check(answer.status == 401, "the stranger is refused");
    stage.check(
        answer.json["errorCode"] == 401_002,
        "the stranger is told Azure's code",
    );
    stage.step("… and this is why it was refused.")?;
    let tracking = text(&answer.json["trackingId"]);
    let explained = stage.explain(&tracking)?;
    stage.check(explained.contains("anchor-unknown"), "the refusal is explained");
    Ok(())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
