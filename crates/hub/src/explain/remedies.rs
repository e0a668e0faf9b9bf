//! The commands that would mend what an explanation found, each to be typed as it is.
//!
//! A command that would take a certificate at its word is printed with a caution, and none is printed for a chain that
//! looks forged.

use std::ops::ControlFlow;

use muster_model::identity::AuthenticationKind;
use muster_model::{DeviceId, ReasonCode, Wall};
use muster_pki::verify::{Budget, Silent, Walked, walk};
use muster_pki::{Certificate, Chain};
use muster_resources::{Command, OwnerTrust};

use super::{Findings, Subject};

/// Said wherever a command would take a certificate at its word.
pub(super) const CAUTION: &str =
    "Run the command only if the certificate that came is really the device's own.";

impl Subject<'_> {
    pub(super) fn chain_remedies(
        &self,
        at: Wall,
        chain: &Chain,
        trust: &OwnerTrust,
        findings: &mut Findings,
    ) {
        let leaf = chain.leaf();
        match findings.reason {
            ReasonCode::ThumbprintDiffers => {
                findings.steps.push(CAUTION.to_owned());
                findings.remedies.push(
                    self.command("update")
                        .flag("--primary-thumbprint", &leaf.sha256().to_string())
                        .into(),
                );
            }
            ReasonCode::CommonNameDiffersInCase => {
                if let Some(name) = leaf.common_name().and_then(|name| DeviceId::parse(name).ok()) {
                    findings.steps.push(format!(
                        "The device has to call itself {name} too, as its certificate does."
                    ));
                    findings.remedies.push(
                        self.command_for("create", &name)
                            .flag("--auth-method", "x509_ca")
                            .into(),
                    );
                }
            }
            ReasonCode::AnchorNotVerified => findings.remedies.extend(self.verify_anchor(at, chain, trust)),
            // Whatever is wrong with the chain, the device can be known by this one certificate alone.
            ReasonCode::AnchorUnknown
            | ReasonCode::ChainIncomplete
            | ReasonCode::ChainTooLong
            | ReasonCode::CommonNameDiffers
            | ReasonCode::CommonNameMissing
            | ReasonCode::IssuerExpired
            | ReasonCode::IssuerKeyUsage
            | ReasonCode::IssuerNotYetValid
            | ReasonCode::LeafIsCa
            | ReasonCode::PathLength
            | ReasonCode::UnsupportedAlgorithm
            | ReasonCode::WeakAlgorithm => self.know_by_thumbprint(leaf, findings),
            // A chain that looks forged gets no command that would admit it; the rest needs another certificate.
            _ => {}
        }
    }

    pub(super) fn know_by_thumbprint(&self, leaf: &Certificate, findings: &mut Findings) {
        findings.steps.push(CAUTION.to_owned());
        findings
            .remedies
            .push(by_thumbprint(self.command("update"), leaf).into());
    }

    /// Commands that verify the nearest certificate that the chain reaches: by decree, or by proof.
    pub(super) fn verify_anchor(&self, at: Wall, chain: &Chain, trust: &OwnerTrust) -> Vec<String> {
        let mut nearest = None;
        let _: Walked<()> = walk(
            chain,
            trust.anchors(),
            at.to_pki(),
            Budget::default(),
            &mut Silent,
            |path| match trust.uploaded(&path.top().certificate.sha256()).next() {
                Some(one) if !path.issuers().is_empty() => {
                    nearest = Some(one.name.clone());
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            },
        );
        nearest.map_or_else(Vec::new, |name| {
            let command = |verb: &str| {
                Command::new(&format!("muster iot hub certificate {verb}"))
                    .flag("--hub-name", self.hub.name.as_str())
                    .flag("--name", name.as_str())
                    .flag("--etag", "*")
            };
            vec![
                command("update").flag("--verified", "true").into(),
                command("generate-verification-code").into(),
            ]
        })
    }

    pub(super) fn has(&self, kind: AuthenticationKind) -> bool {
        self.identity
            .is_some_and(|identity| identity.authentication.kind() == kind)
    }

    pub(super) fn connection_string(&self) -> String {
        self.command("connection-string show").into()
    }

    pub(super) fn command(&self, verb: &str) -> Command {
        self.command_for(verb, self.id)
    }

    pub(super) fn command_for(&self, verb: &str, id: &DeviceId) -> Command {
        Command::new(&format!("muster iot hub device-identity {verb}"))
            .flag("--hub-name", self.hub.name.as_str())
            .flag("--device-id", id.as_str())
    }
}

pub(super) fn by_thumbprint(command: Command, leaf: &Certificate) -> Command {
    command
        .flag("--auth-method", "x509_thumbprint")
        .flag("--primary-thumbprint", &leaf.sha256().to_string())
}
