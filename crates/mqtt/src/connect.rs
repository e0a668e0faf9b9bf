//! The first packet: whom it is for, and whether its sender is let in.

use muster_dps::{Attempt, Credential};
use muster_hub::DeviceCredential;
use muster_model::refusal::{Protocol, Refusal, TokenClaims};
use muster_model::{DeviceId, IdScope, ReasonCode, RegistrationId, SasToken, TrackingId, Wall};
use muster_mqtt_codec::{Connect, ConnectCode, Qos};
use muster_net::{Peer, Presented};
use muster_resources::{Audience, StoreError};
use muster_wire::api_version::ApiVersion;
use muster_wire::host::Host;
use muster_wire::mqtt::{HubUser, ProvisioningUser, UserName, from_bag, will_goes_to};

use crate::backend::Backend;

/// What is known of a connection for its log line and, when it is refused, for its record.
#[derive(Clone, Debug)]
pub(crate) struct Trail {
    pub(crate) tracking: TrackingId,
    /// The hub or the id scope.
    pub(crate) target: Option<String>,
    pub(crate) device: Option<String>,
    pub(crate) registration: Option<String>,
    pub(crate) token: Option<TokenClaims>,
    pub(crate) action: &'static str,
}

impl Trail {
    pub(crate) fn new(backend: &Backend) -> Self {
        Self {
            tracking: backend.random.draw(|rng| TrackingId::random(rng)),
            target: None,
            device: None,
            registration: None,
            token: None,
            action: "connect",
        }
    }

    /// The facts of a refused attempt.
    pub(crate) fn refusal(
        &self,
        reason: ReasonCode,
        peer: &Peer,
        presented: &Presented,
        at: Wall,
    ) -> Refusal {
        Refusal {
            tracking: self.tracking,
            at,
            reason,
            protocol: Protocol::Mqtt,
            address: Some(peer.addr),
            action: self.action,
            target: self.target.clone(),
            device: self.device.clone(),
            registration: self.registration.clone(),
            chain: presented.chain().cloned(),
            token: self.token.clone(),
        }
    }
}

/// Why a client is not let in.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) code: ConnectCode,
    /// The rule that failed, where the client is at fault; a record is kept then.
    pub(crate) reason: Option<ReasonCode>,
    /// For the log.
    pub(crate) detail: String,
}

impl Refused {
    fn new(code: ConnectCode, reason: ReasonCode) -> Self {
        Self {
            code,
            reason: Some(reason),
            detail: reason.to_string(),
        }
    }

    fn because(code: ConnectCode, reason: ReasonCode, detail: &dyn ToString) -> Self {
        Self {
            detail: detail.to_string(),
            ..Self::new(code, reason)
        }
    }

    /// The hub does not let the device in, or can't tell.
    pub(crate) fn of_hub(error: muster_hub::Error) -> Self {
        match error {
            muster_hub::Error::Store(error) => Self::unavailable(&error),
            other => Self {
                code: ConnectCode::NotAuthorized,
                reason: other.reason(),
                detail: other.to_string(),
            },
        }
    }

    /// The server can't tell.
    pub(crate) fn unavailable(error: &StoreError) -> Self {
        Self {
            code: ConnectCode::ServerUnavailable,
            reason: None,
            detail: error.to_string(),
        }
    }
}

/// Who was let in.
pub(crate) enum Admitted {
    /// A device of a hub.
    Device(Box<Device>),
    /// A device that registers.
    Registering(Box<Registering>),
}

/// A device of a hub that has proved who it is.
pub(crate) struct Device {
    pub(crate) permit: muster_hub::DevicePermit,
    pub(crate) model_id: Option<String>,
    pub(crate) will: Option<muster_model::message::Message>,
    pub(crate) clean: bool,
    pub(crate) trail: Trail,
    /// Seconds, as the client said.
    pub(crate) keep_alive: u16,
}

