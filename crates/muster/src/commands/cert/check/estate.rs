//! The estate in which a chain is judged: one hub and one provisioning service in memory, with the anchors configured as
//! an operator would have configured them, and one device that shows itself once.
//!
//! Everything goes through the same verbs and permits as on a server, so that no rule is written twice.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use muster_bus::local::LocalChanges;
use muster_dps::{Attempt, Credential, Enrollments, Groups, Registrar, RegistrarConfig};
use muster_hub::authenticator::Authenticator;
use muster_hub::{AuthenticationRequest, DeviceBasis, DeviceCredential, Identities, IdentityRequest};
use muster_model::dps::{
    AttestationChange, GroupChange, IndividualChange, RegistrationState, SlotChange, TermsChange, X509Change,
};
use muster_model::estate::{Hub, ProvisioningService};
use muster_model::identity::DeviceStatus;
use muster_model::refusal::{Protocol, Refusal};
use muster_model::{
    CertificateName, CertificateOwner, DeviceId, DpsName, EnrollmentGroupId, HubName, IfMatch, Location,
    Random, ReasonCode, RegistrationId, ResourceGroupName, TrackingId, Wall,
};
use muster_pki::verify::{Budget, Event, Recorder, walk};
use muster_pki::{Certificate, Chain, Sha256};
use muster_resources::{
    Access, Audience, Certificates, Directory, Estate, Explain, FirstStart, OwnerTrust, bootstrap,
    presented_steps, walk_steps,
};
use muster_store::memory::Memory;

use super::Configured;
use crate::cli::Failure;
use crate::server::linked_hub::LocalHubs;

const GROUP: &str = "muster";
const HUB: &str = "muster-hub";
const SERVICE: &str = "muster-dps";

/// A certificate that the operator configured.
#[derive(Debug)]
pub(super) struct Anchor {
    /// The file it came from.
    pub(super) file: PathBuf,
    /// The certificate.
    pub(super) certificate: Certificate,
}

/// What is to be judged.
#[derive(Debug)]
pub(super) struct Question<'a> {
    /// Whom the device meets.
    pub(super) by: Configured,
    /// The registration id or device id.
    pub(super) id: String,
    /// What the device presents.
    pub(super) chain: Chain,
    /// What is configured.
    pub(super) anchors: &'a [Anchor],
    /// When.
    pub(super) at: Wall,
}

/// What the domains say.
#[derive(Debug)]
pub(super) struct Judged {
    /// The rule that failed; `None` when the device is let in.
    pub(super) reason: Option<ReasonCode>,
    /// One sentence.
    pub(super) sentence: String,
    /// What was tried, step by step.
    pub(super) steps: Vec<String>,
    /// The path that let the device in, or the longest that was found, leaf first.
    pub(super) path: Vec<Certificate>,
}

/// Who let a device in, and by which path.
struct Admitted {
    sentence: String,
    path: Vec<Sha256>,
}

/// Makes the estate and shows the device to it.
///
/// # Errors
/// [`Failure`] when the estate can't be made, or the id is none that a hub takes.
pub(super) async fn judge(question: &Question<'_>, random: Random) -> Result<Judged, Failure> {
    let stage = Stage::new(question.at, random).await?;
    let hub = stage
        .directory
        .hub(&HubName::parse(HUB)?)
        .ok_or_else(|| Failure::new("the hub of the estate in memory is missing"))?;
    let service = stage
        .directory
        .service(&DpsName::parse(SERVICE)?)
        .ok_or_else(|| Failure::new("the provisioning service of the estate in memory is missing"))?;
    match question.by {
        Configured::DpsGroup | Configured::DpsIndividual => stage.register(question, &service).await,
        Configured::HubCa | Configured::HubThumbprint => stage.connect(question, &hub).await,
    }
}

struct Stage {
    store: Arc<Memory>,
    directory: Arc<Directory>,
    estate: Estate,
    random: Arc<Random>,
    /// The operator's token; it lives as long as the estate.
    token: String,
    now: Wall,
}

