//! What each step must come to.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use muster_tests::Ended;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::cell::{Fate, Row, Sdk, Step, Transport};
use super::message::{Message, messages, model};
use super::place::{Device, Place, answer};
use super::reader::Event;
use crate::ground::HUB;

/// How a cell ended: as it must, or what was wrong.
pub(crate) type Verdict = Result<(), String>;

/// Runs the steps of a device's row.
pub(crate) fn device(place: &Place, row: Row) -> Vec<(Step, Verdict)> {
    let running: Vec<Step> = row
        .steps()
        .iter()
        .copied()
        // All devices outlive one restart together.
        .filter(|step| row.fate(*step) == Fate::Runs && *step != Step::Outlive)
        .collect();
    if running.is_empty() {
        return Vec::new();
    }
    let device = place.device(row);
    let mut registered = false;
    let mut verdicts = Vec::new();
    for step in running {
        if !registered && !matches!(step, Step::Provision | Step::ProvisionRefused) {
            place.register(&device);
            registered = true;
        }
        let verdict = match step {
            Step::Provision => provision(place, row, &device),
            Step::ProvisionRefused | Step::Refused => refused(place, row, step, &device),
            Step::Send | Step::Reconnect | Step::Takeover => sent(place, row, step, &device),
            Step::Manage | Step::Outlive | Step::Read => Err("no step of one device".to_owned()),
        };
        verdicts.push((step, verdict));
    }
    verdicts
}

/// Kills the server under the connected clients of all these rows and starts it again.
pub(crate) fn outlive(place: &mut Place, rows: &[Row]) -> Vec<((Row, Step), Verdict)> {
    let mut running = Vec::new();
    for row in rows.iter().filter(|row| row.fate(Step::Outlive) == Fate::Runs) {
        let device = place.device(*row);
        let before = events_of(place, &device).len();
        let messages = messages(*row, Step::Outlive);
        let mut wish = scenario(*row, "outlive", &device, &device.credential, &messages);
        wish["signal"] = json!(place.signal());
        let running_one = Running::start(place.command(row.sdk, &wish));
        running.push((*row, device, before, messages, running_one));
    }
    if running.is_empty() {
        return Vec::new();
    }
    for (.., program) in &mut running {
        program.wait_until_ready();
    }
    place.restart();
    fs::write(place.signal(), "").expect("to give the signal");
    running
        .into_iter()
        .map(|(row, device, before, messages, program)| {
            let verdict = done(&program.answer()).and_then(|_| {
                let events = events_of(place, &device).split_off(before);
                arrived(place, row, Step::Outlive, &device, &messages, &events)
            });
            ((row, Step::Outlive), verdict)
        })
        .collect()
}

/// A scenario's program that has something to say before it ends. It is ended with this value.
struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
    said: String,
}

impl Running {
    fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let lines = BufReader::new(child.stdout.take().expect("its output is piped"));
        Self {
            child,
            lines,
            said: String::new(),
        }
    }

    /// Reads until the program is ready, or has ended, which its answer will tell.
    fn wait_until_ready(&mut self) {
        while !self.said.contains("{\"ready\"") {
            let read = self.lines.read_line(&mut self.said);
            if !read.is_ok_and(|length| length > 0) {
                break;
            }
        }
    }

    /// Waits for the end.
    fn answer(mut self) -> Value {
        // What is not text is no answer.
        let _ = self.lines.read_to_string(&mut self.said);
        let mut stderr = String::new();
        if let Some(mut stream) = self.child.stderr.take() {
            let _ = stream.read_to_string(&mut stderr);
        }
        let status = self.child.wait().expect("to wait for the program");
        answer(Ended {
            code: status.code(),
            stdout: std::mem::take(&mut self.said),
            stderr,
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The signal goes on to the program itself; where both have ended, there is nobody to get it.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
            let _ = self.child.wait();
        }
    }
}

/// Runs the steps of a back end's row, after all devices.
pub(crate) fn back_end(place: &Place, row: Row) -> Vec<(Step, Verdict)> {
    row.steps()
        .iter()
        .copied()
        .filter(|step| row.fate(*step) == Fate::Runs)
        .map(|step| {
            let verdict = match step {
                Step::Manage => manage(place, row),
                Step::Read => read(place, row),
                Step::Refused => back_end_refused(place, row),
                _ => Err("no step of a back end".to_owned()),
            };
            (step, verdict)
        })
        .collect()
}

