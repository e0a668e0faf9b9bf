//! The commands that would mend a refusal.
//!
//! Each is one line for a shell. Where it needs a certificate that came with the attempt, the line first writes it to a
//! file out of the record (`muster explain … --chain-out FILE`, with `--from N` beginning at certificate N). Where it
//! needs a file that only the operator has, the file is named after the certificate's common name. A chain that looks
//! forged gets no command that would admit it.

use muster_model::dps::{
    AllocationPolicy, Attestation as Mechanism, EnrollmentGroup, IndividualEnrollment, ProvisioningStatus,
};
use muster_model::{EnrollmentGroupId, ReasonCode};
use muster_pki::Name;
use muster_pki::verify::{Event, Path, Reason, Step};
use muster_resources::{Command, Directory};

use super::Case;
use crate::attestation::Note;

impl Case<'_> {
    pub(super) fn remedies(&self, directory: &Directory) -> Vec<String> {
        let Some(reason) = self.reason else {
            return Vec::new();
        };
        match reason {
            ReasonCode::EnrollmentDisabled => {
                vec![
                    self.enrollment("update")
                        .flag("--provisioning-status", "enabled")
                        .into(),
                ]
            }
            ReasonCode::GroupDisabled => self
                .group()
                .map(|group| {
                    self.group_command("update", group)
                        .flag("--provisioning-status", "enabled")
                        .into()
                })
                .into_iter()
                .collect(),
            ReasonCode::CertificateDisabled => self.release_holder(),
            ReasonCode::LeafNotEnrolled => vec![self.exporting(
                None,
                &self.enrollment("update").flag("--certificate-path", &self.file()),
            )],
            ReasonCode::NoHubToAssign => self.find_hub(directory),
            _ if self.refusal.chain.is_some() && self.refusal.token.is_none() => self.for_certificate(reason),
            _ => self.for_token(reason),
        }
    }

    fn for_certificate(&self, reason: ReasonCode) -> Vec<String> {
        match reason {
            ReasonCode::AnchorNotVerified => self.verify_anchor(),
            ReasonCode::AnchorUnknown => self
                .trust_root()
                .into_iter()
                .chain([self.enroll_alone()])
                .collect(),
            ReasonCode::CaReferenceMissing => self
                .trace
                .notes
                .iter()
                .filter_map(|note| match note {
                    Note::MissingReference(name) => Some(
                        self.certificate("create", name.as_str())
                            .flag("--path", &format!("{name}.pem"))
                            .flag("--verified", "true")
                            .into(),
                    ),
                    _ => None,
                })
                .collect(),
            ReasonCode::ChainIncomplete => vec![self.complete_chain(), self.enroll_alone()],
            ReasonCode::NoEnrollment => self.enroll(),
            ReasonCode::WrongAttestationType => vec![format!(
                "{} && {}",
                self.enrollment("delete"),
                self.enroll_alone()
            )],
            ReasonCode::CommonNameDiffers | ReasonCode::CommonNameMissing => {
                vec![self.new_certificate()]
            }
            ReasonCode::Expired | ReasonCode::NotYetValid => vec![self.new_certificate()],
            ReasonCode::IssuerExpired
            | ReasonCode::IssuerKeyUsage
            | ReasonCode::IssuerNotYetValid
            | ReasonCode::PathLength
            | ReasonCode::UnsupportedAlgorithm
            | ReasonCode::WeakAlgorithm => {
                // Whatever is wrong above it, the device can be known by its own certificate.
                std::iter::once(self.enroll_alone())
                    .chain(self.renew_issuer())
                    .collect()
            }
            ReasonCode::ChainTooLong | ReasonCode::TooManyCandidates => vec![self.enroll_alone()],
            _ => Vec::new(),
        }
    }

    fn for_token(&self, reason: ReasonCode) -> Vec<String> {
        match reason {
            ReasonCode::NoEnrollment | ReasonCode::TpmUnsupported if self.individual().is_none() => vec![
                self.enrollment("create")
                    .flag("--attestation-type", "symmetrickey")
                    .into(),
            ],
            ReasonCode::TpmUnsupported | ReasonCode::WrongAttestationType => vec![format!(
                "{} && {}",
                self.enrollment("delete"),
                self.enrollment("create")
                    .flag("--attestation-type", "symmetrickey")
            )],
            ReasonCode::TokenSignatureWrong if self.individual().is_some() => {
                vec![format!("{} --show-keys", self.enrollment("show"))]
            }
            ReasonCode::TokenSignatureWrong | ReasonCode::TooManyCandidates => self
                .groups()
                .map(|group| {
                    self.group_command("compute-device-key", &group.id)
                        .flag("--registration-id", self.id.as_str())
                        .into()
                })
                .collect(),
            ReasonCode::AudienceWrong
            | ReasonCode::NoCredential
            | ReasonCode::TokenExpired
            | ReasonCode::TokenMalformed => self.register().into_iter().collect(),
            _ => Vec::new(),
        }
    }

    /// Registers the device with a key that the operator can read; there is none where a certificate is enrolled.
    fn register(&self) -> Option<String> {
        let command = Command::new("muster iot device registration create")
            .flag("--dps-name", self.service.name.as_str())
            .flag("--registration-id", self.id.as_str());
        let by_key = |attestation: &Mechanism| matches!(attestation, Mechanism::SymmetricKey { .. });
        match self.individual() {
            Some(individual) => by_key(&individual.attestation).then(|| command.into()),
            None => self
                .groups()
                .find(|group| by_key(&group.attestation))
                .map(|group| command.flag("--group-id", group.id.as_str()).into()),
        }
    }

    fn release_holder(&self) -> Vec<String> {
        let holder = self.trace.notes.iter().find_map(|note| match note {
            Note::DisabledElsewhere(holder) => Some(holder),
            _ => None,
        });
        let Some(holder) = holder else {
            return Vec::new();
        };
        let command = |verb: &str| {
            Command::new(&format!("muster iot dps enrollment {verb}"))
                .flag("--dps-name", self.service.name.as_str())
                .flag("--enrollment-id", holder.as_str())
        };
        vec![
            command("update").flag("--provisioning-status", "enabled").into(),
            command("delete").into(),
        ]
    }

    fn find_hub(&self, directory: &Directory) -> Vec<String> {
        let (update, terms) = match (self.individual(), self.group()) {
            (Some(individual), _) => (self.enrollment("update"), Some(&individual.terms)),
            (None, Some(group)) => (
                self.group_command("update", group),
                self.groups().find(|one| one.id == *group).map(|one| &one.terms),
            ),
            (None, None) => return Vec::new(),
        };
        let policy = terms.and_then(|terms| terms.allocation);
        let unlinked = directory
            .hubs()
            .into_iter()
            .find(|hub| !self.service.links.iter().any(|link| link.hub == hub.key));
        let link = unlinked.map(|hub| {
            Command::new("muster iot dps linked-hub create")
                .flag("--dps-name", self.service.name.as_str())
                .flag("--hub-name", hub.name.as_str())
                .into()
        });
        match policy {
            Some(AllocationPolicy::Custom | AllocationPolicy::Static) => {
                let hashed = update.flag("--allocation-policy", "hashed").into();
                std::iter::once(hashed).chain(link).collect()
            }
            _ => link.into_iter().collect(),
        }
    }

    /// Verifies the nearest configured certificate on a path: by decree, then by proof.
    fn verify_anchor(&self) -> Vec<String> {
        let Some(step) = self.nearest_configured() else {
            return Vec::new();
        };
        let uploaded = self.trust.uploaded(&step.certificate.sha256()).next();
        if let Some(one) = uploaded {
            let command = |verb: &str| self.certificate(verb, one.name.as_str()).flag("--etag", "*");
            return vec![
                command("update").flag("--verified", "true").into(),
                command("generate-verification-code").into(),
            ];
        }
        // Only a group holds it.
        let name = slug(step.certificate.subject());
        let create = self.certificate("create", &name);
        let file = format!("{name}.pem");
        let create = create.flag("--path", &file).flag("--verified", "true");
        vec![match step.origin.presented_at {
            Some(place) => self.export_to(Some(place), &file, &create),
            None => create.into(),
        }]
    }

    /// Uploads the root that came, and enrolls what is below it where no group is on the path.
    fn trust_root(&self) -> Option<String> {
        let path = self.longest_path().filter(|path| !path.issuers().is_empty())?;
        let place = path.top().origin.presented_at?;
        let name = slug(path.top().certificate.subject());
        let file = format!("{name}.pem");
        let create = self
            .certificate("create", &name)
            .flag("--path", &file)
            .flag("--verified", "true");
        let line = self.export_to(Some(place), &file, &create);
        if path.issuers().iter().any(|step| step.origin.configured) {
            return Some(line);
        }
        Some(format!("{line} && {}", self.enroll_group(&name)))
    }

    /// Enrolls a group on the nearest verified certificate, or the device alone.
    fn enroll(&self) -> Vec<String> {
        let verified = self.paths().flat_map(Path::issuers).find_map(|step| {
            self.trust
                .uploaded(&step.certificate.sha256())
                .find(|one| one.verified)
        });
        let group = verified.map(|one| self.enroll_group(one.name.as_str()).into());
        group.into_iter().chain([self.enroll_alone()]).collect()
    }

    fn enroll_group(&self, certificate: &str) -> Command {
        Command::new("muster iot dps enrollment-group create")
            .flag("--dps-name", self.service.name.as_str())
            .flag("--enrollment-id", certificate.trim_end_matches(['.', '_']))
            .flag("--ca-name", certificate)
    }

    /// Enrolls the device by the certificate that it showed.
    fn enroll_alone(&self) -> String {
        let create = self
            .enrollment("create")
            .flag("--attestation-type", "x509")
            .flag("--certificate-path", &self.file());
        self.exporting(None, &create)
    }

    /// Appends the certificate that was not sent.
    fn complete_chain(&self) -> String {
        let missing = match self.found() {
            Some(Reason::ChainIncomplete { issuer, .. }) => format!("{}.pem", slug(issuer)),
            _ => "issuer.pem".to_owned(),
        };
        let file = format!("{}-full-chain.pem", self.id);
        format!("{} && cat {missing} >> {file}", self.export(None, &file))
    }

    /// A new certificate for the device. Who issues it, the operator knows; this is how one that stands alone is made.
    fn new_certificate(&self) -> String {
        let file = self.file();
        let verb = if self.individual().is_some() {
            "update"
        } else {
            "create"
        };
        let enroll = self.enrollment(verb);
        let enroll = if verb == "create" {
            enroll.flag("--attestation-type", "x509")
        } else {
            enroll
        };
        format!(
            "muster cert self-signed {} --cert {file} --cert-key {}.key.pem && {}",
            self.id,
            self.id,
            enroll.flag("--certificate-path", &file)
        )
    }

    /// Replaces an uploaded issuer that no longer counts by the new file of the same CA.
    fn renew_issuer(&self) -> Option<String> {
        let short = match self.found() {
            Some(Reason::IssuerPathLength { issuer, .. }) => Some(issuer),
            _ => None,
        };
        let rejected = self.trace.events.iter().find_map(|event| match event {
            Event::Candidate { issuer, rejected, .. } => {
                let for_itself = matches!(
                    rejected,
                    Some(
                        Reason::IssuerExpired { .. }
                            | Reason::IssuerKeyUsage { .. }
                            | Reason::IssuerNotYetValid { .. }
                    )
                );
                // How long a path may be is judged when it is there, not when its issuer is tried.
                (for_itself || short == Some(issuer.subject()))
                    .then(|| self.trust.uploaded(&issuer.sha256()).next())
                    .flatten()
            }
            _ => None,
        })?;
        let command = self
            .certificate("update", rejected.name.as_str())
            .flag("--etag", "*")
            .flag("--path", &format!("{}.pem", rejected.name))
            .flag("--verified", "true");
        Some(command.into())
    }

    fn paths(&self) -> impl Iterator<Item = &Path> {
        self.trace.events.iter().filter_map(|event| match event {
            Event::Found { path } => Some(path),
            _ => None,
        })
    }

    fn longest_path(&self) -> Option<&Path> {
        self.paths().max_by_key(|path| path.len())
    }

    fn nearest_configured(&self) -> Option<&Step> {
        let steps = || self.paths().flat_map(Path::issuers);
        steps()
            .find(|step| self.trust.uploaded(&step.certificate.sha256()).next().is_some())
            .or_else(|| steps().filter(|step| step.origin.configured).last())
    }

    /// The configured certificate whose possession was never proved, for a sentence.
    pub(super) fn unverified_anchor(&self) -> String {
        self.nearest_configured().map_or_else(
            || "a CA certificate".to_owned(),
            |step| step.certificate.subject().to_string(),
        )
    }

    pub(super) fn individual(&self) -> Option<&IndividualEnrollment> {
        self.trace.notes.iter().find_map(|note| match note {
            Note::Individual(individual) => Some(&**individual),
            _ => None,
        })
    }

    fn groups(&self) -> impl Iterator<Item = &EnrollmentGroup> {
        self.trace.notes.iter().filter_map(|note| match note {
            Note::Group(group, _) => Some(&**group),
            _ => None,
        })
    }

    pub(super) fn group(&self) -> Option<&EnrollmentGroupId> {
        let disabled = self.reason == Some(ReasonCode::GroupDisabled);
        self.groups()
            .find(|group| {
                let is_disabled = group.terms.status == ProvisioningStatus::Disabled;
                let fits = match &group.attestation {
                    Mechanism::SymmetricKey { .. } => self.refusal.token.is_some(),
                    _ => self.refusal.token.is_none(),
                };
                fits && (!disabled || is_disabled)
            })
            .map(|group| &group.id)
    }

    fn enrollment(&self, verb: &str) -> Command {
        Command::new(&format!("muster iot dps enrollment {verb}"))
            .flag("--dps-name", self.service.name.as_str())
            .flag("--enrollment-id", self.id.as_str())
    }

    fn group_command(&self, verb: &str, group: &EnrollmentGroupId) -> Command {
        Command::new(&format!("muster iot dps enrollment-group {verb}"))
            .flag("--dps-name", self.service.name.as_str())
            .flag("--enrollment-id", group.as_str())
    }

    fn certificate(&self, verb: &str, name: &str) -> Command {
        Command::new(&format!("muster iot dps certificate {verb}"))
            .flag("--dps-name", self.service.name.as_str())
            .flag("--certificate-name", name)
    }

    /// The file that the device's certificate is written to.
    fn file(&self) -> String {
        format!("{}.pem", self.id)
    }

    fn export(&self, from: Option<usize>, file: &str) -> Command {
        let command =
            Command::new(&format!("muster explain {}", self.refusal.tracking)).flag("--chain-out", file);
        match from {
            None => command,
            Some(place) => command.flag("--from", &place.to_string()),
        }
    }

    fn export_to(&self, from: Option<usize>, file: &str, then: &Command) -> String {
        format!("{} && {then}", self.export(from, file))
    }

    fn exporting(&self, from: Option<usize>, then: &Command) -> String {
        self.export_to(from, &self.file(), then)
    }
}

/// A name for a CA certificate, and for its file: what of its common name may stand in one.
fn slug(subject: &Name) -> String {
    let text: String = subject
        .common_name()
        .unwrap_or("ca")
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' || c == '_' {
                c
            } else {
                '-'
            }
        })
        .take(60)
        .collect();
    let text = text.trim_matches(['-', '.', '_']);
    if text.is_empty() {
        "ca".to_owned()
    } else {
        text.to_owned()
    }
}
