//! The control plane and the leases in memory.

use std::time::Duration;

use async_trait::async_trait;
use muster_model::estate::{ConsumerGroup, Hub, HubLink, ProvisioningService, ResourceGroup};
use muster_model::{
    CaCertificate, CertificateName, CertificateOwner, ConsumerGroupName, DpsKey, HubKey, IfMatch, RequestId,
    ResourceGroupName, SubscriptionId, TrustVersion, VerificationCode, Wall,
};
use muster_resources::{
    CertificateDraft, Delta, HubDraft, Lease, Leases, ServerFacts, ServiceDraft, Store, StoreError,
    WriteError,
};

use super::{Memory, State, Thing};
use crate::fault::Fault;

impl State {
    fn require(&self, owner: CertificateOwner) -> Result<(), Fault> {
        if self.is_alive(owner) {
            Ok(())
        } else {
            Err(Fault::Missing)
        }
    }

    pub(super) fn is_alive(&self, owner: CertificateOwner) -> bool {
        match owner {
            CertificateOwner::Dps(key) => self.services.contains_key(&key),
            CertificateOwner::Hub(key) => self.hubs.contains_key(&key),
        }
    }

    fn require_links(&self, links: &[HubLink]) -> Result<(), Fault> {
        links
            .iter()
            .try_for_each(|link| self.require(CertificateOwner::Hub(link.hub)))
    }

    fn certificate(
        &self,
        owner: CertificateOwner,
        name: &CertificateName,
        if_match: IfMatch,
    ) -> Result<CaCertificate, Fault> {
        self.require(owner)?;
        let certificate = self
            .certificates
            .get(&(owner, name.clone()))
            .ok_or(Fault::Missing)?;
        matching(certificate.etag, if_match)?;
        Ok(certificate.clone())
    }

    fn save_certificate(&mut self, certificate: CaCertificate) -> CaCertificate {
        let key = (certificate.owner, certificate.name.clone());
        self.trust_changed(Thing::Certificate(key.0, key.1.clone()));
        self.certificates.insert(key, certificate.clone());
        certificate
    }

    fn remove_hub(&mut self, key: HubKey) {
        self.hubs.remove(&key);
        let linking: Vec<DpsKey> = self
            .services
            .iter()
            .filter(|(_, service)| service.links.iter().any(|link| link.hub == key))
            .map(|(key, _)| *key)
            .collect();
        for service in linking {
            let etag = self.etag();
            if let Some(service) = self.services.get_mut(&service) {
                service.links.retain(|link| link.hub != key);
                service.etag = etag;
            }
            self.trust_changed(Thing::Service(service));
        }
        self.trust_changed(Thing::Hub(key));
    }

    fn remove_service(&mut self, key: DpsKey) {
        self.services.remove(&key);
        self.trust_changed(Thing::Service(key));
    }
}

pub(super) fn matching(etag: muster_model::ETag, if_match: IfMatch) -> Result<(), Fault> {
    if if_match.allows(etag) {
        Ok(())
    } else {
        Err(Fault::Stale)
    }
}

#[async_trait]
impl Store for Memory {
    async fn facts(&self) -> Result<ServerFacts, StoreError> {
        self.before().await?;
        let drawn = self.random.draw(RequestId::random).to_string();
        let drawn = SubscriptionId::parse(&drawn).map_err(|error| Fault::unavailable(error.to_string()))?;
        let mut state = self.lock();
        Ok(ServerFacts {
            subscription: state.subscription.get_or_insert(drawn).clone(),
            incarnation: 1,
            latest_wall: state.latest_wall,
        })
    }

    async fn remember_wall(&self, now: Wall) -> Result<(), StoreError> {
        self.write(false, |state| {
            state.latest_wall = state.latest_wall.max(Some(now));
            Ok(())
        })
        .await
    }