impl Stage {
    async fn new(now: Wall, random: Random) -> Result<Self, Failure> {
        let random = Arc::new(random);
        let store = Arc::new(Memory::new());
        let directory = Directory::load(Arc::clone(&store) as _).await?;
        let estate = Estate::new(
            Arc::clone(&store) as _,
            Arc::clone(&directory),
            Arc::new(LocalChanges::default()),
            Arc::clone(&random),
        );
        let token = random.draw(TrackingId::random).to_string();
        let first = FirstStart {
            group: ResourceGroupName::parse(GROUP)?,
            hub: HubName::parse(HUB)?,
            service: DpsName::parse(SERVICE)?,
            location: Location::parse("local")?,
            operator: Sha256::of(token.as_bytes()).0,
        };
        bootstrap(&estate, first, now).await?;
        Ok(Self {
            store,
            directory,
            estate,
            random,
            token,
            now,
        })
    }

    fn access(&self) -> Access {
        Access::new(
            Arc::clone(&self.directory),
            muster_resources::access::Config::default(),
        )
    }

    const fn bearer(&self) -> muster_resources::Credential<'_> {
        muster_resources::Credential::Bearer(self.token.as_str())
    }

    /// Uploads each anchor as verified; answers the names that they got.
    async fn upload(
        &self,
        owner: CertificateOwner,
        anchors: &[Anchor],
    ) -> Result<Vec<CertificateName>, Failure> {
        let operator = self.access().operator(self.bearer())?;
        let certificates = Certificates::new(self.estate.clone());
        let mut names = Vec::with_capacity(anchors.len());
        for anchor in anchors {
            let name = anchor_name(&anchor.file, &names)?;
            certificates
                .upload(
                    &operator,
                    owner,
                    name.clone(),
                    anchor.certificate.clone(),
                    true,
                    IfMatch::Absent,
                    self.now,
                )
                .await?;
            names.push(name);
        }
        Ok(names)
    }

    /// Shows the device to the provisioning service.
    async fn register(
        &self,
        question: &Question<'_>,
        service: &Arc<ProvisioningService>,
    ) -> Result<Judged, Failure> {
        let owner = CertificateOwner::Dps(service.key);
        let permit = self.access().service(service, self.bearer(), NOWHERE, self.now)?;
        let id = RegistrationId::parse(&question.id).ok();
        if question.by == Configured::DpsGroup {
            let names = self.upload(owner, question.anchors).await?;
            let groups = Groups::new(
                Arc::clone(&self.store) as _,
                Arc::clone(&self.directory),
                Arc::clone(&self.random),
            );
            for (anchor, name) in question.anchors.iter().zip(&names) {
                let change = group_of(&anchor.certificate, name)?;
                groups.put(&permit, change, IfMatch::Absent, self.now).await?;
            }
        } else if let Some(id) = &id {
            let (primary, secondary) = question.slots();
            let enrollments = Enrollments::new(
                Arc::clone(&self.store) as _,
                Arc::clone(&self.directory),
                Arc::clone(&self.random),
            );
            let change = IndividualChange {
                id: id.clone(),
                device_id: None,
                device_information: None,
                attestation: AttestationChange::X509(X509Change::ClientCertificates { primary, secondary }),
                terms: TermsChange::default(),
            };
            enrollments
                .put(&permit, change, IfMatch::Absent, self.now)
                .await?;
        }
        let refused = match id {
            None => ReasonCode::RegistrationIdInvalid,
            Some(id) => match self.attempt(question, service, id).await? {
                Ok(state) => {
                    let trust = self.directory.trust(owner);
                    return Ok(question.admitted(registered(&state), &trust));
                }
                Err(reason) => reason,
            },
        };
        let refusal = Refusal {
            action: "register",
            target: Some(service.id_scope.to_string()),
            registration: Some(question.id.clone()),
            ..self.refusal(question, refused)
        };
        let explainer = muster_dps::Explainer::new(Arc::clone(&self.store) as _, Arc::clone(&self.directory));
        let trust = self.directory.trust(owner);
        Ok(question.refused(&explainer, &refusal, &trust).await)
    }

    async fn attempt(
        &self,
        question: &Question<'_>,
        service: &Arc<ProvisioningService>,
        id: RegistrationId,
    ) -> Result<Result<RegistrationState, ReasonCode>, Failure> {
        let registrar = Registrar::new(
            Arc::clone(&self.store) as _,
            Arc::new(LocalHubs::new(Arc::clone(&self.store) as _)),
            Arc::clone(&self.directory),
            Arc::clone(&self.random),
            Arc::new(HubName::to_string),
            RegistrarConfig::default(),
        );
        let attempt = Attempt {
            service: Arc::clone(service),
            id,
            credential: Credential {
                chain: Some(question.chain.clone()),
                ..Credential::default()
            },
            payload: None,
            tracking: self.random.draw(TrackingId::random),
        };
        match registrar.register(&attempt, self.now).await {
            Ok(operation) => Ok(operation.refusal.map_or(Ok(operation.state), Err)),
            Err(error) => match error.reason() {
                Some(reason) => Ok(Err(reason)),
                None => Err(error.into()),
            },
        }
    }

    /// Shows the device to the hub.
    async fn connect(&self, question: &Question<'_>, hub: &Arc<Hub>) -> Result<Judged, Failure> {
        let owner = CertificateOwner::Hub(hub.key);
        let id = DeviceId::parse(&question.id)?;
        let authentication = if question.by == Configured::HubCa {
            self.upload(owner, question.anchors).await?;
            AuthenticationRequest::CertificateAuthority
        } else {
            let (primary, secondary) = question.known();
            AuthenticationRequest::SelfSigned {
                primary: Some(primary.sha256().into()),
                secondary: secondary.map(|one| one.sha256().into()),
            }
        };
        let request = IdentityRequest {
            id: id.clone(),
            status: DeviceStatus::Enabled,
            status_reason: None,
            authentication,
            iot_edge: false,
        };
        let permit = self.access().hub(hub, self.bearer(), NOWHERE, self.now)?;
        Identities::new(Arc::clone(&self.store) as _, Arc::clone(&self.random))
            .put(&permit, request, IfMatch::Absent, self.now)
            .await?;
        let authenticator = Authenticator::new(
            Arc::clone(&self.store) as _,
            Arc::clone(&self.directory),
            muster_hub::authenticator::Config::default(),
        );
        let credential = DeviceCredential {
            chain: Some(&question.chain),
            token: None,
            audience: NOWHERE,
        };
        let trust = self.directory.trust(owner);
        let reason = match authenticator.device(hub, &id, credential, self.now).await {
            Ok(permit) => return Ok(question.admitted(connected(permit.basis(), &id), &trust)),
            Err(muster_hub::Error::Refused(reason)) => reason,
            Err(error) => return Err(error.into()),
        };
        let refusal = Refusal {
            action: "connect",
            target: Some(hub.name.to_string()),
            device: Some(question.id.clone()),
            ..self.refusal(question, reason)
        };
        let explainer = muster_hub::Explainer::new(Arc::clone(&self.store) as _, Arc::clone(&self.directory));
        Ok(question.refused(&explainer, &refusal, &trust).await)
    }

    fn refusal(&self, question: &Question<'_>, reason: ReasonCode) -> Refusal {
        Refusal {
            tracking: self.random.draw(TrackingId::random),
            at: self.now,
            reason,
            protocol: Protocol::Https,
            address: None,
            action: "",
            target: None,
            device: None,
            registration: None,
            chain: Some(question.chain.clone()),
            token: None,
        }
    }
}

