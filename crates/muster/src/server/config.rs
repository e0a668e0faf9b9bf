//! Configuration: one file, every field with a default, all problems reported together.
//!
//! An empty file, or none, starts a safe and useful server on loopback. The command line overrides the file. Unknown
//! fields are errors.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The whole configuration.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// What the server is called.
    pub(crate) names: Names,
    /// Where it listens.
    pub(crate) listen: Listen,
    /// What it takes from one peer and from all.
    pub(crate) limits: Limits,
    /// Server certificates of your own, beside those that the server makes for itself.
    pub(crate) tls: Tls,
    /// How tokens are judged.
    pub(crate) tokens: Tokens,
    /// How long explained refusals are kept, and how many.
    pub(crate) refusals: Refusals,
    /// What is printed while it runs.
    pub(crate) output: Output,
}

/// What the server is called.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Names {
    /// The domain under which hubs and provisioning services stand: `{hub}.azure-devices.{domain}` and
    /// `{service}.azure-devices-provisioning.{domain}`. A later change makes a second root, which clients must
    /// fetch, and other names for every hub.
    pub(crate) domain: String,
    /// Whether the vendor's own names (`….azure-devices.net`, `….azure-devices-provisioning.net`) lead here too.
    #[expect(
        clippy::struct_field_names,
        reason = "the flag on the command line has this name"
    )]
    pub(crate) azure_names: bool,
    /// Further host names and addresses under which management and the default hub are reached.
    pub(crate) hosts: Vec<String>,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            domain: "muster.localhost".into(),
            azure_names: false,
            hosts: Vec::new(),
        }
    }
}

/// Where the server listens.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Listen {
    /// Addresses that every listener binds. Loopback unless widened.
    pub(crate) addresses: Vec<IpAddr>,
    /// The HTTPS port. 0 lets the system choose.
    pub(crate) https_port: u16,
    /// The MQTT port. 0 lets the system choose.
    pub(crate) mqtt_port: u16,
    /// Whether port 443 is tried too; a line says whether it could be bound.
    pub(crate) https_standard_port: bool,
    /// The address of plain HTTP for `/metrics`, `/healthz` and `/readyz`; `off` leaves it out.
    #[schemars(with = "String")]
    pub(crate) metrics: MetricsListen,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)],
            https_port: 8443,
            mqtt_port: 8883,
            https_standard_port: true,
            metrics: MetricsListen::At(SocketAddr::from((Ipv4Addr::LOCALHOST, 9600))),
        }
    }
}

/// Where metrics are served.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum MetricsListen {
    /// At this address.
    At(SocketAddr),
    /// Nowhere.
    Off,
}

impl FromStr for MetricsListen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        text.parse()
            .map(Self::At)
            .map_err(|_| format!("{text:?} is neither an address with a port nor \"off\""))
    }
}

impl fmt::Display for MetricsListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) => address.fmt(f),
            Self::Off => f.write_str("off"),
        }
    }
}

/// What the server takes from one peer and from all.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Limits {
    /// Most open connections.
    pub(crate) connections: usize,
    /// Most TLS handshakes at once, over all peers.
    pub(crate) handshakes: usize,
    /// Most TLS handshakes at once from one address.
    pub(crate) handshakes_per_address: usize,
    /// Time within which a TLS handshake must be done.
    #[schemars(with = "String")]
    pub(crate) handshake_time: Span,
    /// Time for which a connection may be idle, or take to send the head of a request.
    #[schemars(with = "String")]
    pub(crate) idle_time: Span,
    /// Time within which a body must be there.
    #[schemars(with = "String")]
    pub(crate) body_time: Span,
    /// Time that open requests get when the server stops.
    #[schemars(with = "String")]
    pub(crate) drain_time: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 100_000,
            handshakes: 1_024,
            handshakes_per_address: 512,
            handshake_time: Span::seconds(10),
            idle_time: Span::seconds(120),
            body_time: Span::seconds(30),
            drain_time: Span::seconds(10),
        }
    }
}

impl Limits {
    /// The limits as the listeners take them.
    pub(crate) fn of_net(&self) -> muster_net::Limits {
        let mut limits = muster_net::Limits::default();
        limits.max_connections = self.connections;
        limits.max_handshakes = self.handshakes;
        limits.max_handshakes_per_address = self.handshakes_per_address;
        limits.handshake_timeout = self.handshake_time.get();
        limits
    }
}