fn scenario(row: Row, step: &str, device: &Device, credential: &Value, messages: &[Message]) -> Value {
    json!({
        "step": step,
        "transport": row.transport.name(),
        "registration": device.registration,
        "device": device.id,
        "credential": credential,
        "messages": messages.iter().map(Message::wish).collect::<Vec<_>>(),
    })
}

fn provision(place: &Place, row: Row, device: &Device) -> Verdict {
    let wish = scenario(row, "provision", device, &device.credential, &[]);
    let done = done(&place.scenario(row.sdk, &wish))?;
    let wanted =
        json!({"status": "assigned", "hub": HUB, "device": device.id, "substatus": "initialAssignment"});
    equal("the registration", &done, &wanted)
}

/// Sends in one of the ways there are, and reads back what was sent: all of it, in order, nothing else.
fn sent(place: &Place, row: Row, step: Step, device: &Device) -> Verdict {
    let before = events_of(place, device).len();
    let messages = messages(row, step);
    let mut wish = scenario(row, step.name(), device, &device.credential, &messages);
    wish["model"] = json!(model(row, step));
    let done = done(&place.scenario(row.sdk, &wish))?;
    match step {
        Step::Reconnect => equal("connected between", &done["connectedBetween"], &json!(false))?,
        Step::Takeover => equal("the second stays", &done["secondConnected"], &json!(true))?,
        _ => {}
    }
    arrived(
        place,
        row,
        step,
        device,
        &messages,
        &events_of(place, device).split_off(before),
    )
}

/// Compares what was sent with what was read.
fn arrived(
    place: &Place,
    row: Row,
    step: Step,
    device: &Device,
    messages: &[Message],
    events: &[Event],
) -> Verdict {
    if events.len() != messages.len() {
        return Err(format!(
            "{} messages were acknowledged, {} read: {events:?}",
            messages.len(),
            events.len()
        ));
    }
    let generation = place.generation(&device.id);
    let differences: Vec<String> = messages
        .iter()
        .zip(events)
        .flat_map(|(message, event)| message.differences(event, row, step, &generation))
        .collect();
    if differences.is_empty() {
        Ok(())
    } else {
        Err(differences.join("; "))
    }
}

fn events_of(place: &Place, device: &Device) -> Vec<Event> {
    let mut events = place.events();
    events.retain(|event| event.device() == Some(&device.id));
    events
}

/// Tries a credential that is not the device's, and demands the SDK's own word for a wrong credential.
fn refused(place: &Place, row: Row, step: Step, device: &Device) -> Verdict {
    let way = if step == Step::ProvisionRefused {
        "provision"
    } else {
        "send"
    };
    let before = events_of(place, device).len();
    let wish = scenario(row, way, device, &device.wrong, &messages(row, step));
    let answer = place.scenario(row.sdk, &wish);
    if events_of(place, device).len() != before {
        return Err(format!("an event arrived: {answer}"));
    }
    words(&answer, refusal(row, step))
}

/// How a library says that a credential is wrong: the error's name, and a part of its text or causes.
fn refusal(row: Row, step: Step) -> (&'static str, &'static str) {
    // Over MQTT a token is judged with CONNECT, and CONNACK says no. A certificate that is no enrolled device's is let in,
    // so that the answer to the registration can say why it is refused.
    let answered = step == Step::ProvisionRefused && row.proof.is_x509();
    let over_mqtt = matches!(row.transport, Transport::Mqtt | Transport::MqttWs);
    match row.sdk {
        Sdk::EventsNode => ("MessagingError", "nauthorized"),
        Sdk::EventsPython => ("AuthenticationError", ""),
        Sdk::Mosquitto => ("Refused", "not authorised"),
        // azure-iot-provisioning-device-mqtt 1.8.1 hands on a refused CONNECT as its MQTT library words it.
        Sdk::NodeDevice if over_mqtt && step == Step::ProvisionRefused && !answered => {
            ("Error", "Not authorized")
        }
        Sdk::NodeDevice => ("UnauthorizedError", ""),
        Sdk::Paho if answered => ("Refused", "401: "),
        Sdk::Paho => ("Refused", "CONNACK: Not authorized"),
        // azure-iot-device 2.14.0 has no word of its own for a refused registration.
        Sdk::PythonDevice if answered => (
            "ClientError",
            "ServiceError: register request returned a service error status code 401",
        ),
        Sdk::PythonDevice => ("CredentialError", ""),
        Sdk::Registry => ("HttpOperationError", "Unauthorized"),
        Sdk::Rhea => ("amqp:unauthorized-access", ""),
    }
}

