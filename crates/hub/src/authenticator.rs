//! Who a device is: the only place that makes a [`DevicePermit`].
//!
//! The TLS handshake proved that the caller holds the private key of the chain's leaf; whether that makes it the
//! device it names is decided here, at every request, by the registry and the CA certificates as they stand now. Two
//! things are remembered between requests, neither of them a decision that could grow old: a path, which costs
//! signatures and depends on nothing but the chain and the hub's CA certificates; and an identity as read, for as long
//! as the store's stamp says that it did not change.
//!
//! A token that came decides alone; the certificate counts only without one. The credential is judged before the
//! status, so that a stranger does not learn whether a device is disabled.

use std::ops::ControlFlow;
use std::sync::Arc;

use muster_model::estate::Hub;
use muster_model::identity::{Authentication, DeviceIdentity, DeviceStatus};
use muster_model::{CertificateOwner, DeviceId, HubKey, HubRights, ReasonCode, SasToken, TrustVersion, Wall};
use muster_pki::verify::{Budget, Observer, Silent, Walked, walk};
use muster_pki::{Certificate, Chain, Sha256, Time};
use muster_resources::access::judge_policy_token;
use muster_resources::sas::{self, Audience, Case};
use muster_resources::{Directory, OwnerTrust, reason_code};

use crate::error::Error;
use crate::permit::{DeviceBasis, DevicePermit};
use crate::ports::Store;
use crate::remembered::Remembered;

/// Settings of [`Authenticator`].
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How far past its expiry a SAS token is still taken; five minutes by default.
    pub skew: std::time::Duration,
    /// Paths that are remembered at most; 16,384 by default, each some 300 bytes.
    pub remembered_paths: usize,
    /// Device identities that are remembered at most; 16,384 by default, each some 600 bytes.
    pub remembered_identities: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            skew: sas::DEFAULT_SKEW,
            remembered_paths: 16_384,
            remembered_identities: 16_384,
        }
    }
}

/// What a device showed for itself.
#[derive(Clone, Copy, Debug)]
pub struct DeviceCredential<'a> {
    /// The certificates of the handshake, whose leaf's key was proved.
    pub chain: Option<&'a Chain>,
    /// The token.
    pub token: Option<&'a SasToken>,
    /// What the request was made to.
    pub audience: Audience<'a>,
}

/// Decides which device a caller is.
pub struct Authenticator {
    store: Arc<dyn Store>,
    directory: Arc<Directory>,
    paths: Remembered<PathKey, FoundPath>,
    identities: Remembered<(HubKey, DeviceId), Stamped>,
    config: Config,
}

/// What a path depends on: the hub, the SHA-256 of the presented chain, and the trust version that last changed the CA
/// certificates of the hub, so that a change of them makes every older entry unreachable.
type PathKey = (HubKey, Sha256, TrustVersion);

/// A path from a leaf to a verified certificate.
#[derive(Debug)]
pub(crate) struct FoundPath {
    /// The verified certificate.
    pub(crate) anchor: Sha256,
    /// SHA-256 of each certificate, leaf first, the anchor last.
    pub(crate) path: Arc<[Sha256]>,
    /// The first second in which all of them are valid.
    pub(crate) valid_from: Time,
    /// The last such second.
    pub(crate) valid_until: Time,
}

/// An identity with the stamp that it was read under.
struct Stamped {
    stamp: u64,
    identity: Arc<DeviceIdentity>,
}

impl Authenticator {
    /// Makes the judge over the registry in `store` and the CA certificates in `directory`.
    pub fn new(store: Arc<dyn Store>, directory: Arc<Directory>, config: Config) -> Self {
        Self {
            store,
            directory,
            paths: Remembered::new(config.remembered_paths),
            identities: Remembered::new(config.remembered_identities),
            config,
        }
    }

    /// Judges whether a caller is the device that it names.
    ///
    /// # Errors
    /// [`Error::Refused`] with the rule that failed; its code is that of an unknown device for
    /// [`ReasonCode::DeviceUnknown`]. [`Error::Store`] when the registry can't be read.
    pub async fn device(
        &self,
        hub: &Arc<Hub>,
        id: &DeviceId,
        credential: DeviceCredential<'_>,
        now: Wall,
    ) -> Result<DevicePermit, Error> {
        let version = self.directory.trust_version();
        let token = credential.token;
        if token.is_none() && credential.chain.is_none() {
            return Err(Error::Refused(ReasonCode::NoCredential));
        }
        if token.is_some() && hub.disable_device_sas {
            return Err(Error::Refused(ReasonCode::SasDisabled));
        }
        let by_policy = match token {
            Some(token) if names_policy(token) => {
                Some(self.policy_token(hub, token, credential.audience, now)?)
            }
            _ => None,
        };
        let identity = self.identity(hub.key, id).await?;
        let (basis, valid_until) = match (by_policy, token, credential.chain) {
            (Some(by_policy), _, _) => by_policy,
            (None, Some(token), _) => self.device_token(&identity, token, credential.audience, now)?,
            (None, None, Some(chain)) => self.certificate(hub, &identity, chain, now)?,
            (None, None, None) => return Err(Error::Refused(ReasonCode::NoCredential)),
        };
        if identity.status == DeviceStatus::Disabled {
            return Err(Error::Refused(ReasonCode::DeviceDisabled));
        }
        Ok(DevicePermit {
            hub: Arc::clone(hub),
            identity,
            valid_until,
            version,
            basis,
        })
    }

