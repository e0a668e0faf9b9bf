//! Names that come from outside, each its own type with its own grammar.
//!
//! A name is looked up once, at the edge; behind it stand the keys of [`crate::key`]. Names whose case does not matter
//! compare and hash by their folded form, and keep the text as it was written for display.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A text that breaks the grammar of the id it was meant to be.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{what} must be {rule}")]
pub struct InvalidId {
    /// The kind of id, as a user reads it.
    pub what: &'static str,
    /// The rule in words.
    pub rule: &'static str,
}

macro_rules! id {
    ($(#[$meta:meta])* $name:ident, $what:literal, $rule:literal, exact, $check:expr) => {
        $(#[$meta])*
        #[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `text` and keeps it as written.
            ///
            /// # Errors
            /// [`InvalidId`] when the text breaks the grammar.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(Arc::from(text))) } else { Err(InvalidId { what: $what, rule: $rule }) }
            }

            /// The text as it was written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        id!(@common $name);
    };
    ($(#[$meta:meta])* $name:ident, $what:literal, $rule:literal, folded, $check:expr) => {
        $(#[$meta])*
        #[derive(Clone)]
        pub struct $name {
            text: Arc<str>,
            folded: Arc<str>,
        }

        impl $name {
            /// Checks `text` and keeps it as written, beside its folded form.
            ///
            /// # Errors
            /// [`InvalidId`] when the text breaks the grammar.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                let check: fn(&str) -> bool = $check;
                if !check(text) {
                    return Err(InvalidId { what: $what, rule: $rule });
                }
                let text: Arc<str> = Arc::from(text);
                let folded = if text.bytes().any(|b| b.is_ascii_uppercase()) {
                    Arc::from(text.to_ascii_lowercase())
                } else {
                    Arc::clone(&text)
                };
                Ok(Self { text, folded })
            }

            /// The text as it was written.
            pub fn as_str(&self) -> &str {
                &self.text
            }

            /// The form that two spellings of one id share; stores use it as key.
            pub fn folded(&self) -> &str {
                &self.folded
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.folded == other.folded
            }
        }

        impl Eq for $name {}

        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.folded.hash(state);
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.folded.cmp(&other.folded)
            }
        }

        id!(@common $name);
    };
    (@common $name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.as_str())
            }
        }
    };
}

id!(
    /// The name of a CA certificate within its hub or provisioning service; case does not matter.
    /// Source: IoT Hub certificate resource, client-side pattern, read 2026-11.
    CertificateName, "a certificate name", "1 to 64 letters, digits, '-', '.' or '_'", folded, |t| {
        (1..=64).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
    }
);
id!(
    /// The name of a consumer group of a hub's built-in endpoint; case does not matter (`$Default` is `$default`).
    ConsumerGroupName, "a consumer group name", "1 to 50 letters, digits, '-', '.' or '_', or $Default", folded, |t| {
        t.eq_ignore_ascii_case("$Default")
            || ((1..=50).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)))
    }
);
id!(
    /// A device id of the identity registry; case matters.
    /// Source: IoT Hub identity registry, "Device identity properties", read 2026-11.
    DeviceId, "a device id", "1 to 128 letters, digits or - . + % _ # * ? ! ( ) , : = @ $ '", exact, |t| {
        (1..=128).contains(&t.len())
            && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.+%_#*?!(),:=@$'".contains(&b))
    }
);
id!(
    /// The name of a provisioning service, unique over the whole server; case does not matter.
    DpsName, "a provisioning service name",
    "3 to 50 letters, digits or '-', not digits only, not beginning or ending with '-'", folded, resource_name
);
id!(
    /// The id of an enrollment group; case does not matter.
    EnrollmentGroupId, "an enrollment group id",
    "1 to 128 letters, digits, '-', '.', '_' or ':', ending with a letter, a digit or '-'", folded, registration_like
);
id!(
    /// The name of a hub, unique over the whole server; case does not matter.
    HubName, "a hub name", "3 to 50 letters, digits or '-', not digits only, not beginning or ending with '-'",
    folded, resource_name
);
id!(
    /// The id scope that tells one provisioning service from another on the shared host name; case does not matter.
    IdScope, "an id scope", "'0ne' and then letters or digits, 32 characters at most", folded, |t| {
        (4..=32).contains(&t.len())
            && t.get(..3).is_some_and(|p| p.eq_ignore_ascii_case("0ne"))
            && t.bytes().all(|b| b.is_ascii_alphanumeric())
    }
);
id!(
    /// A place as the vendor's tools name it (`westus`); any text is kept.
    Location, "a location", "1 to 64 printable characters", exact, |t| {
        (1..=64).contains(&t.len()) && t.bytes().all(|b| (b' '..=b'~').contains(&b))
    }
);
id!(
    /// The id of one registration attempt, opaque to clients: `<digit>.<16 hex>.<guid>`.
    OperationId, "an operation id", "a digit, 16 hex digits and a GUID, joined by '.'", exact, |t| {
        let mut parts = t.split('.');
        let (Some(a), Some(b), Some(c), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return false;
        };
        let hex = |s: &str| s.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        a.len() == 1 && a.bytes().all(|b| b.is_ascii_digit()) && b.len() == 16 && hex(b)
            && c.len() == 36 && c.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && c.split('-').all(hex)
    }
);
id!(
    /// The name of a shared access policy; case does not matter.
    PolicyName, "a policy name", "1 to 64 letters, digits, '-', '.' or '_'", folded, |t| {
        (1..=64).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
    }
);
id!(
    /// A registration id; case does not matter, the letters are kept as the device or the operator wrote them.
    /// Source: "DPS terminology", registration ID, read 2026-11.
    RegistrationId, "a registration id",
    "1 to 128 letters, digits, '-', '.', '_' or ':', ending with a letter, a digit or '-'", folded, registration_like
);
id!(
    /// The name of a resource group; case does not matter.
    /// Source: Azure Resource Manager naming rules, "Resource groups", read 2026-11.
    ResourceGroupName, "a resource group name",
    "1 to 90 letters, digits, '-', '.', '_', '(' or ')', not ending with '.'", folded, |t| {
        (1..=90).contains(&t.len())
            && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._()".contains(&b))
            && !t.ends_with('.')
    }
);
id!(
    /// The id of the one subscription that this server shows: a GUID in lower case.
    SubscriptionId, "a subscription id", "a GUID", folded, |t| {
        t.len() == 36
            && t.split('-').map(str::len).eq([8, 4, 4, 4, 12])
            && t.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
    }
);

