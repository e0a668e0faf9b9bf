//! Explanations of what this domain refuses: callers of management and of service endpoints, names that lead nowhere,
//! and handshakes that failed before anybody was named.
//!
//! A token's signature is not in a refusal, so it can't be computed again; what the token claimed is compared with what
//! is configured now.

use std::sync::Arc;

use async_trait::async_trait;
use muster_model::refusal::{Explanation, Refusal, TokenClaims};
use muster_model::{DpsName, HubName, IdScope, PolicyName, ReasonCode};

use crate::command::Command;
use crate::directory::Directory;
use crate::path_reason::presented_steps;
use crate::refusal_log::Explain;

/// Sends each refusal to the domain whose rules made it.
pub struct Routed {
    hub: Arc<dyn Explain>,
    provisioning: Arc<dyn Explain>,
    rest: Arc<dyn Explain>,
}

impl Routed {
    /// Puts the explainers of the domains together.
    pub const fn new(hub: Arc<dyn Explain>, provisioning: Arc<dyn Explain>, rest: Arc<dyn Explain>) -> Self {
        Self {
            hub,
            provisioning,
            rest,
        }
    }
}

#[async_trait]
impl Explain for Routed {
    async fn explain(&self, refusal: &Refusal) -> Explanation {
        let mut explanation = if is_about_the_form(refusal.reason) {
            // The caller was turned away before any rule of a domain was reached.
            self.rest.explain(refusal).await
        } else if refusal.registration.is_some() {
            self.provisioning.explain(refusal).await
        } else if refusal.device.is_some() {
            self.hub.explain(refusal).await
        } else {
            self.rest.explain(refusal).await
        };
        if explanation.remedies.is_empty() {
            explanation.steps.push(without_command(explanation.reason).into());
        }
        explanation
    }
}

/// Whether a reason lies in how the caller introduced itself, whoever it is.
const fn is_about_the_form(reason: ReasonCode) -> bool {
    matches!(
        reason,
        ReasonCode::ClientIdDiffers
            | ReasonCode::ModulesUnsupported
            | ReasonCode::ProtocolLevelUnsupported
            | ReasonCode::UserNameMalformed
            | ReasonCode::WillMisplaced
    )
}

/// Explains what this domain refuses.
pub struct Explainer {
    directory: Arc<Directory>,
}

/// A hub or a provisioning service that a refusal names, as a command names it.
enum Target {
    Dps(String, Vec<PolicyName>),
    Hub(String, Vec<PolicyName>),
}

impl Explainer {
    /// Makes the explainer that looks at `directory`.
    pub const fn new(directory: Arc<Directory>) -> Self {
        Self { directory }
    }

    fn target(&self, refusal: &Refusal) -> Option<Target> {
        let text = refusal.target.as_deref()?;
        let label = text.split('.').next().unwrap_or(text);
        if let Some(service) = IdScope::parse(text)
            .ok()
            .and_then(|scope| self.directory.service_by_scope(&scope))
            .or_else(|| self.directory.service(&DpsName::parse(label).ok()?))
        {
            let policies = service.policies.iter().map(|one| one.name.clone()).collect();
            return Some(Target::Dps(service.name.to_string(), policies));
        }
        let hub = self.directory.hub(&HubName::parse(label).ok()?)?;
        let policies = hub.policies.iter().map(|one| one.name.clone()).collect();
        Some(Target::Hub(hub.name.to_string(), policies))
    }

    /// Explains what went wrong with a token that a policy signed, or that should have been.
    fn token(&self, refusal: &Refusal, steps: &mut Vec<String>, remedies: &mut Vec<String>) -> String {
        let target = self.target(refusal);
        let claims = refusal.token.as_ref();
        if let Some(claims) = claims {
            steps.push(claimed(claims));
        }
        if let Some(target) = &target {
            steps.push(target.known_policies());
            remedies.push(target.show_connection_string());
        }
        let policy = claims
            .and_then(|claims| claims.policy.as_deref())
            .unwrap_or("(none)");
        let resource = claims.map_or("(unknown)", |claims| claims.resource.as_str());
        let at = refusal.target.as_deref().unwrap_or("this server");
        match refusal.reason {
            ReasonCode::AudienceWrong => {
                format!("The token was made for {resource}, which does not cover what was asked of {at}.")
            }
            ReasonCode::PolicyLacksRight => {
                format!(
                    "The policy {policy} of {at} lacks the right for \"{}\".",
                    refusal.action
                )
            }
            ReasonCode::PolicyUnknown => format!("{at} has no shared access policy named {policy}."),
            ReasonCode::TokenExpired => format!(
                "The token ended at {}, before the attempt at {}.",
                claims.map_or_else(
                    || "an unknown time".to_owned(),
                    |claims| claims.expiry.to_string()
                ),
                refusal.at
            ),
            ReasonCode::TokenMalformed => {
                "The Authorization header is not a SAS token with sr, sig and se.".to_owned()
            }
            _ => format!("The token was not signed with a current key of the policy {policy} of {at}."),
        }
    }