/// No token is judged by what it was made for.
const NOWHERE: Audience<'static> = Audience { roots: &[], path: "" };

impl Question<'_> {
    /// The certificates that the device itself is known by: the first two anchors, or the leaf.
    fn known(&self) -> (&Certificate, Option<&Certificate>) {
        let mut anchors = self.anchors.iter().map(|anchor| &anchor.certificate);
        match anchors.next() {
            Some(first) => (first, anchors.next()),
            None => (self.chain.leaf(), None),
        }
    }

    fn slots(&self) -> (SlotChange<Certificate>, SlotChange<Certificate>) {
        let (primary, secondary) = self.known();
        (
            SlotChange::Set(primary.clone()),
            secondary.map_or(SlotChange::Clear, |one| SlotChange::Set(one.clone())),
        )
    }

    fn admitted(&self, admitted: Admitted, trust: &OwnerTrust) -> Judged {
        let (_, events) = self.walked(trust);
        let mut steps = presented_steps(&self.chain);
        steps.extend(walk_steps(&events, trust));
        Judged {
            reason: None,
            sentence: admitted.sentence,
            steps,
            path: admitted
                .path
                .iter()
                .filter_map(|digest| self.certificate(digest))
                .collect(),
        }
    }

    async fn refused(&self, explainer: &dyn Explain, refusal: &Refusal, trust: &OwnerTrust) -> Judged {
        let explanation = explainer.explain(refusal).await;
        let (path, _) = self.walked(trust);
        Judged {
            reason: Some(explanation.reason),
            sentence: explanation.sentence,
            steps: if explanation.steps.is_empty() {
                presented_steps(&self.chain)
            } else {
                explanation.steps
            },
            path,
        }
    }

    /// Walks every path; answers the longest.
    fn walked(&self, trust: &OwnerTrust) -> (Vec<Certificate>, Vec<Event>) {
        let mut recorder = Recorder::new();
        let mut longest = Vec::new();
        let walked = walk(
            &self.chain,
            trust.anchors(),
            self.at.to_pki(),
            Budget::default(),
            &mut recorder,
            |path| {
                if path.len() > longest.len() {
                    longest = path.steps().map(|step| step.certificate.clone()).collect();
                }
                ControlFlow::<()>::Continue(())
            },
        );
        // Nothing breaks the walk, so there is no decision to take.
        drop(walked);
        (longest, recorder.into_events())
    }

    fn certificate(&self, digest: &Sha256) -> Option<Certificate> {
        let anchors = self.anchors.iter().map(|anchor| &anchor.certificate);
        self.chain
            .certificates()
            .chain(anchors)
            .find(|one| one.sha256() == *digest)
            .cloned()
    }
}

