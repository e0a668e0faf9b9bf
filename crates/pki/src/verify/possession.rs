//! Proof of possession: whoever can sign a certificate with the CA's key may use the CA here.
//!
//! Only four things are asked, because tools issue verification certificates with all sorts of extensions:
//! the code as common name, the CA's name as issuer, the CA's signature, and the dates. SHA-1 does not count
//! here either.

use crate::certificate::Certificate;
use crate::name::Name;
use crate::time::Time;
use crate::verify::reason::Reason;
use crate::verify::rules;

/// Why a verification certificate proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PopFailure {
    /// It has no common name.
    #[error("the verification certificate has no common name")]
    CommonNameMissing,
    /// Its common name is not the verification code.
    #[error("the verification certificate's common name {found:?} is not the verification code")]
    CommonNameDiffers {
        /// The common name.
        found: String,
    },
    /// Its issuer is not the CA certificate's subject.
    #[error("the verification certificate was issued by {found}, not by {expected}")]
    IssuerDiffers {
        /// The CA certificate's subject.
        expected: Name,
        /// The issuer it names.
        found: Name,
    },
    /// It was not signed with the CA's key.
    #[error("the verification certificate was not signed with the key of the CA certificate")]
    SignatureWrong,
    /// Its signature uses an algorithm that does not count.
    #[error("the signature of the verification certificate does not count: {0}")]
    SignatureUnfit(Reason),
    /// Its validity is over.
    #[error("the verification certificate expired at {not_after}")]
    Expired {
        /// Its last second.
        not_after: Time,
    },
    /// Its validity has not begun.
    #[error("the verification certificate is valid only from {not_before}")]
    NotYetValid {
        /// Its first second.
        not_before: Time,
    },
}

impl PopFailure {
    /// Answers the stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::CommonNameMissing => "verification-common-name-missing",
            Self::CommonNameDiffers { .. } => "verification-common-name-differs",
            Self::IssuerDiffers { .. } => "verification-issuer-differs",
            Self::SignatureWrong => "verification-signature-wrong",
            Self::SignatureUnfit(_) => "verification-signature-unfit",
            Self::Expired { .. } => "verification-expired",
            Self::NotYetValid { .. } => "verification-not-yet-valid",
        }
    }
}

/// Says whether `verification` was issued by `ca` for `code`. The code is compared without case.
///
/// # Errors
/// [`PopFailure`] with the first thing that does not hold: common name, issuer, signature, dates, in this
/// order.
pub fn proves_possession(
    ca: &Certificate,
    verification: &Certificate,
    code: &str,
    now: Time,
) -> Result<(), PopFailure> {
    let common_name = verification.common_name().ok_or(PopFailure::CommonNameMissing)?;
    if !common_name.eq_ignore_ascii_case(code) {
        return Err(PopFailure::CommonNameDiffers {
            found: common_name.to_owned(),
        });
    }
    if verification.issuer() != ca.subject() {
        return Err(PopFailure::IssuerDiffers {
            expected: ca.subject().clone(),
            found: verification.issuer().clone(),
        });
    }
    if let Err(failure) = verification.check_signed_by(ca) {
        return Err(match rules::signature_reason(failure, verification, ca) {
            Reason::IssuerSignatureWrong { .. } => PopFailure::SignatureWrong,
            unfit => PopFailure::SignatureUnfit(unfit),
        });
    }
    if now > verification.not_after() {
        return Err(PopFailure::Expired {
            not_after: verification.not_after(),
        });
    }
    if now < verification.not_before() {
        return Err(PopFailure::NotYetValid {
            not_before: verification.not_before(),
        });
    }
    Ok(())
}
