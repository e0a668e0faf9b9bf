//! What can go wrong between here and a server.

/// A call that brought no answer, or an answer that says no.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The certificate or key that was to be presented can't be used.
    #[error("the client certificate can't be used: {0}")]
    Identity(String),
    /// The name or address does not lead anywhere.
    #[error("can't connect to {host}: {source}")]
    Connect {
        /// The host and port that were tried.
        host: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The TLS handshake failed.
    #[error("TLS with {host} failed: {detail}")]
    Tls {
        /// The host and port that were tried.
        host: String,
        /// What the TLS library said.
        detail: String,
    },
    /// The connection broke during the call.
    #[error("the connection to {host} broke: {detail}")]
    Broken {
        /// The host and port of the connection.
        host: String,
        /// What the HTTP library said.
        detail: String,
    },
    /// The answer is larger than is read.
    #[error("the answer of {host} is larger than {limit} bytes")]
    TooLarge {
        /// The host and port of the connection.
        host: String,
        /// The bound, in bytes.
        limit: usize,
    },
    /// The call took longer than allowed.
    #[error("{host} did not answer within {seconds} s")]
    TimedOut {
        /// The host and port of the connection.
        host: String,
        /// The bound, in seconds.
        seconds: u64,
    },
    /// The server answered, and the answer says no.
    #[error("{}", refused(*.status, .code.as_deref(), .message, .tracking_id.as_deref()))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The code in the body, a number or a name.
        code: Option<String>,
        /// The sentence in the body, or the body itself where it is not of a known form.
        message: String,
        /// The tracking id, by which `muster explain` finds the record.
        tracking_id: Option<String>,
    },
    /// The server's CONNACK says no, and can't say why.
    #[error("{host} does not let {client} in: CONNACK {code}, {}", connack(*.code))]
    NotAccepted {
        /// The host and port of the connection.
        host: String,
        /// The client id: that of the device or the registration.
        client: String,
        /// The return code.
        code: u8,
    },
    /// What was named is not there, or nothing was named and there is more than one.
    #[error("{0}")]
    Target(String),
    /// The server answered with what the call does not give.
    #[error("the answer is not of the expected form: {0}")]
    Unexpected(String),
}

fn refused(status: u16, code: Option<&str>, message: &str, tracking_id: Option<&str>) -> String {
    let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
    let tracking = tracking_id
        .map(|id| format!("; tracking id {id}"))
        .unwrap_or_default();
    format!("refused with {status}{code}: {message}{tracking}")
}

/// What a return code of CONNACK means. Source: MQTT 3.1.1, section 3.2.2.3, and what hubs answer, read 2026-11.
const fn connack(code: u8) -> &'static str {
    match code {
        1 => "this version of MQTT is not spoken here",
        2 => "the client id is not taken",
        3 => "the server can't serve now",
        4 => "user name or password are malformed",
        5 => {
            "not authorized: the hub or the device is unknown or disabled, or its certificate or token does not fit"
        }
        _ => "for a reason that MQTT does not know",
    }
}