    /// Holds that a permit would still be given, as far as the identity goes: it is enabled, of the same generation, and
    /// proves itself in the same way. For an attachment that was made after the permit was given: what was written in
    /// between found nobody to tell.
    ///
    /// # Errors
    /// [`Error::Refused`] with the rule that fails by now; [`Error::Store`].
    pub async fn confirm(&self, permit: &DevicePermit) -> Result<(), Error> {
        let identity = self.identity(permit.hub_key(), permit.device()).await?;
        let by_policy = matches!(permit.basis, DeviceBasis::Policy { .. });
        if identity.generation != permit.generation() {
            Err(Error::Refused(ReasonCode::DeviceUnknown))
        } else if identity.status == DeviceStatus::Disabled {
            Err(Error::Refused(ReasonCode::DeviceDisabled))
        } else if !by_policy && identity.authentication != permit.identity.authentication {
            Err(Error::Refused(ReasonCode::WrongCredentialType))
        } else {
            Ok(())
        }
    }

    fn policy_token(
        &self,
        hub: &Hub,
        token: &SasToken,
        audience: Audience<'_>,
        now: Wall,
    ) -> Result<(DeviceBasis, Wall), Error> {
        let (policy, slot) = judge_policy_token(
            &hub.policies,
            token,
            audience,
            Case::Matters,
            self.config.skew,
            now,
        )
        .map_err(Error::Refused)?;
        if !policy.rights.effective().contains(HubRights::DEVICE_CONNECT) {
            return Err(Error::Refused(ReasonCode::PolicyLacksRight));
        }
        let name = policy.name.clone();
        Ok((DeviceBasis::Policy { name, slot }, token.expiry))
    }

    /// The case of the token's path does not matter: documents ask for lower case, and the key is the device's own.
    fn device_token(
        &self,
        identity: &DeviceIdentity,
        token: &SasToken,
        audience: Audience<'_>,
        now: Wall,
    ) -> Result<(DeviceBasis, Wall), Error> {
        let Authentication::Sas { primary, secondary } = &identity.authentication else {
            return Err(Error::Refused(ReasonCode::WrongCredentialType));
        };
        if !audience.is_covered_by(&token.resource, Case::Folded) {
            return Err(Error::Refused(ReasonCode::AudienceWrong));
        }
        let slot = sas::signing_key(primary, secondary, token)
            .ok_or(Error::Refused(ReasonCode::TokenSignatureWrong))?;
        if sas::is_expired(token, self.config.skew, now) {
            return Err(Error::Refused(ReasonCode::TokenExpired));
        }
        Ok((DeviceBasis::DeviceKey(slot), token.expiry))
    }

    fn certificate(
        &self,
        hub: &Hub,
        identity: &DeviceIdentity,
        chain: &Chain,
        now: Wall,
    ) -> Result<(DeviceBasis, Wall), Error> {
        let leaf = chain.leaf();
        match &identity.authentication {
            Authentication::SelfSigned { .. } => {
                judge_thumbprint(identity, leaf, now).map_err(Error::Refused)?;
                let basis = DeviceBasis::Thumbprint { leaf: leaf.sha256() };
                Ok((basis, Wall::from_seconds(leaf.not_after().unix())))
            }
            Authentication::CertificateAuthority => {
                judge_leaf(&identity.id, leaf).map_err(Error::Refused)?;
                let decision = self.path(hub, chain, now).map_err(Error::Refused)?;
                let basis = DeviceBasis::CertificateAuthority {
                    anchor: decision.anchor,
                    path: Arc::clone(&decision.path),
                };
                Ok((basis, Wall::from_seconds(decision.valid_until.unix())))
            }
            Authentication::None | Authentication::Sas { .. } => {
                Err(Error::Refused(ReasonCode::WrongCredentialType))
            }
        }
    }