    async fn read_since(&self, version: TrustVersion) -> Result<Delta, StoreError> {
        self.read(|state| {
            let everything = version == TrustVersion::new(0);
            let mut delta = Delta {
                version: TrustVersion::new(state.trust),
                ..Delta::default()
            };
            for (thing, _) in state.changes.iter().filter(|(_, at)| **at > version) {
                match thing {
                    Thing::Certificate(owner, name) if state.is_alive(*owner) => {
                        let found = state.certificates.get(&(*owner, name.clone())).cloned();
                        if found.is_some() || !everything {
                            delta.certificates.push((*owner, name.clone(), found));
                        }
                    }
                    Thing::Certificate(..) => {}
                    Thing::Group(name) => {
                        let found = state.groups.get(name).cloned();
                        if found.is_some() || !everything {
                            delta.groups.push((name.clone(), found));
                        }
                    }
                    Thing::Hub(key) => {
                        let found = state.hubs.get(key).cloned();
                        if found.is_some() || !everything {
                            delta.hubs.push((*key, found));
                        }
                    }
                    Thing::Operator => delta.operator = state.operator,
                    Thing::Service(key) => {
                        let found = state.services.get(key).cloned();
                        if found.is_some() || !everything {
                            delta.services.push((*key, found));
                        }
                    }
                }
            }
            delta
        })
        .await
    }

    async fn put_operator(&self, request: RequestId, hash: [u8; 32]) -> Result<(), StoreError> {
        self.once(request, false, |state| {
            state.operator = Some(hash);
            state.trust_changed(Thing::Operator);
            Ok(())
        })
        .await
    }

    async fn put_group(&self, request: RequestId, group: ResourceGroup) -> Result<bool, StoreError> {
        self.once(request, false, |state| {
            state.trust_changed(Thing::Group(group.name.clone()));
            Ok(state.groups.insert(group.name.clone(), group).is_none())
        })
        .await
    }

    async fn delete_group(&self, request: RequestId, name: &ResourceGroupName) -> Result<(), WriteError> {
        self.once(request, false, |state| {
            state.groups.remove(name).ok_or(Fault::Missing)?;
            let services: Vec<_> = state
                .services
                .values()
                .filter(|service| service.group == *name)
                .map(|service| service.key)
                .collect();
            for key in services {
                state.remove_service(key);
            }
            let hubs: Vec<_> = state
                .hubs
                .values()
                .filter(|hub| hub.group == *name)
                .map(|hub| hub.key)
                .collect();
            for key in hubs {
                state.remove_hub(key);
            }
            state.trust_changed(Thing::Group(name.clone()));
            Ok(())
        })
        .await
    }

    async fn create_hub(&self, request: RequestId, draft: HubDraft, now: Wall) -> Result<Hub, WriteError> {
        self.once(request, false, |state| {
            if !state.groups.contains_key(&draft.group) {
                return Err(Fault::Missing);
            }
            if state.hubs.values().any(|hub| hub.name == draft.name) {
                return Err(Fault::Exists);
            }
            let hub = Hub {
                key: HubKey::new(state.key()),
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
                etag: state.etag(),
            };
            state.hubs.insert(hub.key, hub.clone());
            state.trust_changed(Thing::Hub(hub.key));
            Ok(hub)
        })
        .await
    }

    async fn update_hub(
        &self,
        request: RequestId,
        key: HubKey,
        draft: HubDraft,
        if_match: IfMatch,
    ) -> Result<Hub, WriteError> {
        self.once(request, true, |state| {
            let old = state.hubs.get(&key).ok_or(Fault::Missing)?.clone();
            matching(old.etag, if_match)?;
            let hub = Hub {
                location: draft.location,
                tags: draft.tags,
                retention_days: draft.retention_days,
                retention_bytes: draft.retention_bytes,
                disable_device_sas: draft.disable_device_sas,
                document: draft.document,
                policies: draft.policies,
                etag: state.etag(),
                ..old
            };
            state.hubs.insert(key, hub.clone());
            state.trust_changed(Thing::Hub(key));
            Ok(hub)
        })
        .await
    }