/// Server certificates of the operator's own, beside those that the server makes for itself.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Tls {
    /// Tables `[[tls.certificates]]`, each with absolute paths of PEM files: `certificate` (the server's certificate
    /// first, then each intermediate), `key` (its private key, without a pass phrase) and `ca` (what its clients
    /// trust; `ca.pem` in the data directory holds it too from then on). Shown to clients that ask for a name in it,
    /// `localhost` excepted; with `nameless = true` also to clients that name no server, as those do that connect by
    /// address. The files are read again within ten seconds when they change.
    pub(crate) certificates: Vec<OwnCertificate>,
}

/// A server certificate of the operator's own.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnCertificate {
    /// The server's certificate first, then each intermediate, in PEM.
    pub(crate) certificate: PathBuf,
    /// The private key, in PEM.
    pub(crate) key: PathBuf,
    /// What clients of this certificate trust, in PEM.
    pub(crate) ca: PathBuf,
    /// Whether it is shown to clients that name no server too.
    #[serde(default)]
    pub(crate) nameless: bool,
}

/// How tokens are judged.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Tokens {
    /// How long a SAS token is taken after its expiry, for clocks that differ.
    #[schemars(with = "String")]
    pub(crate) clock_skew: Span,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            clock_skew: Span::seconds(300),
        }
    }
}

/// How long explained refusals are kept, and how many.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Refusals {
    /// Age at which a record is dropped.
    #[schemars(with = "String")]
    pub(crate) keep: Span,
    /// Most records; the oldest go first.
    pub(crate) records: u64,
}

impl Default for Refusals {
    fn default() -> Self {
        Self {
            keep: Span::seconds(7 * 24 * 3600),
            records: 100_000,
        }
    }
}

/// What is printed while the server runs.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Output {
    /// The filter of the log, as `tracing` reads it.
    pub(crate) log: String,
    /// The form of the log.
    pub(crate) format: LogFormat,
}

impl Default for Output {
    fn default() -> Self {
        Self {
            log: "info".into(),
            format: LogFormat::Text,
        }
    }
}

/// The form of the log.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// One JSON object a line.
    Json,
    /// A line that people read.
    Text,
}

/// A span of time, written with its unit: `500ms`, `30s`, `5m`, `2h`, `7d`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span(Duration);

const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

impl Span {
    /// A span of whole seconds.
    pub(crate) const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The span as the standard library has it.
    pub(crate) const fn get(self) -> Duration {
        self.0
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a span of time such as 500ms, 30s, 5m, 2h or 7d");
        let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = text.split_at(split);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        Ok(Self(Duration::from_millis(
            number.checked_mul(*millis).ok_or_else(wrong)?,
        )))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let (unit, size) = UNITS
            .iter()
            .rev()
            .find(|(_, size)| millis > 0 && millis % size == 0)
            .unwrap_or(&("ms", 1));
        write!(f, "{}{unit}", millis / size)
    }
}

macro_rules! as_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }
    };
}

as_text!(MetricsListen);
as_text!(Span);

/// A configuration that can't be used: everything that is wrong with it.
#[derive(Debug, thiserror::Error)]
pub(crate) struct ConfigError {
    problems: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n"))
    }
}

