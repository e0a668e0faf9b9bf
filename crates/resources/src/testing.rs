//! A control plane in memory for tests: it keeps the promises of [`crate::ports`], and loses replies on request.
//!
//! Small on purpose; the store that a server runs on is held to the same promises by its own battery.

mod issuer;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use muster_model::estate::{ConsumerGroup, Hub, ProvisioningService, ResourceGroup};
use muster_model::{
    CaCertificate, CertificateName, CertificateOwner, ConsumerGroupName, DpsKey, ETag, HubKey, IfMatch,
    RequestId, ResourceGroupName, SubscriptionId, TrustVersion, VerificationCode, Wall,
};

use crate::ports::{
    CertificateDraft, Changes, Delta, HubDraft, ServerFacts, ServiceDraft, Store, StoreError, WriteError,
};

pub use issuer::{NOT_AFTER, NOT_BEFORE, TestCa, leaf_key, self_signed};

/// A store in memory.
#[derive(Default)]
pub struct MemoryStore {
    state: Mutex<State>,
    lost_replies: AtomicU32,
}

#[derive(Default)]
struct State {
    version: u64,
    numbers: u64,
    operator: Option<(u64, [u8; 32])>,
    groups: BTreeMap<ResourceGroupName, (u64, Option<ResourceGroup>)>,
    hubs: BTreeMap<HubKey, (u64, Option<Hub>)>,
    services: BTreeMap<DpsKey, (u64, Option<ProvisioningService>)>,
    certificates: BTreeMap<(CertificateOwner, CertificateName), (u64, Option<CaCertificate>)>,
    seen: HashMap<RequestId, Answer>,
}

#[derive(Clone)]
enum Answer {
    Bool(bool),
    Certificate(CaCertificate),
    ConsumerGroup(ConsumerGroup),
    Hub(Hub),
    Nothing,
    Refused(WriteError),
    Service(ProvisioningService),
}

impl MemoryStore {
    /// Makes an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Does the next `count` writes and then answers that their outcome is unknown.
    pub fn lose_replies(&self, count: u32) {
        self.lost_replies.store(count, Ordering::SeqCst);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(
        &self,
        request: RequestId,
        work: impl FnOnce(&mut State) -> Result<Answer, WriteError>,
    ) -> Result<Answer, WriteError> {
        let answer = {
            let mut state = self.state();
            if let Some(known) = state.seen.get(&request) {
                known.clone()
            } else {
                let answer = work(&mut state).unwrap_or_else(Answer::Refused);
                state.seen.insert(request, answer.clone());
                answer
            }
        };
        let lost = self
            .lost_replies
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match (lost, answer) {
            (Ok(_), _) => Err(WriteError::Store(StoreError::Unknown(
                "the reply was lost".to_owned(),
            ))),
            (Err(_), Answer::Refused(error)) => Err(error),
            (Err(_), answer) => Ok(answer),
        }
    }
}

impl State {
    fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn hub(&mut self, key: HubKey, if_match: IfMatch) -> Result<Hub, WriteError> {
        let hub = self
            .hubs
            .get(&key)
            .and_then(|(_, hub)| hub.clone())
            .ok_or(WriteError::Missing)?;
        if_match.allows(hub.etag).then_some(hub).ok_or(WriteError::Stale)
    }

    fn service(&mut self, key: DpsKey, if_match: IfMatch) -> Result<ProvisioningService, WriteError> {
        let service = self
            .services
            .get(&key)
            .and_then(|(_, service)| service.clone())
            .ok_or(WriteError::Missing)?;
        if_match
            .allows(service.etag)
            .then_some(service)
            .ok_or(WriteError::Stale)
    }

    fn certificate(
        &self,
        owner: CertificateOwner,
        name: &CertificateName,
        if_match: IfMatch,
    ) -> Result<CaCertificate, WriteError> {
        let one = self
            .certificates
            .get(&(owner, name.clone()))
            .and_then(|(_, one)| one.clone())
            .ok_or(WriteError::Missing)?;
        if_match.allows(one.etag).then_some(one).ok_or(WriteError::Stale)
    }

    fn put_hub(&mut self, mut hub: Hub) -> Answer {
        hub.etag = ETag::new(self.next_number());
        let version = self.next_version();
        self.hubs.insert(hub.key, (version, Some(hub.clone())));
        Answer::Hub(hub)
    }