    fn unknown(&self, refusal: &Refusal, steps: &mut Vec<String>, remedies: &mut Vec<String>) -> String {
        let named = refusal.target.as_deref().unwrap_or("(none)");
        if refusal.reason == ReasonCode::ScopeUnknown {
            for service in self.directory.services().iter().take(SHOWN) {
                steps.push(format!(
                    "The id scope of {} is {}.",
                    service.name, service.id_scope
                ));
            }
            remedies.push(Command::new("muster iot dps list").into());
            return format!("No provisioning service of this server has the id scope {named}.");
        }
        for hub in self.directory.hubs().iter().take(SHOWN) {
            steps.push(format!("There is a hub {}.", hub.name));
        }
        let label = named.split('.').next().unwrap_or(named);
        if let Ok(name) = HubName::parse(label) {
            remedies.push(
                Command::new("muster iot hub create")
                    .flag("--name", name.as_str())
                    .into(),
            );
        }
        format!("This server has no hub named {named}.")
    }
}

/// Hubs or services that an explanation lists at most.
const SHOWN: usize = 10;

#[async_trait]
impl Explain for Explainer {
    async fn explain(&self, refusal: &Refusal) -> Explanation {
        let mut steps = refusal.chain.as_ref().map(presented_steps).unwrap_or_default();
        let mut remedies = Vec::new();
        let sentence = match refusal.reason {
            ReasonCode::AudienceWrong
            | ReasonCode::PolicyLacksRight
            | ReasonCode::PolicyUnknown
            | ReasonCode::TokenExpired
            | ReasonCode::TokenMalformed
            | ReasonCode::TokenSignatureWrong => self.token(refusal, &mut steps, &mut remedies),
            ReasonCode::HubUnknown | ReasonCode::ScopeUnknown => {
                self.unknown(refusal, &mut steps, &mut remedies)
            }
            ReasonCode::OperatorTokenWrong => {
                steps.push(
                    "The operator's token stands in the file operator.token of the data directory.".into(),
                );
                "The bearer token is not the operator's.".to_owned()
            }
            ReasonCode::NoCredential => {
                if let Some(target) = self.target(refusal) {
                    remedies.push(target.show_connection_string());
                }
                format!("\"{}\" was asked without a token.", refusal.action)
            }
            reason if is_about_the_form(reason) => form(refusal),
            reason => handshake(reason, &mut steps, &mut remedies),
        };
        Explanation {
            reason: refusal.reason,
            sentence,
            steps,
            remedies,
        }
    }
}

impl Target {
    fn known_policies(&self) -> String {
        let (Self::Dps(name, policies) | Self::Hub(name, policies)) = self;
        let names: Vec<&str> = policies.iter().map(PolicyName::as_str).collect();
        format!("The policies of {name} are {}.", names.join(", "))
    }

    fn show_connection_string(&self) -> String {
        match self {
            Self::Dps(name, _) => {
                Command::new("muster iot dps connection-string show").flag("--dps-name", name)
            }
            Self::Hub(name, _) => {
                Command::new("muster iot hub connection-string show").flag("--hub-name", name)
            }
        }
        .into()
    }
}

