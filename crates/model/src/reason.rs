//! Why a device or a caller was refused: one stable code for each distinct cause.
//!
//! The wire tells the client what Azure would tell it; these codes are what the operator reads in the log, in metrics
//! and in `muster explain`. A code is never reused for another meaning. Texts and mending commands are made where the
//! refusal is explained; the list here is closed so that it can label a metric.

use std::fmt;

macro_rules! reasons {
    ($($(#[$meta:meta])* $name:ident = $code:literal;)*) => {
        /// A distinct cause of a refusal.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum ReasonCode {
            $($(#[$meta])* $name,)*
        }

        impl ReasonCode {
            /// Every code there is, in alphabetical order of the variants.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable text of the code.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// Reads a code back.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.as_str() == text)
            }
        }
    };
}

reasons! {
    /// The path ends at a certificate whose issuer is neither presented nor configured.
    AnchorUnknown = "anchor-unknown";
    /// The path reaches a configured CA certificate whose possession was never proved.
    AnchorNotVerified = "anchor-not-verified";
    /// The token was signed for something else.
    AudienceWrong = "audience-wrong";
    /// The enrollment refers to a CA certificate that is gone.
    CaReferenceMissing = "ca-reference-missing";
    /// The leaf stands in another enrollment that is disabled.
    CertificateDisabled = "certificate-disabled";
    /// The leaf could not be read as a certificate.
    CertificateUnreadable = "certificate-unreadable";
    /// A certificate between the leaf and the configured ones was not sent.
    ChainIncomplete = "chain-incomplete";
    /// The presented chain exceeds the caps on number or size.
    ChainTooLong = "chain-too-long";
    /// The client identifier is not the id in the user name.
    ClientIdDiffers = "client-id-differs";
    /// The leaf has no common name.
    CommonNameMissing = "common-name-missing";
    /// The leaf's common name is not the id that was asked for.
    CommonNameDiffers = "common-name-differs";
    /// The leaf's common name differs from the device id in case only, and on a hub case matters.
    CommonNameDiffersInCase = "common-name-differs-in-case";
    /// The device exists and is disabled.
    DeviceDisabled = "device-disabled";
    /// The hub has no such device.
    DeviceUnknown = "device-unknown";
    /// The individual enrollment is disabled.
    EnrollmentDisabled = "enrollment-disabled";
    /// The leaf is past its validity.
    Expired = "expired";
    /// The enrollment group is disabled.
    GroupDisabled = "group-disabled";
    /// The TLS handshake ended without a session, for a cause that no other code names.
    HandshakeFailed = "handshake-failed";
    /// The client did not accept the server's certificate.
    HandshakeServerRefused = "handshake-server-refused";
    /// The TLS handshake was not finished in time.
    HandshakeTimedOut = "handshake-timed-out";
    /// No hub of that name.
    HubUnknown = "hub-unknown";
    /// A certificate of the path is past its validity.
    IssuerExpired = "issuer-expired";
    /// A certificate of the path may not sign certificates by its key usage.
    IssuerKeyUsage = "issuer-key-usage";
    /// A certificate of the path is not a CA.
    IssuerNotCa = "issuer-not-a-ca";
    /// A certificate of the path is not valid yet.
    IssuerNotYetValid = "issuer-not-yet-valid";
    /// The signature of a certificate on the path does not verify.
    IssuerSignatureWrong = "issuer-signature-wrong";
    /// The leaf is a CA certificate, which a hub does not take for a device of type CA.
    LeafIsCa = "leaf-is-a-ca";
    /// The leaf is not the certificate of the individual enrollment.
    LeafNotEnrolled = "leaf-not-enrolled";
    /// The client names a module, and modules are not offered.
    ModulesUnsupported = "modules-unsupported";
    /// Neither a certificate nor a token came.
    NoCredential = "no-credential";
    /// Nothing is enrolled that fits the device.
    NoEnrollment = "no-enrollment";
    /// No hub could be assigned.
    NoHubToAssign = "no-hub-to-assign";
    /// The leaf is not valid yet.
    NotYetValid = "not-yet-valid";
    /// The operator's token is wrong.
    OperatorTokenWrong = "operator-token-wrong";
    /// A CA certificate allows fewer certificates below it than the path has.
    PathLength = "path-length";
    /// The policy that signed the token lacks the right.
    PolicyLacksRight = "policy-lacks-right";
    /// No policy of that name.
    PolicyUnknown = "policy-unknown";
    /// The client did not prove that it holds the leaf's private key.
    ProofOfKeyWrong = "proof-of-key-wrong";
    /// The client speaks a version of its protocol that is not offered.
    ProtocolLevelUnsupported = "protocol-level-unsupported";
    /// The registration id breaks its grammar.
    RegistrationIdInvalid = "registration-id-invalid";
    /// Devices of this hub may not use tokens.
    SasDisabled = "sas-disabled";
    /// No provisioning service has this id scope.
    ScopeUnknown = "scope-unknown";
    /// The presented certificate is not one of the device's thumbprints.
    ThumbprintDiffers = "thumbprint-differs";
    /// The token is past its expiry.
    TokenExpired = "token-expired";
    /// The token could not be read.
    TokenMalformed = "token-malformed";
    /// The token's signature does not verify with any key it could be made with.
    TokenSignatureWrong = "token-signature-wrong";
    /// The search for a path, or for the key of a token, was given up at its bound.
    TooManyCandidates = "too-many-candidates";
    /// TPM attestation, which is not offered.
    TpmUnsupported = "tpm-unsupported";
    /// A signature algorithm or key that is not known here.
    UnsupportedAlgorithm = "unsupported-algorithm";
    /// The user name does not have the form that names a device.
    UserNameMalformed = "user-name-malformed";
    /// A signature with SHA-1 or weaker.
    WeakAlgorithm = "weak-algorithm";
    /// The will goes to a topic, or has a form, that a device may not leave.
    WillMisplaced = "will-misplaced";
    /// The enrollment expects another kind of credential.
    WrongAttestationType = "wrong-attestation-type";
    /// The device is registered with another kind of credential.
    WrongCredentialType = "wrong-credential-type";
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_pairwise_distinct_and_read_back() {
        let codes: HashSet<_> = ReasonCode::ALL.iter().map(|c| c.as_str()).collect();
        assert_eq!(codes.len(), ReasonCode::ALL.len());
        for code in ReasonCode::ALL {
            assert_eq!(ReasonCode::parse(code.as_str()), Some(*code));
        }
    }
}