    fn put_service(&mut self, mut service: ProvisioningService) -> Answer {
        service.etag = ETag::new(self.next_number());
        let version = self.next_version();
        self.services
            .insert(service.key, (version, Some(service.clone())));
        Answer::Service(service)
    }

    fn put_certificate(&mut self, mut one: CaCertificate) -> Answer {
        one.etag = ETag::new(self.next_number());
        let version = self.next_version();
        self.certificates
            .insert((one.owner, one.name.clone()), (version, Some(one.clone())));
        Answer::Certificate(one)
    }

    fn drop_hub(&mut self, key: HubKey) {
        let version = self.next_version();
        self.hubs.insert(key, (version, None));
        for (changed, service) in self.services.values_mut() {
            if let Some(service) = service
                && service.links.iter().any(|link| link.hub == key)
            {
                service.links.retain(|link| link.hub != key);
                *changed = version;
            }
        }
    }

    fn drop_service(&mut self, key: DpsKey) {
        let version = self.next_version();
        self.services.insert(key, (version, None));
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn facts(&self) -> Result<ServerFacts, StoreError> {
        let subscription = SubscriptionId::parse("00000000-0000-4000-8000-000000000000")
            .map_err(|e| StoreError::Unavailable(e.to_string()))?;
        Ok(ServerFacts {
            subscription,
            incarnation: 1,
            latest_wall: None,
        })
    }

    async fn remember_wall(&self, _now: Wall) -> Result<(), StoreError> {
        Ok(())
    }

    async fn read_since(&self, version: TrustVersion) -> Result<Delta, StoreError> {
        fn since<K: Clone, V: Clone>(
            rows: &BTreeMap<K, (u64, Option<V>)>,
            version: TrustVersion,
        ) -> Vec<(K, Option<V>)> {
            rows.iter()
                .filter(|(_, (changed, _))| *changed > version.get())
                .map(|(key, (_, row))| (key.clone(), row.clone()))
                .collect()
        }
        let state = self.state();
        Ok(Delta {
            version: TrustVersion::new(state.version),
            groups: since(&state.groups, version),
            hubs: since(&state.hubs, version),
            services: since(&state.services, version),
            certificates: since(&state.certificates, version)
                .into_iter()
                .map(|((owner, name), row)| (owner, name, row))
                .collect(),
            operator: state
                .operator
                .filter(|(changed, _)| *changed > version.get())
                .map(|(_, hash)| hash),
        })
    }

    async fn put_operator(&self, request: RequestId, hash: [u8; 32]) -> Result<(), StoreError> {
        let done = self.write(request, |state| {
            let version = state.next_version();
            state.operator = Some((version, hash));
            Ok(Answer::Nothing)
        });
        match done {
            Err(WriteError::Store(error)) => Err(error),
            _ => Ok(()),
        }
    }

    async fn put_group(&self, request: RequestId, group: ResourceGroup) -> Result<bool, StoreError> {
        let done = self.write(request, |state| {
            let version = state.next_version();
            let old = state.groups.insert(group.name.clone(), (version, Some(group)));
            Ok(Answer::Bool(old.is_none_or(|(_, old)| old.is_none())))
        });
        match done {
            Err(WriteError::Store(error)) => Err(error),
            Ok(Answer::Bool(created)) => Ok(created),
            _ => Ok(false),
        }
    }

    async fn delete_group(&self, request: RequestId, name: &ResourceGroupName) -> Result<(), WriteError> {
        self.write(request, |state| {
            if state.groups.get(name).is_none_or(|(_, group)| group.is_none()) {
                return Err(WriteError::Missing);
            }
            let version = state.next_version();
            state.groups.insert(name.clone(), (version, None));
            let hubs: Vec<HubKey> = state
                .hubs
                .values()
                .filter_map(|(_, hub)| hub.as_ref().filter(|hub| hub.group == *name).map(|hub| hub.key))
                .collect();
            let services: Vec<DpsKey> = state
                .services
                .values()
                .filter_map(|(_, one)| one.as_ref().filter(|one| one.group == *name).map(|one| one.key))
                .collect();
            for key in hubs {
                state.drop_hub(key);
            }
            for key in services {
                state.drop_service(key);
            }
            Ok(Answer::Nothing)
        })
        .map(|_| ())
    }

    async fn create_hub(&self, request: RequestId, draft: HubDraft, now: Wall) -> Result<Hub, WriteError> {
        let answer = self.write(request, |state| {
            if state
                .hubs
                .values()
                .any(|(_, hub)| hub.as_ref().is_some_and(|hub| hub.name == draft.name))
            {
                return Err(WriteError::Exists);
            }
            let key = HubKey::new(state.next_number());
            Ok(state.put_hub(Hub {
                key,
                name: draft.name,
                group: draft.group,
                location: draft.location,
                tags: draft.tags,
                partitions: draft.partitions,
                retention_days: draft.retention_days,
                retention_bytes: draft.retention_bytes,
                disable_device_sas: draft.disable_device_sas,
                document: draft.document,
                policies: draft.policies,
                consumer_groups: Vec::new(),
                created: now,
                etag: ETag::default(),
            }))
        })?;
        expect_hub(answer)
    }

    async fn update_hub(
        &self,
        request: RequestId,
        key: HubKey,
        draft: HubDraft,
        if_match: IfMatch,
    ) -> Result<Hub, WriteError> {
        let answer = self.write(request, |state| {
            let hub = state.hub(key, if_match)?;
            Ok(state.put_hub(Hub {
                location: draft.location,
                tags: draft.tags,
                retention_days: draft.retention_days,
                retention_bytes: draft.retention_bytes,
                disable_device_sas: draft.disable_device_sas,
                document: draft.document,
                policies: draft.policies,
                ..hub
            }))
        })?;
        expect_hub(answer)
    }

    async fn delete_hub(&self, request: RequestId, key: HubKey, if_match: IfMatch) -> Result<(), WriteError> {
        self.write(request, |state| {
            state.hub(key, if_match)?;
            state.drop_hub(key);
            Ok(Answer::Nothing)
        })
        .map(|_| ())
    }

    async fn put_consumer_group(
        &self,
        request: RequestId,
        hub: HubKey,
        name: ConsumerGroupName,
        now: Wall,
    ) -> Result<ConsumerGroup, WriteError> {
        let answer = self.write(request, |state| {
            let mut hub = state.hub(hub, IfMatch::Any)?;
            if let Some(known) = hub.consumer_groups.iter().find(|one| one.name == name) {
                return Ok(Answer::ConsumerGroup(known.clone()));
            }
            let group = ConsumerGroup { name, created: now };
            hub.consumer_groups.push(group.clone());
            state.put_hub(hub);
            Ok(Answer::ConsumerGroup(group))
        })?;
        match answer {
            Answer::ConsumerGroup(group) => Ok(group),
            _ => Err(mixed_up()),
        }
    }

    async fn delete_consumer_group(
        &self,
        request: RequestId,
        hub: HubKey,
        name: &ConsumerGroupName,
    ) -> Result<(), WriteError> {
        self.write(request, |state| {
            let mut hub = state.hub(hub, IfMatch::Any)?;
            let before = hub.consumer_groups.len();
            hub.consumer_groups.retain(|one| one.name != *name);
            if hub.consumer_groups.len() == before {
                return Err(WriteError::Missing);
            }
            Ok(state.put_hub(hub))
        })
        .map(|_| ())
    }

    async fn create_service(
        &self,
        request: RequestId,
        draft: ServiceDraft,
        now: Wall,
    ) -> Result<ProvisioningService, WriteError> {
        let answer = self.write(request, |state| {
            let taken = |one: &ProvisioningService| one.name == draft.name || one.id_scope == draft.id_scope;
            if state
                .services
                .values()
                .any(|(_, one)| one.as_ref().is_some_and(taken))
            {
                return Err(WriteError::Exists);
            }
            let key = DpsKey::new(state.next_number());
            Ok(state.put_service(ProvisioningService {
                key,
                name: draft.name,
                group: draft.group,
                location: draft.location,
                tags: draft.tags,
                id_scope: draft.id_scope,
                allocation: draft.allocation,
                links: draft.links,
                document: draft.document,
                policies: draft.policies,
                created: now,
                etag: ETag::default(),
            }))
        })?;
        expect_service(answer)
    }

    async fn update_service(
        &self,
        request: RequestId,
        key: DpsKey,
        draft: ServiceDraft,
        if_match: IfMatch,
    ) -> Result<ProvisioningService, WriteError> {
        let answer = self.write(request, |state| {
            let service = state.service(key, if_match)?;
            Ok(state.put_service(ProvisioningService {
                location: draft.location,
                tags: draft.tags,
                allocation: draft.allocation,
                links: draft.links,
                document: draft.document,
                policies: draft.policies,
                ..service
            }))
        })?;
        expect_service(answer)
    }

    async fn delete_service(
        &self,
        request: RequestId,
        key: DpsKey,
        if_match: IfMatch,
    ) -> Result<(), WriteError> {
        self.write(request, |state| {
            state.service(key, if_match)?;
            state.drop_service(key);
            Ok(Answer::Nothing)
        })
        .map(|_| ())
    }

    async fn put_certificate(
        &self,
        request: RequestId,
        draft: CertificateDraft,
        if_match: IfMatch,
        now: Wall,
    ) -> Result<CaCertificate, WriteError> {
        let answer = self.write(request, |state| {
            let known = state.certificate(draft.owner, &draft.name, if_match);
            let created = match (known, if_match.requires_existing()) {
                (Ok(_), false) => return Err(WriteError::Exists),
                (Err(WriteError::Missing), false) => now,
                (Ok(known), true) => known.created,
                (Err(error), _) => return Err(error),
            };
            Ok(state.put_certificate(CaCertificate {
                owner: draft.owner,
                name: draft.name,
                certificate: draft.certificate,
                verified: draft.verified,
                code: None,
                etag: ETag::default(),
                created,
                updated: now,
            }))
        })?;
        expect_certificate(answer)
    }

    async fn start_proof(
        &self,
        request: RequestId,
        owner: CertificateOwner,
        name: &CertificateName,
        code: VerificationCode,
        if_match: IfMatch,
        now: Wall,
    ) -> Result<CaCertificate, WriteError> {
        let answer = self.write(request, |state| {
            let known = state.certificate(owner, name, if_match)?;
            Ok(state.put_certificate(CaCertificate {
                code: Some(code),
                updated: now,
                ..known
            }))
        })?;
        expect_certificate(answer)
    }

    async fn finish_proof(
        &self,
        request: RequestId,
        owner: CertificateOwner,
        name: &CertificateName,
        code: VerificationCode,
        if_match: IfMatch,
        now: Wall,
    ) -> Result<CaCertificate, WriteError> {
        let answer = self.write(request, |state| {
            let known = state.certificate(owner, name, if_match)?;
            if known.code != Some(code) {
                return Err(WriteError::Stale);
            }
            Ok(state.put_certificate(CaCertificate {
                verified: true,
                code: None,
                updated: now,
                ..known
            }))
        })?;
        expect_certificate(answer)
    }

    async fn delete_certificate(
        &self,
        request: RequestId,
        owner: CertificateOwner,
        name: &CertificateName,
        if_match: IfMatch,
    ) -> Result<(), WriteError> {
        self.write(request, |state| {
            state.certificate(owner, name, if_match)?;
            let version = state.next_version();
            state.certificates.insert((owner, name.clone()), (version, None));
            Ok(Answer::Nothing)
        })
        .map(|_| ())
    }

    async fn reap(&self, _limit: usize, _fence: u64) -> Result<usize, StoreError> {
        Ok(0)
    }
}

/// Notices within one process.
pub struct LocalChanges(tokio::sync::watch::Sender<TrustVersion>);

impl Default for LocalChanges {
    fn default() -> Self {
        Self(tokio::sync::watch::Sender::new(TrustVersion::default()))
    }
}

impl Changes for LocalChanges {
    fn notify(&self, version: TrustVersion) {
        self.0.send_if_modified(|known| {
            let newer = version > *known;
            *known = version.max(*known);
            newer
        });
    }

    fn watch(&self) -> tokio::sync::watch::Receiver<TrustVersion> {
        self.0.subscribe()
    }
}

fn expect_hub(answer: Answer) -> Result<Hub, WriteError> {
    match answer {
        Answer::Hub(hub) => Ok(hub),
        _ => Err(mixed_up()),
    }
}

fn expect_service(answer: Answer) -> Result<ProvisioningService, WriteError> {
    match answer {
        Answer::Service(service) => Ok(service),
        _ => Err(mixed_up()),
    }
}

fn expect_certificate(answer: Answer) -> Result<CaCertificate, WriteError> {
    match answer {
        Answer::Certificate(certificate) => Ok(certificate),
        _ => Err(mixed_up()),
    }
}

/// One request id was used for two different writes.
fn mixed_up() -> WriteError {
    WriteError::Store(StoreError::Unavailable("a request id was used twice".to_owned()))
}
