//! Explained refusals, as an operator reads them from the server: who was refused, by which rule, and what mends it.
//!
//! A record holds no key and no signature; of a token only what it claimed.

use muster_model::refusal::{ExplainedRefusal, TokenClaims};
use muster_pki::{Certificate, Chain, Presented};
use serde::{Deserialize, Serialize};

use crate::body::{self, HUB_BODY};
use crate::error::Error;
use crate::time;

/// An explained refusal.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RefusalDocument {
    /// The attempt.
    pub tracking_id: String,
    /// When it was refused.
    pub at: String,
    /// The stable code of the cause.
    pub reason: String,
    /// One sentence that names the facts.
    pub sentence: String,
    /// What was tried, step by step.
    pub steps: Vec<String>,
    /// Commands that would mend it, the likeliest first.
    pub remedies: Vec<String>,
    /// What the caller spoke.
    pub protocol: String,
    /// Where the caller was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What was being done.
    pub action: String,
    /// The hub, the provisioning service or the id scope.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The device id that was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The registration id that was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration: Option<String>,
    /// The certificates as they came, leaf first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<PresentedDocument>,
    /// What the token claimed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenDocument>,
}

/// A certificate as it came.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PresentedDocument {
    /// The subject; empty where the bytes could not be read.
    pub subject: String,
    /// The issuer.
    pub issuer: String,
    /// SHA-1, 40 upper-case hex digits.
    pub sha1: String,
    /// SHA-256, 64 upper-case hex digits.
    pub sha256: String,
    /// The first second of validity.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub not_before: String,
    /// The last second of validity.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub not_after: String,
    /// The certificate.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pem: String,
    /// Why the bytes could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

/// What a token claimed.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TokenDocument {
    /// The resource that it was made for.
    pub resource: String,
    /// When it ends.
    pub expiry: String,
    /// The policy that it names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

/// A list of refusals, newest first.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct RefusalList {
    /// The items.
    pub value: Vec<RefusalDocument>,
}

impl From<&ExplainedRefusal> for RefusalDocument {
    fn from(explained: &ExplainedRefusal) -> Self {
        let facts = &explained.refusal;
        Self {
            tracking_id: facts.tracking.to_string(),
            at: time::iso(facts.at),
            reason: explained.explanation.reason.as_str().to_owned(),
            sentence: explained.explanation.sentence.clone(),
            steps: explained.explanation.steps.clone(),
            remedies: explained.explanation.remedies.clone(),
            protocol: facts.protocol.as_str().to_owned(),
            address: facts.address.map(|address| address.to_string()),
            action: facts.action.to_owned(),
            target: facts.target.clone(),
            device: facts.device.clone(),
            registration: facts.registration.clone(),
            chain: facts.chain.as_ref().map(shown_chain).unwrap_or_default(),
            token: facts.token.as_ref().map(TokenDocument::from),
        }
    }
}

impl RefusalDocument {
    /// Writes the body.
    pub fn to_json(&self) -> String {
        body::write(self)
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// [`Error::Json`], [`Error::Type`].
    pub fn read(body: &[u8]) -> Result<Self, Error> {
        body::read(body, HUB_BODY)
    }
}

impl RefusalList {
    /// Makes the list of what was found.
    pub fn of<'a>(found: impl IntoIterator<Item = &'a ExplainedRefusal>) -> Self {
        Self {
            value: found.into_iter().map(RefusalDocument::from).collect(),
        }
    }

    /// Writes the body.
    pub fn to_json(&self) -> String {
        body::write(self)
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// [`Error::Json`], [`Error::Type`].
    pub fn read(body: &[u8]) -> Result<Self, Error> {
        body::read(body, HUB_BODY)
    }
}

impl From<&TokenClaims> for TokenDocument {
    fn from(claims: &TokenClaims) -> Self {
        Self {
            resource: claims.resource.clone(),
            expiry: time::iso_seconds(claims.expiry),
            policy: claims.policy.clone(),
        }
    }
}

impl From<&Certificate> for PresentedDocument {
    fn from(certificate: &Certificate) -> Self {
        Self {
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            sha1: certificate.sha1().to_string(),
            sha256: certificate.sha256().to_string(),
            not_before: time::iso_pki(certificate.not_before()),
            not_after: time::iso_pki(certificate.not_after()),
            pem: certificate.pem(),
            unreadable: None,
        }
    }
}

fn shown_chain(chain: &Chain) -> Vec<PresentedDocument> {
    chain
        .presented()
        .iter()
        .map(|one| match one {
            Presented::Certificate(certificate) => PresentedDocument::from(certificate),
            Presented::Unreadable { der, error } => PresentedDocument {
                sha1: muster_pki::Thumbprint::sha1(der).to_string(),
                sha256: muster_pki::Sha256::of(der).to_string(),
                unreadable: Some(error.to_string()),
                ..PresentedDocument::default()
            },
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use muster_model::refusal::{Explanation, Protocol, Refusal};
    use muster_model::{ReasonCode, TrackingId, Wall};
    use proptest::prelude::*;

    use super::*;

    const PEM: &str = include_str!("../tests/data/openssl-self-signed.pem");

    fn refusal(chain: Option<Chain>) -> ExplainedRefusal {
        ExplainedRefusal {
            refusal: Refusal {
                tracking: TrackingId::from_bytes([7; 16]),
                at: Wall::from_seconds(0x630a_5a0f),
                reason: ReasonCode::AnchorUnknown,
                protocol: Protocol::Https,
                address: Some("[::1]:4711".parse().unwrap()),
                action: "register",
                target: Some("0ne00000012".into()),
                device: None,
                registration: Some("dev1".into()),
                chain,
                token: Some(TokenClaims {
                    resource: "a/registrations/b".into(),
                    expiry: Wall::from_seconds(0x630a_5a0f),
                    policy: None,
                }),
            },
            explanation: Explanation {
                reason: ReasonCode::ChainIncomplete,
                sentence: "one certificate is missing".into(),
                steps: vec!["looked at it".into()],
                remedies: vec!["muster cert show".into()],
            },
        }
    }

    #[test]
    fn a_refusal_reads_back_with_the_more_exact_reason() {
        let leaf = Certificate::from_text(PEM.as_bytes()).unwrap();
        let chain = Chain::from_ders([leaf.der(), b"no certificate".as_slice()]).unwrap();
        let shown = RefusalDocument::from(&refusal(Some(chain)));
        assert_eq!(shown.reason, "chain-incomplete");
        assert_eq!(shown.tracking_id, "07070707-0707-0707-0707-070707070707");
        assert_eq!(shown.at, "2022-08-27T17:53:19.0000000Z");
        assert_eq!(shown.chain[0].subject, "CN=device, OU=test, O=Contoso, C=US");
        assert_eq!(shown.chain[0].pem, leaf.pem());
        assert!(shown.chain[1].unreadable.is_some());
        assert_eq!(RefusalDocument::read(shown.to_json().as_bytes()).unwrap(), shown);
        let list = RefusalList::of([&refusal(None)]);
        assert_eq!(RefusalList::read(list.to_json().as_bytes()).unwrap(), list);
        assert!(!list.to_json().contains("\"chain\""));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = RefusalList::read(&body);
        }
    }
}