/// A device that registers. What it shows is judged again at each request.
pub(crate) struct Registering {
    pub(crate) attempt: Attempt,
    pub(crate) version: ApiVersion,
    pub(crate) trail: Trail,
    /// Seconds, as the client said.
    pub(crate) keep_alive: u16,
}

/// Judges a CONNECT.
pub(crate) async fn judge(
    backend: &Backend,
    presented: &Presented,
    connect: &Connect<'_>,
    trail: &mut Trail,
    now: Wall,
) -> Result<Admitted, Refused> {
    let malformed = |detail: &dyn ToString| {
        Refused::because(
            ConnectCode::BadUserNameOrPassword,
            ReasonCode::UserNameMalformed,
            detail,
        )
    };
    let name = connect.user_name.ok_or_else(|| malformed(&"no user name came"))?;
    match UserName::parse(name).map_err(|error| malformed(&error))? {
        UserName::Hub(user) => hub(backend, presented, connect, &user, trail, now)
            .await
            .map(|device| Admitted::Device(Box::new(device))),
        UserName::Provisioning(user) => registering(backend, presented, connect, user, trail, now)
            .await
            .map(|registering| Admitted::Registering(Box::new(registering))),
    }
}

async fn hub(
    backend: &Backend,
    presented: &Presented,
    connect: &Connect<'_>,
    user: &HubUser,
    trail: &mut Trail,
    now: Wall,
) -> Result<Device, Refused> {
    trail.target = Some(user.host.clone());
    trail.device = Some(user.device.clone());
    let hub = match backend.domain.classify(&user.host) {
        Host::Hub(name) => backend.directory.hub(&name),
        Host::Machine => backend.directory.default_hub(),
        Host::Global | Host::Service(_) | Host::Unknown => None,
    };
    let hub = hub.ok_or(Refused::new(ConnectCode::NotAuthorized, ReasonCode::HubUnknown))?;
    trail.target = Some(hub.name.to_string());
    let expected = match &user.module {
        Some(module) => format!("{}/{module}", user.device),
        None => user.device.clone(),
    };
    if connect.client_id.is_empty() {
        return Err(Refused::new(
            ConnectCode::IdentifierRejected,
            ReasonCode::ClientIdDiffers,
        ));
    }
    if connect.client_id != expected {
        return Err(Refused::new(
            ConnectCode::NotAuthorized,
            ReasonCode::ClientIdDiffers,
        ));
    }
    if user.module.is_some() {
        return Err(Refused::new(
            ConnectCode::NotAuthorized,
            ReasonCode::ModulesUnsupported,
        ));
    }
    let id = DeviceId::parse(&user.device).map_err(|error| {
        Refused::because(ConnectCode::IdentifierRejected, ReasonCode::DeviceUnknown, &error)
    })?;
    let chain = chain(presented)?;
    let token = token(connect, trail)?;
    let (roots, path) = match &token {
        Some(_) => {
            let is_default = backend.directory.is_default(&hub);
            let names = backend.domain.names_of_hub(&hub.name, is_default);
            (names, format!("devices/{id}"))
        }
        None => Default::default(),
    };
    let roots: Vec<&str> = roots.iter().map(String::as_str).collect();
    let credential = DeviceCredential {
        chain,
        token: token.as_ref(),
        audience: Audience {
            roots: &roots,
            path: &path,
        },
    };
    let permit = backend
        .authenticator
        .device(&hub, &id, credential, now)
        .await
        .map_err(Refused::of_hub)?;
    let will = match &connect.will {
        None => None,
        Some(will) => {
            let wrong = |detail: &dyn ToString| {
                Refused::because(ConnectCode::NotAuthorized, ReasonCode::WillMisplaced, detail)
            };
            let bag = will_goes_to(will.topic, id.as_str()).ok_or_else(|| wrong(&"the topic of the will"))?;
            if will.qos == Qos::ExactlyOnce {
                return Err(wrong(&"the will asks for QoS 2"));
            }
            let mut message =
                from_bag(bag, will.payload.to_vec(), will.retain).map_err(|error| wrong(&error))?;
            message
                .application
                .retain(|(name, _)| !name.eq_ignore_ascii_case(WILL));
            message.application.push((WILL.to_owned(), "Will".to_owned()));
            message.system.data_schema.clone_from(&user.model_id);
            Some(message)
        }
    };
    Ok(Device {
        permit,
        model_id: user.model_id.clone(),
        will,
        clean: connect.clean_session,
        trail: trail.clone(),
        keep_alive: connect.keep_alive,
    })
}

