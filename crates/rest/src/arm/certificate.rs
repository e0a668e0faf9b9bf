//! CA certificates of hubs and provisioning services: one set of verbs, under two parents.

use http::{Response, StatusCode};
use muster_model::{CaCertificate, CertificateName, CertificateOwner};
use muster_resources::OperatorPermit;
use muster_wire::certificate_document::{self as documents, CertificateDocument, Owner, Upload};
use muster_wire::etag;

use super::{body, hub, invalid, permit, resources, scope, service, wire};
use crate::body::Answer;
use crate::exchange::{Exchange, Outcome, json, no_content};
use crate::problem::Problem;

/// Whose certificates a path is about.
struct Parent {
    owner: CertificateOwner,
    kind: Owner,
    id: String,
    permit: OperatorPermit,
}

fn of_hub(
    exchange: &mut Exchange<'_>,
    action: &'static str,
    subscription: &str,
    group: &str,
    name: &str,
) -> Result<Parent, Problem> {
    let permit = permit(exchange, action, subscription)?;
    let hub = hub::find(exchange, &permit, group, name)?;
    let id = scope(exchange).hub_id(&hub.group, &hub.name);
    Ok(Parent {
        owner: CertificateOwner::Hub(hub.key),
        kind: Owner::Hub,
        id,
        permit,
    })
}

fn of_service(
    exchange: &mut Exchange<'_>,
    action: &'static str,
    subscription: &str,
    group: &str,
    name: &str,
) -> Result<Parent, Problem> {
    let permit = permit(exchange, action, subscription)?;
    let service = service::find(exchange, &permit, group, name)?;
    let id = scope(exchange).service_id(&service.group, &service.name);
    Ok(Parent {
        owner: CertificateOwner::Dps(service.key),
        kind: Owner::Dps,
        id,
        permit,
    })
}

impl Parent {
    fn document(&self, ca: &CaCertificate, with_code: bool) -> CertificateDocument {
        CertificateDocument::of(ca, &self.id, self.kind, with_code)
    }

    fn list(&self, exchange: &Exchange<'_>) -> Response<Answer> {
        let all = exchange.backend.certificates.list(&self.permit, self.owner);
        let documents: Vec<_> = all.iter().map(|ca| self.document(ca, false)).collect();
        json(StatusCode::OK, documents::list_json(&documents))
    }

    fn get(&self, exchange: &Exchange<'_>, name: &str) -> Outcome {
        let name = parse(name)?;
        let found = exchange
            .backend
            .certificates
            .find(&self.permit, self.owner, &name)
            .map_err(|e| resources(&e))?;
        Ok(json(StatusCode::OK, self.document(&found, false).to_json()))
    }

    /// 200 also for a new one: the clients of provisioning take nothing else.
    async fn put(&self, exchange: &mut Exchange<'_>, name: &str) -> Outcome {
        let name = parse(name)?;
        let if_match = exchange.if_match(etag::Kind::Arm);
        let upload = Upload::parse(&body(exchange).await?).map_err(|error| wire(&error))?;
        let (certificates, now) = (&exchange.backend.certificates, exchange.now);
        let (certificate, verified) = (upload.certificate, upload.verified);
        let ca = certificates
            .upload(
                &self.permit,
                self.owner,
                name,
                certificate,
                verified,
                if_match,
                now,
            )
            .await
            .map_err(|e| resources(&e))?;
        Ok(json(StatusCode::OK, self.document(&ca, false).to_json()))
    }

    async fn delete(&self, exchange: &mut Exchange<'_>, name: &str) -> Outcome {
        let name = parse(name)?;
        let if_match = exchange.if_match(etag::Kind::Arm);
        let certificates = &exchange.backend.certificates;
        certificates
            .delete(&self.permit, self.owner, &name, if_match)
            .await
            .map_err(|e| resources(&e))?;
        Ok(no_content())
    }

    async fn code(&self, exchange: &mut Exchange<'_>, name: &str) -> Outcome {
        let name = parse(name)?;
        let if_match = exchange.if_match(etag::Kind::Arm);
        let (certificates, now) = (&exchange.backend.certificates, exchange.now);
        let ca = certificates
            .start_proof(&self.permit, self.owner, &name, if_match, now)
            .await
            .map_err(|e| resources(&e))?;
        Ok(json(StatusCode::OK, self.document(&ca, true).to_json()))
    }

    async fn verify(&self, exchange: &mut Exchange<'_>, name: &str) -> Outcome {
        let name = parse(name)?;
        let if_match = exchange.if_match(etag::Kind::Arm);
        let leaf = documents::parse_verification(&body(exchange).await?).map_err(|error| wire(&error))?;
        let (certificates, now) = (&exchange.backend.certificates, exchange.now);
        let ca = certificates
            .finish_proof(&self.permit, self.owner, &name, &leaf, if_match, now)
            .await
            .map_err(|e| resources(&e))?;
        Ok(json(StatusCode::OK, self.document(&ca, false).to_json()))
    }
}

fn parse(name: &str) -> Result<CertificateName, Problem> {
    CertificateName::parse(name).map_err(|error| invalid(&error))
}

macro_rules! verbs {
    ($($hub:ident $service:ident $verb:ident $action:literal;)*) => {
        $(
            #[doc = concat!("Under a hub: to ", $action, ".")]
            pub(crate) async fn $hub(
                exchange: &mut Exchange<'_>,
                subscription: &str,
                group: &str,
                parent: &str,
                name: &str,
            ) -> Outcome {
                of_hub(exchange, $action, subscription, group, parent)?.$verb(exchange, name).await
            }

            #[doc = concat!("Under a provisioning service: to ", $action, ".")]
            pub(crate) async fn $service(
                exchange: &mut Exchange<'_>,
                subscription: &str,
                group: &str,
                parent: &str,
                name: &str,
            ) -> Outcome {
                of_service(exchange, $action, subscription, group, parent)?.$verb(exchange, name).await
            }
        )*
    };
}

verbs! {
    hub_put service_put put "upload a CA certificate";
    hub_delete service_delete delete "delete a CA certificate";
    hub_code service_code code "begin a proof of possession";
    hub_verify service_verify verify "finish a proof of possession";
}

/// Under a hub: lists CA certificates.
pub(crate) fn hub_list(exchange: &mut Exchange<'_>, subscription: &str, group: &str, hub: &str) -> Outcome {
    Ok(of_hub(exchange, LIST, subscription, group, hub)?.list(exchange))
}

/// Under a provisioning service: lists CA certificates.
pub(crate) fn service_list(
    exchange: &mut Exchange<'_>,
    subscription: &str,
    group: &str,
    service: &str,
) -> Outcome {
    Ok(of_service(exchange, LIST, subscription, group, service)?.list(exchange))
}

/// Under a hub: reads a CA certificate.
pub(crate) fn hub_get(
    exchange: &mut Exchange<'_>,
    subscription: &str,
    group: &str,
    hub: &str,
    name: &str,
) -> Outcome {
    of_hub(exchange, READ, subscription, group, hub)?.get(exchange, name)
}

/// Under a provisioning service: reads a CA certificate.
pub(crate) fn service_get(
    exchange: &mut Exchange<'_>,
    subscription: &str,
    group: &str,
    service: &str,
    name: &str,
) -> Outcome {
    of_service(exchange, READ, subscription, group, service)?.get(exchange, name)
}

const LIST: &str = "list CA certificates";
const READ: &str = "read a CA certificate";