    async fn delete_hub(&self, request: RequestId, key: HubKey, if_match: IfMatch) -> Result<(), WriteError> {
        self.once(request, true, |state| {
            matching(state.hubs.get(&key).ok_or(Fault::Missing)?.etag, if_match)?;
            state.remove_hub(key);
            Ok(())
        })
        .await
    }

    async fn put_consumer_group(
        &self,
        request: RequestId,
        hub: HubKey,
        name: ConsumerGroupName,
        now: Wall,
    ) -> Result<ConsumerGroup, WriteError> {
        self.once(request, false, |state| {
            let groups = &mut state.hubs.get_mut(&hub).ok_or(Fault::Missing)?.consumer_groups;
            if let Some(there) = groups.iter().find(|group| group.name == name) {
                return Ok(there.clone());
            }
            let group = ConsumerGroup { name, created: now };
            groups.push(group.clone());
            groups.sort_by(|a, b| a.name.cmp(&b.name));
            state.trust_changed(Thing::Hub(hub));
            Ok(group)
        })
        .await
    }

    async fn delete_consumer_group(
        &self,
        request: RequestId,
        hub: HubKey,
        name: &ConsumerGroupName,
    ) -> Result<(), WriteError> {
        self.once(request, false, |state| {
            let groups = &mut state.hubs.get_mut(&hub).ok_or(Fault::Missing)?.consumer_groups;
            let at = groups
                .iter()
                .position(|group| group.name == *name)
                .ok_or(Fault::Missing)?;
            groups.remove(at);
            state.trust_changed(Thing::Hub(hub));
            Ok(())
        })
        .await
    }

    async fn create_service(
        &self,
        request: RequestId,
        draft: ServiceDraft,
        now: Wall,
    ) -> Result<ProvisioningService, WriteError> {
        self.once(request, false, |state| {
            if !state.groups.contains_key(&draft.group) {
                return Err(Fault::Missing);
            }
            if state
                .services
                .values()
                .any(|service| service.name == draft.name || service.id_scope == draft.id_scope)
            {
                return Err(Fault::Exists);
            }
            state.require_links(&draft.links)?;
            let service = ProvisioningService {
                key: DpsKey::new(state.key()),
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
                etag: state.etag(),
            };
            state.services.insert(service.key, service.clone());
            state.trust_changed(Thing::Service(service.key));
            Ok(service)
        })
        .await
    }

    async fn update_service(
        &self,
        request: RequestId,
        key: DpsKey,
        draft: ServiceDraft,
        if_match: IfMatch,
    ) -> Result<ProvisioningService, WriteError> {
        self.once(request, true, |state| {
            let old = state.services.get(&key).ok_or(Fault::Missing)?.clone();
            matching(old.etag, if_match)?;
            state.require_links(&draft.links)?;
            let service = ProvisioningService {
                location: draft.location,
                tags: draft.tags,
                allocation: draft.allocation,
                links: draft.links,
                document: draft.document,
                policies: draft.policies,
                etag: state.etag(),
                ..old
            };
            state.services.insert(key, service.clone());
            state.trust_changed(Thing::Service(key));
            Ok(service)
        })
        .await
    }

    async fn delete_service(
        &self,
        request: RequestId,
        key: DpsKey,
        if_match: IfMatch,
    ) -> Result<(), WriteError> {
        self.once(request, true, |state| {
            matching(state.services.get(&key).ok_or(Fault::Missing)?.etag, if_match)?;
            state.remove_service(key);
            Ok(())
        })
        .await
    }

