//! Uploading, replacing and proving CA certificates.

use muster_model::{CaCertificate, CertificateOwner, ErrorCode, IfMatch};
use muster_pki::Certificate;
use muster_pki::issue::Profile;

use super::{NOW, World, certificate_name};
use crate::testing::TestCa;
use crate::{Error, OperatorPermit};

struct Shelf {
    world: World,
    operator: OperatorPermit,
    owner: CertificateOwner,
}

impl Shelf {
    async fn new() -> Self {
        let world = World::new().await;
        let (operator, owner) = (world.operator(), CertificateOwner::Dps(world.service().key));
        Self {
            world,
            operator,
            owner,
        }
    }

    async fn upload(
        &self,
        certificate: Certificate,
        verified: bool,
        if_match: IfMatch,
    ) -> Result<CaCertificate, Error> {
        self.world
            .certificates
            .upload(
                &self.operator,
                self.owner,
                certificate_name("root"),
                certificate,
                verified,
                if_match,
                NOW,
            )
            .await
    }

    async fn start(&self, if_match: IfMatch) -> Result<CaCertificate, Error> {
        self.world
            .certificates
            .start_proof(
                &self.operator,
                self.owner,
                &certificate_name("ROOT"),
                if_match,
                NOW,
            )
            .await
    }

    async fn finish(&self, verification: &Certificate, if_match: IfMatch) -> Result<CaCertificate, Error> {
        self.world
            .certificates
            .finish_proof(
                &self.operator,
                self.owner,
                &certificate_name("root"),
                verification,
                if_match,
                NOW,
            )
            .await
    }
}

#[tokio::test]
async fn possession_is_proved_by_a_certificate_for_the_code() {
    let shelf = Shelf::new().await;
    let ca = TestCa::root("root");
    let uploaded = shelf
        .upload(ca.certificate(), false, IfMatch::Absent)
        .await
        .unwrap();
    assert!(!uploaded.verified);
    let started = shelf.start(IfMatch::Version(uploaded.etag)).await.unwrap();
    assert_ne!(started.etag, uploaded.etag);
    let code = started.code.unwrap().to_string();
    let verification = ca.leaf(&code.to_lowercase());
    let verified = shelf
        .finish(&verification, IfMatch::Version(started.etag))
        .await
        .unwrap();
    assert!(verified.verified && verified.code.is_none());
    assert_ne!(verified.etag, started.etag);
    let trust = shelf.world.directory.trust(shelf.owner);
    assert!(trust.is_verified(&ca.certificate().sha256()));
    assert!(matches!(
        shelf.finish(&verification, IfMatch::Any).await,
        Err(Error::NoCode(_))
    ));
}

#[tokio::test]
async fn a_proof_fails_for_each_thing_that_is_wrong_with_it() {
    let shelf = Shelf::new().await;
    let (ca, other) = (TestCa::root("root"), TestCa::root("root"));
    shelf
        .upload(ca.certificate(), false, IfMatch::Absent)
        .await
        .unwrap();
    let first = shelf.start(IfMatch::Any).await.unwrap().code.unwrap().to_string();
    let started = shelf.start(IfMatch::Any).await.unwrap();
    let code = started.code.unwrap().to_string();
    assert_ne!(first, code);
    for wrong in [
        ca.leaf(&first),
        ca.leaf("something else"),
        other.leaf(&code),
        TestCa::root("another").leaf(&code),
        ca.issue(&code, Profile::ScriptLeaf, muster_pki::Time::from_unix(2_000)),
    ] {
        let error = shelf.finish(&wrong, IfMatch::Any).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::ArmProofOfPossessionFailed);
    }
    let stale = shelf
        .finish(&ca.leaf(&code), IfMatch::Version(muster_model::ETag::new(1)))
        .await
        .unwrap_err();
    assert_eq!(stale.code(), ErrorCode::ArmPreconditionFailed);
    assert!(
        !shelf
            .world
            .directory
            .trust(shelf.owner)
            .is_verified(&ca.certificate().sha256())
    );
    shelf.finish(&ca.leaf(&code), IfMatch::Any).await.unwrap();
}

#[tokio::test]
async fn every_change_names_the_version_that_it_changes() {
    let shelf = Shelf::new().await;
    let ca = TestCa::root("root");
    let missing = shelf
        .upload(ca.certificate(), true, IfMatch::Any)
        .await
        .unwrap_err();
    assert_eq!(missing.code(), ErrorCode::ArmCertificateNotFound);
    shelf
        .upload(ca.certificate(), true, IfMatch::Absent)
        .await
        .unwrap();
    for error in [
        shelf
            .upload(ca.certificate(), true, IfMatch::Absent)
            .await
            .unwrap_err(),
        shelf.start(IfMatch::Absent).await.unwrap_err(),
        shelf.finish(&ca.leaf("x"), IfMatch::Absent).await.unwrap_err(),
        shelf.start(IfMatch::Foreign).await.unwrap_err(),
    ] {
        assert_eq!(error.code(), ErrorCode::ArmPreconditionFailed);
    }
}

#[tokio::test]
async fn a_replaced_certificate_is_verified_only_if_the_upload_says_so() {
    let shelf = Shelf::new().await;
    let (old, new) = (TestCa::root("root"), TestCa::root("root"));
    let first = shelf
        .upload(old.certificate(), true, IfMatch::Absent)
        .await
        .unwrap();
    let replaced = shelf
        .upload(new.certificate(), false, IfMatch::Version(first.etag))
        .await
        .unwrap();
    assert!(!replaced.verified);
    assert_eq!(replaced.created, first.created);
    let trust = shelf.world.directory.trust(shelf.owner);
    assert!(!trust.is_verified(&new.certificate().sha256()));
    assert!(trust.uploaded(&old.certificate().sha256()).next().is_none());
    assert_eq!(trust.anchors().len(), 1);
}

#[tokio::test]
async fn a_code_for_a_verified_certificate_keeps_it_verified() {
    let shelf = Shelf::new().await;
    shelf
        .upload(TestCa::root("root").certificate(), true, IfMatch::Absent)
        .await
        .unwrap();
    let started = shelf.start(IfMatch::Any).await.unwrap();
    assert!(started.verified && started.code.is_some());
}
