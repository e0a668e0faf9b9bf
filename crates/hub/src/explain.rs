//! Explanations of what this domain refuses: the rules of [`crate::authenticator`] run again with a listener, beside
//! the path, on the facts that were kept.
//!
//! Rules are judged at the time of the refusal against the registry and the certificates as they stand now; when the
//! device would be admitted meanwhile, the explanation says so. A token's signature is not kept, so it is not computed
//! again.

mod remedies;

use std::sync::Arc;

use async_trait::async_trait;
use muster_model::estate::Hub;
use muster_model::identity::{Authentication, AuthenticationKind, DeviceIdentity, DeviceStatus};
use muster_model::refusal::{Explanation, Refusal};
use muster_model::{CertificateOwner, DeviceId, HubName, ReasonCode};
use muster_pki::verify::{Recorder, Silent};
use muster_pki::{Certificate, Chain};
use muster_resources::explain::{UNREADABLE, claimed};
use muster_resources::{Command, Directory, Explain, OwnerTrust, presented_steps, walk_steps};

use self::remedies::{CAUTION, by_thumbprint};
use crate::authenticator::{find_path, judge_leaf, judge_thumbprint};
use crate::ports::Store;

/// Explains why devices were refused.
pub struct Explainer {
    store: Arc<dyn Store>,
    directory: Arc<Directory>,
    general: muster_resources::Explainer,
}

/// What an explanation is put together from.
struct Findings {
    reason: ReasonCode,
    sentence: String,
    steps: Vec<String>,
    remedies: Vec<String>,
}

/// A device of a hub, as commands name it.
struct Subject<'a> {
    hub: &'a Hub,
    id: &'a DeviceId,
    identity: Option<&'a DeviceIdentity>,
}

impl Explainer {
    /// Makes the explainer over the registry in `store` and the CA certificates in `directory`.
    pub fn new(store: Arc<dyn Store>, directory: Arc<Directory>) -> Self {
        let general = muster_resources::Explainer::new(Arc::clone(&directory));
        Self {
            store,
            directory,
            general,
        }
    }

    fn hub(&self, refusal: &Refusal) -> Option<Arc<Hub>> {
        let text = refusal.target.as_deref()?;
        let label = text.split('.').next().unwrap_or(text);
        self.directory.hub(&HubName::parse(label).ok()?)
    }

    async fn findings(&self, refusal: &Refusal) -> Option<Findings> {
        let hub = self.hub(refusal)?;
        let id = DeviceId::parse(refusal.device.as_deref()?).ok()?;
        let mut steps = refusal.chain.as_ref().map(presented_steps).unwrap_or_default();
        steps.extend(refusal.token.as_ref().map(claimed));
        let identity = match self.store.device(hub.key, &id).await {
            Ok(identity) => identity,
            Err(error) => {
                steps.push(format!(
                    "The registry could not be read while explaining: {error}."
                ));
                return Some(Findings {
                    reason: refusal.reason,
                    sentence: format!(
                        "The device {id} of the hub {} was refused: {}.",
                        hub.name, refusal.reason
                    ),
                    steps,
                    remedies: Vec::new(),
                });
            }
        };
        let subject = Subject {
            hub: &hub,
            id: &id,
            identity: identity.as_ref(),
        };
        steps.push(subject.describe());
        let trust = self.directory.trust(CertificateOwner::Hub(hub.key));
        let mut findings = Findings {
            reason: refusal.reason,
            sentence: String::new(),
            steps,
            remedies: Vec::new(),
        };
        subject.judge(refusal, &trust, &mut findings);
        Some(findings)
    }
}

#[async_trait]
impl Explain for Explainer {
    async fn explain(&self, refusal: &Refusal) -> Explanation {
        match self.findings(refusal).await {
            Some(findings) => Explanation {
                reason: findings.reason,
                sentence: findings.sentence,
                steps: findings.steps,
                remedies: findings.remedies,
            },
            // The hub is unknown, or the id breaks its grammar: nothing of this domain was reached.
            None => self.general.explain(refusal).await,
        }
    }
}