    async fn put_certificate(
        &self,
        request: RequestId,
        draft: CertificateDraft,
        if_match: IfMatch,
        now: Wall,
    ) -> Result<CaCertificate, WriteError> {
        self.once(request, if_match.requires_existing(), |state| {
            state.require(draft.owner)?;
            let there = state
                .certificates
                .get(&(draft.owner, draft.name.clone()))
                .cloned();
            match &there {
                None if if_match.requires_existing() => return Err(Fault::Missing),
                None => {}
                Some(_) if !if_match.requires_existing() => return Err(Fault::Exists),
                Some(old) => matching(old.etag, if_match)?,
            }
            let etag = state.etag();
            Ok(state.save_certificate(CaCertificate {
                owner: draft.owner,
                created: there.as_ref().map_or(now, |old| old.created),
                name: there.map_or(draft.name, |old| old.name),
                certificate: draft.certificate,
                verified: draft.verified,
                code: None,
                etag,
                updated: now,
            }))
        })
        .await
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
        self.once(request, true, |state| {
            let old = state.certificate(owner, name, if_match)?;
            let etag = state.etag();
            Ok(state.save_certificate(CaCertificate {
                code: Some(code),
                etag,
                updated: now,
                ..old
            }))
        })
        .await
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
        self.once(request, true, |state| {
            let old = state.certificate(owner, name, if_match)?;
            if old.code != Some(code) {
                return Err(Fault::Stale);
            }
            let etag = state.etag();
            Ok(state.save_certificate(CaCertificate {
                code: None,
                verified: true,
                etag,
                updated: now,
                ..old
            }))
        })
        .await
    }

    async fn delete_certificate(
        &self,
        request: RequestId,
        owner: CertificateOwner,
        name: &CertificateName,
        if_match: IfMatch,
    ) -> Result<(), WriteError> {
        self.once(request, true, |state| {
            let old = state.certificate(owner, name, if_match)?;
            state.certificates.remove(&(owner, name.clone()));
            state.trust_changed(Thing::Certificate(owner, old.name));
            Ok(())
        })
        .await
    }

    async fn reap(&self, limit: usize, fence: u64) -> Result<usize, StoreError> {
        self.write(false, |state| {
            if fence < state.reap_fence {
                return Err(Fault::unavailable("a newer holder of the lease reaps by now"));
            }
            state.reap_fence = fence;
            Ok(state.reap(limit))
        })
        .await
    }
}

impl State {
    /// Removes up to `limit` rows whose owner is gone.
    fn reap(&mut self, limit: usize) -> usize {
        let mut left = limit;
        let (hubs, services) = (&self.hubs, &self.services);
        let mut stays = |alive: bool| {
            let goes = !alive && left > 0;
            left -= usize::from(goes);
            !goes
        };
        self.devices.retain(|(hub, _), _| stays(hubs.contains_key(hub)));
        self.twins.retain(|(hub, _), _| stays(hubs.contains_key(hub)));
        self.device_subscriptions
            .retain(|(hub, _), _| stays(hubs.contains_key(hub)));
        self.individuals
            .retain(|(service, _), _| stays(services.contains_key(service)));
        self.enrollment_groups
            .retain(|(service, _), _| stays(services.contains_key(service)));
        self.registrations
            .retain(|(service, _), _| stays(services.contains_key(service)));
        self.certificates.retain(|(owner, _), _| {
            stays(match owner {
                CertificateOwner::Dps(key) => services.contains_key(key),
                CertificateOwner::Hub(key) => hubs.contains_key(key),
            })
        });
        limit - left
    }
}

#[async_trait]
impl Leases for Memory {
    async fn hold(
        &self,
        work: &'static str,
        holder: &str,
        span: Duration,
        now: Wall,
    ) -> Result<Option<Lease>, StoreError> {
        self.write(false, |state| {
            let fence = match state.leases.get(work) {
                Some((by, lease)) if by == holder => lease.fence,
                Some((_, lease)) if now < lease.until => return Ok(None),
                _ => {
                    state.fence += 1;
                    state.fence
                }
            };
            let lease = Lease {
                fence,
                until: now.plus(span),
            };
            state.leases.insert(work, (holder.to_owned(), lease));
            Ok(Some(lease))
        })
        .await
    }
}
