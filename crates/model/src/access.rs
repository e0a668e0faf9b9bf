//! Who may do what: shared access policies, their rights, symmetric keys and SAS tokens as values.
//!
//! Deciding over them is the domains' work (`resources::Access`, `hub::Authenticator`, `dps::attestation`).

use std::fmt;

use data_encoding::BASE64;
use rand::Rng;
use zeroize::Zeroizing;

use crate::clock::Wall;
use crate::id::PolicyName;

/// A symmetric key of 16 to 64 bytes. Neither printed nor serialised; wiped when dropped.
#[derive(Clone, Eq, PartialEq)]
pub struct SymmetricKey(Zeroizing<Vec<u8>>);

impl SymmetricKey {
    /// Bytes of a generated hub or device key.
    pub const HUB_LENGTH: usize = 32;
    /// Bytes of a generated key of an enrollment. Source: DPS, symmetric key attestation, read 2026-11.
    pub const ENROLLMENT_LENGTH: usize = 64;

    /// Wraps 16 to 64 bytes.
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        let bytes = Zeroizing::new(bytes);
        (16..=64).contains(&bytes.len()).then_some(Self(bytes))
    }

    /// Reads base64 of 16 to 64 bytes.
    pub fn from_base64(text: &str) -> Option<Self> {
        Self::new(BASE64.decode(text.trim().as_bytes()).ok()?)
    }

    /// Draws a new key of `length` bytes, which is clamped to 16 to 64.
    pub fn generate(rng: &mut dyn Rng, length: usize) -> Self {
        let mut bytes = Zeroizing::new(vec![0; length.clamp(16, 64)]);
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// The raw bytes, for a MAC.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The base64 text that clients are given.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE64.encode(&self.0))
    }
}

impl fmt::Debug for SymmetricKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SymmetricKey(withheld)")
    }
}

macro_rules! rights {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $right:ident = $bit:literal, $text:literal;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
        pub struct $name(u8);

        impl $name {
            $($(#[$vmeta])* pub const $right: Self = Self(1 << $bit);)*

            /// Every right there is, with its name on the wire, in the order in which they are printed.
            pub const NAMED: &'static [(Self, &'static str)] = &[$((Self::$right, $text),)*];

            /// No right at all.
            pub const fn none() -> Self {
                Self(0)
            }

            /// Both sets together.
            #[must_use]
            pub const fn with(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// Tells whether every right of `other` is in this set.
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Reads names joined by commas, blanks allowed, without case. `None` when a name is unknown or none is
            /// there.
            pub fn parse(text: &str) -> Option<Self> {
                let mut set = Self::none();
                for part in text.split(',').map(str::trim) {
                    let (right, _) = Self::NAMED.iter().find(|(_, name)| name.eq_ignore_ascii_case(part))?;
                    set = set.with(*right);
                }
                Some(set)
            }

            /// The bits, for a store.
            pub const fn bits(self) -> u8 {
                self.0
            }

            /// Reads stored bits; unknown ones are dropped.
            pub fn from_bits(bits: u8) -> Self {
                Self::NAMED.iter().fold(Self::none(), |set, (right, _)| {
                    if bits & right.0 == right.0 { set.with(*right) } else { set }
                })
            }
        }

        impl fmt::Display for $name {
            /// Prints the names joined by a comma and a blank: clients split at exactly that.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut first = true;
                for (_, name) in Self::NAMED.iter().filter(|(right, _)| self.contains(*right)) {
                    if !first {
                        f.write_str(", ")?;
                    }
                    first = false;
                    f.write_str(name)?;
                }
                Ok(())
            }
        }
    };
}

rights! {
    /// What a hub's policy permits. Source: IoT Hub, "Control access", read 2026-11.
    HubRights {
        /// Reading the identity registry.
        REGISTRY_READ = 0, "RegistryRead";
        /// Writing it; includes reading, see [`HubRights::effective`].
        REGISTRY_WRITE = 1, "RegistryWrite";
        /// The back end's endpoints.
        SERVICE_CONNECT = 2, "ServiceConnect";
        /// The devices' endpoints.
        DEVICE_CONNECT = 3, "DeviceConnect";
    }
}