fn registered(state: &RegistrationState) -> Admitted {
    let enrollment = state.group.as_ref().map_or_else(
        || "its individual enrollment".to_owned(),
        |group| format!("the enrollment group {group}"),
    );
    Admitted {
        sentence: format!("The device {} is registered by {enrollment}.", state.id),
        path: state.chain.clone(),
    }
}

fn connected(basis: &DeviceBasis, id: &DeviceId) -> Admitted {
    match basis {
        DeviceBasis::CertificateAuthority { anchor, path } => Admitted {
            sentence: format!(
                "The device {id} is admitted by a path to the verified CA certificate with SHA-256 {anchor}."
            ),
            path: path.to_vec(),
        },
        DeviceBasis::Thumbprint { leaf } => Admitted {
            sentence: format!("The device {id} is admitted by its thumbprint."),
            path: vec![*leaf],
        },
        DeviceBasis::DeviceKey(_) | DeviceBasis::Policy { .. } => Admitted {
            sentence: format!("The device {id} is admitted."),
            path: Vec::new(),
        },
    }
}

/// Names an anchor after its file, where that is a name and still free, else by the first number that is free.
fn anchor_name(file: &Path, taken: &[CertificateName]) -> Result<CertificateName, Failure> {
    let stem = file
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    std::iter::once(stem.to_owned())
        .chain((1..=taken.len() + 1).map(|number| format!("anchor-{number}")))
        .filter_map(|text| CertificateName::parse(&text).ok())
        .find(|name| !taken.contains(name))
        .ok_or_else(|| Failure::new("no name is free for an anchor"))
}

/// The enrollment group of an anchor, called like it; a name may end as no group's id does.
fn group_of(anchor: &Certificate, name: &CertificateName) -> Result<GroupChange, Failure> {
    let id = EnrollmentGroupId::parse(name.as_str())
        .or_else(|_| EnrollmentGroupId::parse(&format!("{name}-group")))?;
    Ok(GroupChange {
        id,
        attestation: AttestationChange::X509(X509Change::SigningCertificates {
            primary: SlotChange::Set(anchor.clone()),
            secondary: SlotChange::Clear,
        }),
        terms: TermsChange::default(),
    })
}