fn words(answer: &Value, (error, text): (&str, &str)) -> Verdict {
    let failed = &answer["failed"];
    if failed.is_null() {
        return Err(format!("not refused: {answer}"));
    }
    let said = format!("{} {}", failed["text"], failed["causes"]);
    if failed["error"] == error && said.contains(text) {
        return Ok(());
    }
    Err(format!("refused in other words than {error} {text:?}: {failed}"))
}

/// The registry's client, which says what it saw.
fn manage(place: &Place, row: Row) -> Verdict {
    let wish = json!({
        "step": "manage",
        "transport": row.transport.name(),
        "device": row.id(),
        "connectionString": place.connection_string(&[]),
    });
    let done = done(&place.scenario(row.sdk, &wish))?;
    let wanted = json!({
        "made": {"id": format!("{}-key", row.id()), "type": "sas", "key": true, "status": "enabled",
                 "state": "Disconnected", "generation": true, "etag": true},
        "thumbprint": {"type": "selfSigned", "primary": "A".repeat(40), "status": "disabled", "reason": "not yet"},
        "ca": {"type": "certificateAuthority"},
        "read": true,
        "listed": true,
        "changed": {"status": "disabled", "reason": "held", "key": true, "etag": true, "generation": true},
        "stale": 412,
        "again": 409,
        "wrongId": 400,
        "gone": 404,
        "statistics": true,
    });
    equal("what the registry showed", &done, &wanted)
}

/// An Event Hubs client, which must see the same events as the server's own lines show.
fn read(place: &Place, row: Row) -> Verdict {
    let lines = place.events();
    let wish = json!({
        "step": "read",
        "transport": row.transport.name(),
        "connectionString": place.connection_string(&["--default-eventhub"]),
        "count": lines.len(),
    });
    let done = done(&place.scenario(row.sdk, &wish))?;
    let mut events: Vec<Event> = done["events"]
        .as_array()
        .into_iter()
        .flatten()
        .map(Event::read)
        .collect();
    events.sort_by_key(|event| event.place);
    if events.len() != lines.len() {
        return Err(format!("{} events, {} read", lines.len(), events.len()));
    }
    let different = lines.iter().zip(&events).find(|(line, event)| {
        line.annotations != event.annotations
            || line.application != event.application
            || line.properties != event.properties
            || !line.body.agrees(&event.body)
    });
    match different {
        None => Ok(()),
        Some((line, event)) => Err(format!("kept {line:?}, read {event:?}")),
    }
}

fn back_end_refused(place: &Place, row: Row) -> Verdict {
    let (way, more): (&str, &[&str]) = if row.sdk == Sdk::Registry {
        ("manage", &[])
    } else {
        ("read", &["--default-eventhub"])
    };
    // Another key of the same length.
    let string = place.connection_string(more);
    let (head, key) = string.split_once("SharedAccessKey=").expect("a key");
    let (key, tail) = key
        .split_once(';')
        .map_or((key, String::new()), |(key, tail)| (key, format!(";{tail}")));
    let other: String = key
        .chars()
        .map(|c| if c.is_ascii_lowercase() { 'x' } else { c })
        .collect();
    let wish = json!({
        "step": way,
        "transport": row.transport.name(),
        "device": row.id(),
        "connectionString": format!("{head}SharedAccessKey={other}{tail}"),
        "count": 1,
    });
    words(&place.scenario(row.sdk, &wish), refusal(row, Step::Refused))
}

/// The facts of a scenario that must have gone well.
fn done(answer: &Value) -> Result<Value, String> {
    if answer["done"].is_object() {
        Ok(answer["done"].clone())
    } else {
        Err(format!("failed: {}", answer["failed"]))
    }
}

fn equal(what: &str, found: &Value, wanted: &Value) -> Verdict {
    if found == wanted {
        return Ok(());
    }
    if let (Some(found), Some(wanted)) = (found.as_object(), wanted.as_object()) {
        let different: Vec<String> = wanted
            .iter()
            .filter(|(name, value)| found.get(*name) != Some(value))
            .map(|(name, value)| {
                format!(
                    "{name}: {value}, found {}",
                    found.get(name).unwrap_or(&Value::Null)
                )
            })
            .collect();
        if !different.is_empty() {
            return Err(format!("{what}: {}", different.join("; ")));
        }
    }
    Err(format!("{what}: {wanted}, found {found}"))
}