rights! {
    /// What a provisioning service's policy permits. Source: DPS, "Control access", read 2026-11.
    DpsRights {
        /// Settings of the service itself.
        SERVICE_CONFIG = 0, "ServiceConfig";
        /// Device calls on behalf of devices.
        DEVICE_CONNECT = 1, "DeviceConnect";
        /// Reading enrollments.
        ENROLLMENT_READ = 2, "EnrollmentRead";
        /// Writing enrollments; includes everything about enrollments and registrations.
        ENROLLMENT_WRITE = 3, "EnrollmentWrite";
        /// Reading registration states.
        REGISTRATION_STATUS_READ = 4, "RegistrationStatusRead";
        /// Deleting registration states.
        REGISTRATION_STATUS_WRITE = 5, "RegistrationStatusWrite";
    }
}

impl HubRights {
    /// The set with what its members imply: writing the registry includes reading it.
    #[must_use]
    pub const fn effective(self) -> Self {
        if self.contains(Self::REGISTRY_WRITE) {
            self.with(Self::REGISTRY_READ)
        } else {
            self
        }
    }
}

impl DpsRights {
    /// The set with what its members imply: the ready-made owner policy names only `EnrollmentWrite` and must be able
    /// to do everything with enrollments and registrations.
    #[must_use]
    pub const fn effective(self) -> Self {
        if self.contains(Self::ENROLLMENT_WRITE) {
            self.with(Self::ENROLLMENT_READ)
                .with(Self::REGISTRATION_STATUS_READ)
                .with(Self::REGISTRATION_STATUS_WRITE)
        } else if self.contains(Self::REGISTRATION_STATUS_WRITE) {
            self.with(Self::REGISTRATION_STATUS_READ)
        } else {
            self
        }
    }
}

/// A set of rights of either kind.
pub trait Rights: Copy + fmt::Debug + fmt::Display + PartialEq + Send + Sync + 'static {}
impl Rights for HubRights {}
impl Rights for DpsRights {}

/// A shared access policy: a name, two keys, and what they permit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AccessPolicy<R: Rights> {
    /// Its name; `skn` of a token refers to it.
    pub name: PolicyName,
    /// The key that tools take first.
    pub primary: SymmetricKey,
    /// The other key, so that one can be changed without an outage.
    pub secondary: SymmetricKey,
    /// What it permits, as written by the operator.
    pub rights: R,
}

/// A SAS token as read from the wire, not yet judged.
#[derive(Clone)]
pub struct SasToken {
    /// What was signed: `sr` exactly as sent, a line feed, and the digits of `se`.
    pub signed_text: String,
    /// `sr` percent-decoded once.
    pub resource: String,
    /// `sig` decoded; empty when it was not base64, which matches nothing.
    pub signature: Vec<u8>,
    /// `se`.
    pub expiry: Wall,
    /// `skn`, where the token names a policy.
    pub policy: Option<String>,
}

impl fmt::Debug for SasToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SasToken")
            .field("resource", &self.resource)
            .field("expiry", &self.expiry)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_print_with_comma_and_blank_and_are_read_without() {
        let rights = HubRights::parse("registrywrite,ServiceConnect, DeviceConnect").unwrap();
        assert_eq!(rights.to_string(), "RegistryWrite, ServiceConnect, DeviceConnect");
        assert_eq!(HubRights::parse("Everything"), None);
        assert_eq!(HubRights::parse(""), None);
        assert!(rights.effective().contains(HubRights::REGISTRY_READ));
        assert!(
            !HubRights::DEVICE_CONNECT
                .effective()
                .contains(HubRights::REGISTRY_READ)
        );
    }

    #[test]
    fn the_owner_policy_of_a_provisioning_service_can_do_everything() {
        let owner = DpsRights::parse("ServiceConfig, DeviceConnect, EnrollmentWrite")
            .unwrap()
            .effective();
        assert!(DpsRights::NAMED.iter().all(|(right, _)| owner.contains(*right)));
    }

    #[test]
    fn keys_are_16_to_64_bytes_and_never_printed() {
        assert!(SymmetricKey::from_base64("c2hvcnQ=").is_none());
        let key = SymmetricKey::new(vec![7; 32]).unwrap();
        assert!(!format!("{key:?}").contains('7'));
        assert_eq!(SymmetricKey::from_base64(&key.to_base64()), Some(key));
    }
}