impl Subject<'_> {
    fn describe(&self) -> String {
        let Some(identity) = self.identity else {
            return format!("The hub {} has no device {}.", self.hub.name, self.id);
        };
        let status = match identity.status {
            DeviceStatus::Disabled => "disabled",
            DeviceStatus::Enabled => "enabled",
        };
        format!(
            "The device {} of the hub {} is {status} and proves itself by {}.",
            self.id,
            self.hub.name,
            kind_in_words(identity.authentication.kind())
        )
    }

    /// Runs the rules again, in the order of the hot path.
    fn judge(&self, refusal: &Refusal, trust: &OwnerTrust, findings: &mut Findings) {
        match refusal.reason {
            ReasonCode::DeviceUnknown if self.identity.is_none() => self.unknown(refusal, trust, findings),
            ReasonCode::DeviceDisabled => self.disabled(findings),
            ReasonCode::SasDisabled => {
                findings.sentence = format!(
                    "Devices of the hub {} may not use tokens (disableDeviceSAS is set).",
                    self.hub.name
                );
            }
            ReasonCode::NoCredential => {
                findings.sentence =
                    format!("The device {} showed neither a certificate nor a token.", self.id);
                if self.has(AuthenticationKind::Sas) {
                    findings.remedies.push(self.connection_string());
                }
            }
            ReasonCode::WrongCredentialType => self.wrong_type(refusal, findings),
            ReasonCode::AudienceWrong
            | ReasonCode::PolicyLacksRight
            | ReasonCode::PolicyUnknown
            | ReasonCode::TokenExpired
            | ReasonCode::TokenMalformed
            | ReasonCode::TokenSignatureWrong => self.token(refusal, findings),
            _ => match &refusal.chain {
                Some(chain) => self.chain(refusal, chain, trust, findings),
                None if refusal.reason == ReasonCode::CertificateUnreadable => {
                    UNREADABLE.clone_into(&mut findings.sentence);
                }
                None => {
                    findings.sentence = format!(
                        "The device {} of the hub {} was refused: {}.",
                        self.id, self.hub.name, refusal.reason
                    );
                }
            },
        }
    }

    fn unknown(&self, refusal: &Refusal, trust: &OwnerTrust, findings: &mut Findings) {
        findings.sentence = format!("The hub {} has no device {}.", self.hub.name, self.id);
        let create = self.command("create");
        let create = match &refusal.chain {
            None => create,
            Some(chain) if find_path(chain, trust, refusal.at, &mut Silent).is_ok() => {
                create.flag("--auth-method", "x509_ca")
            }
            Some(chain) => {
                findings.steps.push(CAUTION.to_owned());
                by_thumbprint(create, chain.leaf())
            }
        };
        findings.remedies.push(create.into());
    }

    fn disabled(&self, findings: &mut Findings) {
        let why = self
            .identity
            .and_then(|identity| identity.status_reason.as_ref())
            .map_or_else(String::new, |reason| format!(" (\"{}\")", reason.as_str()));
        findings.sentence = format!(
            "The device {} of the hub {} is disabled{why}.",
            self.id, self.hub.name
        );
        findings
            .remedies
            .push(self.command("update").flag("--status", "enabled").into());
    }

    fn wrong_type(&self, refusal: &Refusal, findings: &mut Findings) {
        let kind = self.identity.map_or("nothing", |identity| {
            kind_in_words(identity.authentication.kind())
        });
        let shown = if refusal.token.is_some() {
            "a token of its own"
        } else {
            "a certificate"
        };
        findings.sentence = format!(
            "The device {} showed {shown}, and is registered to prove itself by {kind}.",
            self.id
        );
        match (&refusal.token, &refusal.chain) {
            (None, Some(chain)) => self.know_by_thumbprint(chain.leaf(), findings),
            (Some(_), _) => findings
                .steps
                .push("Without the token, the certificate of the TLS connection would be judged.".to_owned()),
            (None, None) => {}
        }
    }

    fn token(&self, refusal: &Refusal, findings: &mut Findings) {
        let claims = refusal.token.as_ref();
        let policy = claims
            .and_then(|claims| claims.policy.as_deref())
            .filter(|name| !name.is_empty());
        let signer = policy.map_or_else(
            || format!("the device {}", self.id),
            |name| format!("the policy {name} of the hub {}", self.hub.name),
        );
        findings.sentence = match refusal.reason {
            ReasonCode::AudienceWrong => format!(
                "The token was made for {}, which does not cover the device {} of the hub {}.",
                claims.map_or("something else", |claims| claims.resource.as_str()),
                self.id,
                self.hub.name
            ),
            ReasonCode::PolicyLacksRight => format!(
                "The token was signed by {signer}, which lacks the right for \"{}\".",
                refusal.action
            ),
            ReasonCode::PolicyUnknown => format!(
                "The hub {} has no shared access policy named {}.",
                self.hub.name,
                policy.unwrap_or("(none)")
            ),
            ReasonCode::TokenExpired => format!(
                "The token of {signer} ended at {}, before the attempt at {}.",
                claims.map_or_else(
                    || "an unknown time".to_owned(),
                    |claims| claims.expiry.to_string()
                ),
                refusal.at
            ),
            ReasonCode::TokenMalformed => {
                "The Authorization header is not a SAS token with sr, sig and se.".to_owned()
            }
            _ => format!("The token was not signed with a current key of {signer}."),
        };
        if policy.is_none() && self.has(AuthenticationKind::Sas) {
            findings.remedies.push(self.connection_string());
        } else {
            findings.remedies.push(
                Command::new("muster iot hub connection-string show")
                    .flag("--hub-name", self.hub.name.as_str())
                    .into(),
            );
        }
    }

    /// Judges the certificates again. The reason may come out more exact than on the hot path, or none may be left.
    fn chain(&self, refusal: &Refusal, chain: &Chain, trust: &OwnerTrust, findings: &mut Findings) {
        let Some(identity) = self.identity else {
            return self.unknown(refusal, trust, findings);
        };
        let judged = match &identity.authentication {
            Authentication::SelfSigned { primary, secondary } => {
                for (which, known) in [("primary", primary), ("secondary", secondary)] {
                    findings.steps.push(known.map_or_else(
                        || format!("The device has no {which} thumbprint."),
                        |known| format!("The {which} thumbprint of the device is {known}."),
                    ));
                }
                judge_thumbprint(identity, chain.leaf(), refusal.at)
            }
            Authentication::CertificateAuthority => {
                let mut recorder = Recorder::new();
                let path = find_path(chain, trust, refusal.at, &mut recorder);
                let judged = judge_leaf(self.id, chain.leaf()).and(path.map(|_| ()));
                findings.steps.extend(walk_steps(recorder.events(), trust));
                findings.steps.extend(self.anchors(trust));
                judged
            }
            Authentication::None | Authentication::Sas { .. } => Err(ReasonCode::WrongCredentialType),
        };
        match judged {
            Err(ReasonCode::WrongCredentialType) => self.wrong_type(refusal, findings),
            Err(reason) => {
                findings.reason = reason;
                self.explain_chain(refusal, chain, trust, findings);
            }
            Ok(()) => {
                findings.sentence = format!(
                    "The device {} was refused ({}), and would be admitted by what is configured now.",
                    self.id, refusal.reason
                );
            }
        }
    }

    fn explain_chain(&self, refusal: &Refusal, chain: &Chain, trust: &OwnerTrust, findings: &mut Findings) {
        let leaf = chain.leaf();
        let common_name = leaf.common_name().unwrap_or("(none)");
        findings.sentence = match findings.reason {
            ReasonCode::ThumbprintDiffers => format!(
                "The certificate {} with the SHA-256 thumbprint {} is not one that the device {} is known by.",
                leaf.subject(),
                leaf.sha256(),
                self.id
            ),
            ReasonCode::CommonNameMissing => format!(
                "The certificate of the device {} has no common name, and it should be the device id.",
                self.id
            ),
            ReasonCode::CommonNameDiffers => format!(
                "The certificate's common name is {common_name}, and the device is {}.",
                self.id
            ),
            ReasonCode::CommonNameDiffersInCase => format!(
                "The certificate's common name {common_name} differs from the device id {} in case, and on a hub \
                 case matters.",
                self.id
            ),
            ReasonCode::LeafIsCa => format!(
                "The certificate {} is a CA certificate, which can't stand for a device of type certificateAuthority.",
                leaf.subject()
            ),
            ReasonCode::Expired => format!(
                "The certificate {} expired at {}, before the attempt at {}.",
                leaf.subject(),
                leaf.not_after(),
                refusal.at
            ),
            ReasonCode::NotYetValid => format!(
                "The certificate {} is valid only from {}, {} s after the attempt at {}.",
                leaf.subject(),
                leaf.not_before(),
                leaf.not_before().seconds_since(refusal.at.to_pki()),
                refusal.at
            ),
            ReasonCode::AnchorNotVerified => format!(
                "The certificate {} leads to a CA certificate of the hub {} whose possession was never proved.",
                leaf.subject(),
                self.hub.name
            ),
            reason => path_sentence(reason, leaf, self.hub),
        };
        self.chain_remedies(refusal.at, chain, trust, findings);
    }

    /// Says what the hub trusts, so that a reader sees what could have been reached.
    fn anchors(&self, trust: &OwnerTrust) -> Vec<String> {
        let count = trust.len();
        let verified = trust.certificates().filter(|one| one.verified).count();
        let mut steps = vec![format!(
            "The hub {} has {count} CA certificates, {verified} of them verified.",
            self.hub.name
        )];
        steps.extend(trust.certificates().take(SHOWN).map(|one| {
            let state = if one.verified { "verified" } else { "not verified" };
            format!(
                "{} is {}, {state}, SHA-256 {}.",
                one.name,
                one.certificate.subject(),
                one.certificate.sha256()
            )
        }));
        steps
    }
}