/// The property by which a back end knows a will. Source: "Communicate with an IoT hub using the MQTT protocol",
/// read 2026-11.
const WILL: &str = "iothub-MessageType";

async fn registering(
    backend: &Backend,
    presented: &Presented,
    connect: &Connect<'_>,
    user: ProvisioningUser,
    trail: &mut Trail,
    now: Wall,
) -> Result<Registering, Refused> {
    trail.target = Some(user.scope.clone());
    trail.registration = Some(user.registration.clone());
    trail.action = "register";
    let refused = |reason| Refused::new(ConnectCode::NotAuthorized, reason);
    let id =
        RegistrationId::parse(&user.registration).map_err(|_| refused(ReasonCode::RegistrationIdInvalid))?;
    if connect.client_id.is_empty() {
        return Err(Refused::new(
            ConnectCode::IdentifierRejected,
            ReasonCode::ClientIdDiffers,
        ));
    }
    if !connect.client_id.eq_ignore_ascii_case(&user.registration) {
        return Err(refused(ReasonCode::ClientIdDiffers));
    }
    let service = IdScope::parse(&user.scope)
        .ok()
        .and_then(|scope| backend.directory.service_by_scope(&scope))
        .ok_or_else(|| refused(ReasonCode::ScopeUnknown))?;
    let chain = chain(presented)?.cloned();
    let token = token(connect, trail)?;
    let by_token = token.is_some();
    if chain.is_none() && !by_token {
        return Err(refused(ReasonCode::NoCredential));
    }
    let attempt = Attempt {
        service,
        id,
        credential: Credential {
            chain,
            token,
            tpm: false,
        },
        payload: None,
        tracking: trail.tracking,
    };
    // A token is judged here. A certificate is judged at the request, where the answer has room for the reason.
    if by_token {
        backend
            .registrar
            .authenticate(&attempt, now)
            .await
            .map_err(|error| match error {
                muster_dps::Error::Store(error) => Refused::unavailable(&error),
                other => Refused {
                    code: ConnectCode::NotAuthorized,
                    reason: other.reason(),
                    detail: other.to_string(),
                },
            })?;
    }
    Ok(Registering {
        attempt,
        version: user.api_version,
        trail: trail.clone(),
        keep_alive: connect.keep_alive,
    })
}

fn chain(presented: &Presented) -> Result<Option<&muster_pki::Chain>, Refused> {
    match presented {
        Presented::Chain(chain) => Ok(Some(chain)),
        Presented::Nothing => Ok(None),
        Presented::Unreadable => Err(Refused::new(
            ConnectCode::NotAuthorized,
            ReasonCode::CertificateUnreadable,
        )),
    }
}

/// Reads the token in the password; an empty password is none.
fn token(connect: &Connect<'_>, trail: &mut Trail) -> Result<Option<SasToken>, Refused> {
    let Some(password) = connect.password.filter(|password| !password.is_empty()) else {
        return Ok(None);
    };
    let malformed = || Refused::new(ConnectCode::NotAuthorized, ReasonCode::TokenMalformed);
    let text = std::str::from_utf8(password).map_err(|_| malformed())?;
    let token = muster_wire::sas::parse(text).map_err(|_| malformed())?;
    trail.token = Some(TokenClaims {
        resource: token.resource.clone(),
        expiry: token.expiry,
        policy: token.policy.clone(),
    });
    Ok(Some(token))
}