fn handshake(reason: ReasonCode, steps: &mut Vec<String>, remedies: &mut Vec<String>) -> String {
    match reason {
        ReasonCode::CertificateUnreadable => UNREADABLE.to_owned(),
        ReasonCode::ChainTooLong => format!(
            "The client sent more than {} certificates, or more than {} bytes of them.",
            muster_pki::MAX_CHAIN_CERTIFICATES,
            muster_pki::MAX_CHAIN_BYTES
        ),
        ReasonCode::HandshakeServerRefused => {
            steps.push(
                "A client trusts this server when it is given the root certificate that the remedy prints."
                    .into(),
            );
            remedies.push(Command::new("muster ca").into());
            "The client did not accept this server's certificate.".to_owned()
        }
        ReasonCode::HandshakeTimedOut => "The client did not finish the TLS handshake in time.".to_owned(),
        ReasonCode::ProofOfKeyWrong => {
            steps.push("The private key that the client uses belongs to another certificate.".into());
            "The client did not prove that it holds the private key of its certificate.".to_owned()
        }
        ReasonCode::UnsupportedAlgorithm => {
            "The client's key is of a kind that is not supported here.".to_owned()
        }
        ReasonCode::HandshakeFailed => "The TLS handshake failed before a session was there.".to_owned(),
        other => format!("The attempt was refused: {other}."),
    }
}

/// Explains how the caller introduced itself wrongly.
fn form(refusal: &Refusal) -> String {
    let id = refusal.registration.as_deref().or(refusal.device.as_deref());
    let id = id.unwrap_or("the device");
    match refusal.reason {
        ReasonCode::ClientIdDiffers => {
            format!(
                "The user name names {id}, and the client identifier is another one; both must be the same."
            )
        }
        ReasonCode::ModulesUnsupported => {
            format!("The client connects as a module of {id}, and this server offers no modules.")
        }
        ReasonCode::ProtocolLevelUnsupported => {
            "The client speaks a version of MQTT that is not offered; 3.1.1 is, which libraries call 4."
                .to_owned()
        }
        ReasonCode::UserNameMalformed => {
            "The user name is neither \"{hub}/{device}/?api-version={version}\" nor \
             \"{id scope}/registrations/{registration id}/api-version={version}\"."
                .to_owned()
        }
        ReasonCode::WillMisplaced => format!(
            "The will of {id} goes to another topic than devices/{id}/messages/events/, asks for delivery exactly once, or \
             holds a property that breaks its rule."
        ),
        other => format!("The attempt was refused: {other}."),
    }
}

/// Said of a leaf that is no certificate.
pub const UNREADABLE: &str = "The certificate that the client showed could not be read as one.";

/// Says what is to be done where nothing that an operator types here would do it.
const fn without_command(reason: ReasonCode) -> &'static str {
    match reason {
        ReasonCode::CertificateUnreadable => {
            "No command mends it here: the client has to show a certificate of X.509 version 1 to 3."
        }
        ReasonCode::ChainTooLong => {
            "No command mends it here: the client has to send its certificate and those on the way to the CA, no others."
        }
        ReasonCode::ClientIdDiffers
        | ReasonCode::ModulesUnsupported
        | ReasonCode::ProtocolLevelUnsupported
        | ReasonCode::UserNameMalformed
        | ReasonCode::WillMisplaced => {
            "No command mends it here: the settings of the client's MQTT library have to change."
        }
        ReasonCode::HandshakeFailed => {
            "No command mends it here: the client has to speak TLS 1.2 or 1.3 with a usual cipher suite."
        }
        ReasonCode::HandshakeTimedOut => {
            "No command mends it here: look for a client that opens connections and does not use them, or for a slow network."
        }
        ReasonCode::IssuerNotCa | ReasonCode::IssuerSignatureWrong => {
            "No command is printed that would admit a chain which looks forged: the device needs a certificate that a CA \
             issued."
        }
        ReasonCode::NoCredential => {
            "No command mends it here: the client has to show the certificate that it is known by, or send a token."
        }
        ReasonCode::OperatorTokenWrong => {
            "No command mends it here: the caller has to send what stands in operator.token of the data directory."
        }
        ReasonCode::ProofOfKeyWrong => {
            "No command mends it here: the client has to use the private key that belongs to its certificate."
        }
        ReasonCode::RegistrationIdInvalid => {
            "No command mends it here: the device has to register under an id that follows the rules."
        }
        ReasonCode::SasDisabled => {
            "No command mends it here: the device has to use a certificate, or the hub's disableDeviceSAS has to be set to \
             false by a PUT of the hub."
        }
        _ => "No command mends it here: what the caller sends has to change.",
    }
}

/// Says what a token claimed.
pub fn claimed(claims: &TokenClaims) -> String {
    let policy = claims
        .policy
        .as_ref()
        .map_or_else(|| "no policy".to_owned(), |name| format!("the policy {name}"));
    format!(
        "The token claims to be for {}, names {policy}, and ends at {}.",
        claims.resource, claims.expiry
    )
}