    /// Reads an identity, from memory while the store says that it did not change.
    async fn identity(&self, hub: HubKey, id: &DeviceId) -> Result<Arc<DeviceIdentity>, Error> {
        // Asked before reading: a change in between makes the entry old, not the answer.
        let stamp = self.store.device_stamp(hub, id);
        let key = (hub, id.clone());
        if let Some(known) = self
            .identities
            .find(&key)
            .filter(|known| Some(known.stamp) == stamp)
        {
            return Ok(Arc::clone(&known.identity));
        }
        let identity = self
            .store
            .device(hub, id)
            .await?
            .map(Arc::new)
            .ok_or(Error::Refused(ReasonCode::DeviceUnknown))?;
        if let Some(stamp) = stamp {
            let identity = Arc::clone(&identity);
            self.identities.insert(key, Arc::new(Stamped { stamp, identity }));
        }
        Ok(identity)
    }

    /// Finds a path, from memory while the hub's CA certificates are the same and all of its certificates are valid. Only
    /// found paths are remembered, so that strangers can't fill the memory with chains that lead nowhere.
    fn path(&self, hub: &Hub, chain: &Chain, now: Wall) -> Result<Arc<FoundPath>, ReasonCode> {
        let trust = self.directory.trust(CertificateOwner::Hub(hub.key));
        let key = (hub.key, chain.sha256(), trust.version());
        let at = now.to_pki();
        if let Some(known) = self
            .paths
            .find(&key)
            .filter(|known| known.valid_from <= at && at <= known.valid_until)
        {
            return Ok(known);
        }
        let found = Arc::new(find_path(chain, &trust, now, &mut Silent)?);
        self.paths.insert(key, Arc::clone(&found));
        Ok(found)
    }
}

/// Says whether a token names a policy; an empty name is none.
pub(crate) fn names_policy(token: &SasToken) -> bool {
    token.policy.as_deref().is_some_and(|name| !name.is_empty())
}

/// Judges a certificate of a device that is known by thumbprint: nothing but the thumbprint and the dates count.
pub(crate) fn judge_thumbprint(
    identity: &DeviceIdentity,
    leaf: &Certificate,
    now: Wall,
) -> Result<(), ReasonCode> {
    let Authentication::SelfSigned { primary, secondary } = &identity.authentication else {
        return Err(ReasonCode::WrongCredentialType);
    };
    if !primary.iter().chain(secondary).any(|one| one.matches(leaf)) {
        return Err(ReasonCode::ThumbprintDiffers);
    }
    let now = now.to_pki();
    if now > leaf.not_after() {
        Err(ReasonCode::Expired)
    } else if now < leaf.not_before() {
        Err(ReasonCode::NotYetValid)
    } else {
        Ok(())
    }
}

/// Judges the leaf of a device of type `certificateAuthority` by itself: its common name is the device id, case
/// included, and it is not a CA.
pub(crate) fn judge_leaf(id: &DeviceId, leaf: &Certificate) -> Result<(), ReasonCode> {
    match leaf.common_name() {
        None => Err(ReasonCode::CommonNameMissing),
        Some(name) if name == id.as_str() => {
            if leaf.basic_constraints().is_some_and(|constraints| constraints.ca) {
                Err(ReasonCode::LeafIsCa)
            } else {
                Ok(())
            }
        }
        Some(name) if name.eq_ignore_ascii_case(id.as_str()) => Err(ReasonCode::CommonNameDiffersInCase),
        Some(_) => Err(ReasonCode::CommonNameDiffers),
    }
}

/// Finds a path by signature from the leaf to a verified CA certificate of the hub; the nearest one ends it.
pub(crate) fn find_path(
    chain: &Chain,
    trust: &OwnerTrust,
    now: Wall,
    observer: &mut dyn Observer,
) -> Result<FoundPath, ReasonCode> {
    let mut unverified = false;
    let walked = walk(
        chain,
        trust.anchors(),
        now.to_pki(),
        Budget::default(),
        observer,
        |path| {
            if path.issuers().is_empty() || !path.top().origin.configured {
                return ControlFlow::Continue(());
            }
            let top = path.top().certificate.sha256();
            if !trust.is_verified(&top) {
                unverified = true;
                return ControlFlow::Continue(());
            }
            ControlFlow::Break(FoundPath {
                anchor: top,
                path: path.steps().map(|step| step.certificate.sha256()).collect(),
                valid_from: path.valid_from(),
                valid_until: path.valid_until(),
            })
        },
    );
    match walked {
        Walked::Decided(decision) => Ok(decision),
        Walked::Undecided(reason) => match reason.as_ref().map(reason_code) {
            Some(code @ ReasonCode::TooManyCandidates) => Err(code),
            _ if unverified => Err(ReasonCode::AnchorNotVerified),
            Some(code) => Err(code),
            None => Err(ReasonCode::AnchorNotVerified),
        },
    }
}