impl Config {
    /// Reads a file; the default when no path is given.
    ///
    /// # Errors
    /// [`ConfigError`] with every problem that was found.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError {
            problems: vec![format!("{}: {error}", path.display())],
        })?;
        Self::parse(&text).map_err(|error| ConfigError {
            problems: error
                .problems
                .into_iter()
                .map(|p| format!("{}: {p}", path.display()))
                .collect(),
        })
    }

    /// Reads a text.
    ///
    /// # Errors
    /// [`ConfigError`] with every problem that was found.
    pub(crate) fn parse(text: &str) -> Result<Self, ConfigError> {
        // Each table is read by itself, so that a mistake in one does not hide those in another.
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| ConfigError {
            problems: vec![error.to_string()],
        })?;
        let mut problems = Vec::new();
        let mut config = Self::default();
        let known: BTreeSet<&str> =
            ["names", "listen", "limits", "tls", "tokens", "refusals", "output"].into();
        for (name, value) in table {
            let outcome = match name.as_str() {
                "names" => value.try_into().map(|part| config.names = part),
                "listen" => value.try_into().map(|part| config.listen = part),
                "limits" => value.try_into().map(|part| config.limits = part),
                "tls" => value.try_into().map(|part| config.tls = part),
                "tokens" => value.try_into().map(|part| config.tokens = part),
                "refusals" => value.try_into().map(|part| config.refusals = part),
                "output" => value.try_into().map(|part| config.output = part),
                _ => {
                    let known = known.iter().copied().collect::<Vec<_>>().join(", ");
                    problems.push(format!("{name}: no such table; there are {known}"));
                    continue;
                }
            };
            if let Err(error) = outcome {
                problems.push(format!("{name}: {}", error.message()));
            }
        }
        problems.extend(config.problems());
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError { problems })
        }
    }

    /// Everything that is wrong with the values, each with its path.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut check = |good: bool, problem: &str| {
            if !good {
                problems.push(problem.to_owned());
            }
        };
        check(
            is_domain(&self.names.domain),
            "names.domain: a domain of letters, digits, '-' and '.' is due",
        );
        for host in &self.names.hosts {
            check(
                is_domain(host) || host.parse::<IpAddr>().is_ok(),
                &format!("names.hosts: {host:?} is neither a host name nor an address"),
            );
        }
        check(
            !self.listen.addresses.is_empty(),
            "listen.addresses: at least one is due",
        );
        let l = &self.limits;
        for (name, value) in [
            ("connections", l.connections),
            ("handshakes", l.handshakes),
            ("handshakes_per_address", l.handshakes_per_address),
        ] {
            check(value > 0, &format!("limits.{name}: at least 1 is due"));
        }
        for (name, span) in [
            ("handshake_time", l.handshake_time),
            ("idle_time", l.idle_time),
            ("body_time", l.body_time),
        ] {
            check(
                !span.get().is_zero(),
                &format!("limits.{name}: more than nothing is due"),
            );
        }
        for own in &self.tls.certificates {
            for (name, path) in [
                ("certificate", &own.certificate),
                ("key", &own.key),
                ("ca", &own.ca),
            ] {
                check(
                    path.is_absolute(),
                    &format!(
                        "tls.certificates.{name}: {}: an absolute path is due",
                        path.display()
                    ),
                );
            }
        }
        check(
            self.tokens.clock_skew.get() <= Duration::from_hours(1),
            "tokens.clock_skew: an hour at most: it lengthens the life of every token",
        );
        check(self.refusals.records > 0, "refusals.records: at least 1 is due");
        problems
    }

    /// The configuration as a file would hold it.
    ///
    /// # Errors
    /// Never for values that were read; the library's signature allows it.
    pub(crate) fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string_pretty(self)
    }
}

/// The path of the configuration file in a data directory, read when no other is named.
pub(crate) fn default_path(data: &Path) -> PathBuf {
    data.join("muster.toml")
}

fn is_domain(text: &str) -> bool {
    (1..=200).contains(&text.len())
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(Config::parse("").unwrap(), Config::default());
        assert!(Config::default().problems().is_empty());
    }

    #[test]
    fn every_problem_is_reported_with_its_path() {
        let text = "[names]\ndomain = \"a b\"\n[limits]\nhandshake_time = \"soon\"\n[tokens]\nskew = \"1s\"\n[typo]\n";
        let error = Config::parse(text).unwrap_err().to_string();
        for expected in ["names.domain", "limits: ", "soon", "tokens: ", "skew", "typo"] {
            assert!(error.contains(expected), "{expected} is missing in:\n{error}");
        }
    }

    #[test]
    fn what_is_printed_can_be_read() {
        let mut config = Config::default();
        config.listen.metrics = MetricsListen::Off;
        config.limits.idle_time = "90s".parse().unwrap();
        assert_eq!(Config::parse(&config.to_toml().unwrap()).unwrap(), config);
    }

    #[test]
    fn spans_have_units() {
        assert_eq!("7d".parse::<Span>().unwrap().to_string(), "7d");
        assert_eq!("1500ms".parse::<Span>().unwrap().to_string(), "1500ms");
        for bad in [
            "",
            "7",
            "d",
            "7 d",
            "99999999999999999999d",
            "18446744073709551615d",
        ] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }
}