/// CA certificates that an explanation lists at most.
const SHOWN: usize = 20;

fn path_sentence(reason: ReasonCode, leaf: &Certificate, hub: &Hub) -> String {
    let what = match reason {
        ReasonCode::AnchorUnknown => "ends in a root that is not one of its CA certificates",
        ReasonCode::ChainIncomplete => "ends at a certificate whose issuer was neither sent nor uploaded",
        ReasonCode::ChainTooLong => "has more certificates than a path may have",
        ReasonCode::IssuerExpired => "holds a certificate that has expired",
        ReasonCode::IssuerKeyUsage => "holds a certificate that may not sign certificates by its key usage",
        ReasonCode::IssuerNotCa => "holds a certificate that is not a CA's",
        ReasonCode::IssuerNotYetValid => "holds a certificate that is not valid yet",
        ReasonCode::IssuerSignatureWrong => "holds a signature that its issuer's key did not make",
        ReasonCode::PathLength => "is longer than one of its CA certificates allows",
        ReasonCode::TooManyCandidates => "has so many possible issuers that the search was given up",
        ReasonCode::UnsupportedAlgorithm => "uses an algorithm or an extension that is not known here",
        ReasonCode::WeakAlgorithm => "rests on a signature or a key that is too weak to count",
        _ => "does not count",
    };
    format!(
        "The chain of {} towards the CA certificates of the hub {} {what}.",
        leaf.subject(),
        hub.name
    )
}

const fn kind_in_words(kind: AuthenticationKind) -> &'static str {
    match kind {
        AuthenticationKind::CertificateAuthority => "a certificate of a CA (certificateAuthority)",
        AuthenticationKind::None => "nothing (none)",
        AuthenticationKind::Sas => "a symmetric key (sas)",
        AuthenticationKind::SelfSigned => "the thumbprint of its certificate (selfSigned)",
    }
}