/// Longest common name of a certificate that serves as registration id. Source: X.520, `ub-common-name`.
pub const MAX_COMMON_NAME: usize = 64;

fn resource_name(t: &str) -> bool {
    (3..=50).contains(&t.len())
        && t.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !t.bytes().all(|b| b.is_ascii_digit())
        && !t.starts_with('-')
        && !t.ends_with('-')
}

fn registration_like(t: &str) -> bool {
    (1..=128).contains(&t.len())
        && t.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(&b))
        && t.bytes()
            .last()
            .is_some_and(|b| b.is_ascii_alphanumeric() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registration_ids_compare_without_case_and_keep_their_letters() {
        let (a, b) = (
            RegistrationId::parse("Device-01").unwrap(),
            RegistrationId::parse("dEVICE-01").unwrap(),
        );
        assert_eq!(a, b);
        assert_eq!(a.as_str(), "Device-01");
        assert_eq!(a.folded(), "device-01");
    }

    #[test]
    fn registration_ids_end_with_a_letter_a_digit_or_a_dash() {
        for good in ["a", "my-x509-device", "sensor:7.a-b_c", "x-"] {
            assert!(RegistrationId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a.", "a:", "a_", "a b", "é", &"x".repeat(129)] {
            assert!(RegistrationId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn device_ids_keep_case_and_refuse_slashes() {
        assert_ne!(DeviceId::parse("Dev1").unwrap(), DeviceId::parse("dev1").unwrap());
        for bad in ["", "a/b", "a;b", "a b", &"x".repeat(129)] {
            assert!(DeviceId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn operation_ids_are_read_as_they_are_made() {
        assert!(OperationId::parse("5.506603669bd3e2bf.b3602f8f-76fe-4341-9214-bb6cfb891b8a").is_ok());
        for bad in [
            "",
            "5.506603669bd3e2bf",
            "5.506603669BD3E2BF.b3602f8f-76fe-4341-9214-bb6cfb891b8a",
            "../../x",
        ] {
            assert!(OperationId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hub_names_follow_the_resource_rule() {
        assert!(HubName::parse("muster-hub").is_ok());
        for bad in ["ab", "123", "-abc", "abc-", "a_b_c", &"a".repeat(51)] {
            assert!(HubName::parse(bad).is_err(), "{bad}");
        }
    }
}
