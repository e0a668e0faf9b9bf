//! The store of the control plane: each call is one unit of work over the files of its resource.

use async_trait::async_trait;
use muster_model::estate::{ConsumerGroup, Hub, ProvisioningService, ResourceGroup};
use muster_model::{
    CaCertificate, CertificateName, CertificateOwner, ConsumerGroupName, DpsKey, HubKey, IfMatch, RequestId,
    ResourceGroupName, TrustVersion, VerificationCode, Wall,
};
use muster_resources::{
    CertificateDraft, Delta, HubDraft, ServerFacts, ServiceDraft, Store, StoreError, WriteError,
};

use super::trust::Changed;
use super::unit::Meta;
use super::{Registry, certificate, hub, reap, resource_group, service, trust};

#[async_trait]
impl Store for Registry {
    async fn facts(&self) -> Result<ServerFacts, StoreError> {
        let meta = self.readers.read(Meta::load)?;
        Ok(ServerFacts {
            subscription: meta.subscription()?,
            incarnation: meta.incarnation,
            latest_wall: meta.latest_wall.map(Wall::from_micros),
        })
    }

    async fn remember_wall(&self, now: Wall) -> Result<(), StoreError> {
        self.write(move |unit| {
            unit.meta.latest_wall = unit.meta.latest_wall.max(Some(now.micros()));
            Ok(())
        })
        .await
    }

    async fn read_since(&self, version: TrustVersion) -> Result<Delta, StoreError> {
        Ok(self
            .readers
            .snapshot(|sql| trust::read_since(sql, &self.sealer, version))?)
    }

    async fn put_operator(&self, request: RequestId, hash: [u8; 32]) -> Result<(), StoreError> {
        self.write(move |unit| {
            unit.once(request, "put_operator", |unit| {
                unit.meta.operator = Some(hash);
                unit.trust_changed(&Changed::Operator)
            })
        })
        .await
    }

    async fn put_group(&self, request: RequestId, group: ResourceGroup) -> Result<bool, StoreError> {
        self.write(move |unit| unit.once(request, "put_group", |unit| resource_group::put(unit, &group)))
            .await
    }

    async fn delete_group(&self, request: RequestId, name: &ResourceGroupName) -> Result<(), WriteError> {
        let name = name.clone();
        self.write(move |unit| {
            unit.once(request, "delete_group", |unit| {
                resource_group::delete(unit, &name)
            })
        })
        .await
    }

    async fn create_hub(&self, request: RequestId, draft: HubDraft, now: Wall) -> Result<Hub, WriteError> {
        self.write(move |unit| unit.once(request, "create_hub", |unit| hub::create(unit, draft, now)))
            .await
    }

    async fn update_hub(
        &self,
        request: RequestId,
        key: HubKey,
        draft: HubDraft,
        if_match: IfMatch,
    ) -> Result<Hub, WriteError> {
        self.write(move |unit| {
            unit.once(request, "update_hub", |unit| {
                hub::update(unit, key, draft, if_match)
            })
        })
        .await
    }

    async fn delete_hub(&self, request: RequestId, key: HubKey, if_match: IfMatch) -> Result<(), WriteError> {
        self.write(move |unit| unit.once(request, "delete_hub", |unit| hub::delete(unit, key, if_match)))
            .await
    }

    async fn put_consumer_group(
        &self,
        request: RequestId,
        hub: HubKey,
        name: ConsumerGroupName,
        now: Wall,
    ) -> Result<ConsumerGroup, WriteError> {
        self.write(move |unit| {
            unit.once(request, "put_consumer_group", |unit| {
                hub::put_consumer_group(unit, hub, name, now)
            })
        })
        .await
    }

    async fn delete_consumer_group(
        &self,
        request: RequestId,
        hub: HubKey,
        name: &ConsumerGroupName,
    ) -> Result<(), WriteError> {
        let name = name.clone();
        self.write(move |unit| {
            unit.once(request, "delete_consumer_group", |unit| {
                hub::delete_consumer_group(unit, hub, &name)
            })
        })
        .await
    }

    async fn create_service(
        &self,
        request: RequestId,
        draft: ServiceDraft,
        now: Wall,
    ) -> Result<ProvisioningService, WriteError> {
        self.write(move |unit| {
            unit.once(request, "create_service", |unit| {
                service::create(unit, draft, now)
            })
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
        self.write(move |unit| {
            unit.once(request, "update_service", |unit| {
                service::update(unit, key, draft, if_match)
            })
        })
        .await
    }

    async fn delete_service(
        &self,
        request: RequestId,
        key: DpsKey,
        if_match: IfMatch,
    ) -> Result<(), WriteError> {
        self.write(move |unit| {
            unit.once(request, "delete_service", |unit| {
                service::delete(unit, key, if_match)
            })
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
        self.write(move |unit| {
            unit.once(request, "put_certificate", |unit| {
                certificate::put(unit, draft, if_match, now)
            })
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
        let name = name.clone();
        self.write(move |unit| {
            unit.once(request, "start_proof", |unit| {
                certificate::start_proof(unit, owner, &name, code, if_match, now)
            })
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
        let name = name.clone();
        self.write(move |unit| {
            unit.once(request, "finish_proof", |unit| {
                certificate::finish_proof(unit, owner, &name, code, if_match, now)
            })
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
        let name = name.clone();
        self.write(move |unit| {
            unit.once(request, "delete_certificate", |unit| {
                certificate::delete(unit, owner, &name, if_match)
            })
        })
        .await
    }

    async fn reap(&self, limit: usize, fence: u64) -> Result<usize, StoreError> {
        self.write(move |unit| reap::reap(unit, limit, fence)).await
    }
}
