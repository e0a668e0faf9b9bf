//! Writes enrollments from flags, new ones and changed ones.
//!
//! A change is the stored document with what was said put in. A slot of a certificate that is sent back with nothing but
//! its description keeps the stored certificate; a slot that is left out loses it.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use muster_client::dps::Kind;
use muster_wire::Secret;
use serde_json::{Map, Value, json};

use super::options::{parse_bool, parse_secret};
use super::{Problem, files};

/// How a device proves itself to a provisioning service.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(super) enum AttestationType {
    /// By a key.
    #[value(name = "symmetricKey", alias = "symmetrickey")]
    SymmetricKey,
    /// By a TPM, which this server does not offer.
    Tpm,
    /// By a certificate.
    X509,
}

impl AttestationType {
    const fn as_str(self) -> &'static str {
        match self {
            Self::SymmetricKey => "symmetricKey",
            Self::Tpm => "tpm",
            Self::X509 => "x509",
        }
    }
}

/// What an enrollment says, of one device or of a group.
#[derive(Args, Debug, Default)]
pub(super) struct DraftArgs {
    /// The file of the certificate, .pem or .cer.
    #[arg(long, visible_alias = "cp", value_name = "FILE", help_heading = "Attestation")]
    certificate_path: Option<PathBuf>,
    /// The file of the next certificate, so that certificates can be rolled.
    #[arg(
        long,
        visible_alias = "scp",
        value_name = "FILE",
        help_heading = "Attestation"
    )]
    secondary_certificate_path: Option<PathBuf>,
    /// The key, in base64; one is made otherwise.
    #[arg(
        long,
        visible_alias = "pk",
        value_parser = parse_secret, value_name = "BASE64",
        help_heading = "Attestation"
    )]
    primary_key: Option<Secret>,
    /// The next key, in base64; one is made otherwise.
    #[arg(
        long,
        visible_alias = "sk",
        value_parser = parse_secret, value_name = "BASE64",
        help_heading = "Attestation"
    )]
    secondary_key: Option<Secret>,
    /// Whether devices may register.
    #[arg(long, visible_alias = "ps", ignore_case = true, value_parser = ["enabled", "disabled"], value_name = "STATUS")]
    provisioning_status: Option<String>,
    /// What happens to a device that registers again.
    #[arg(long, visible_alias = "rp", ignore_case = true, value_parser = ["reprovisionandmigratedata", "reprovisionandresetdata", "never"], value_name = "POLICY")]
    reprovision_policy: Option<String>,
    /// How a hub is chosen.
    #[arg(long, visible_alias = "ap", ignore_case = true, value_parser = ["hashed", "geolatency", "static", "custom"], value_name = "POLICY")]
    allocation_policy: Option<String>,
    /// The full host names of the hubs that are chosen from.
    #[arg(long, visible_alias = "ih", num_args = 1.., value_name = "HOST")]
    iot_hubs: Vec<String>,
    /// The full host name of the one hub that devices are assigned to.
    #[arg(long, visible_alias = "hn", value_name = "HOST", conflicts_with_all = ["allocation_policy", "iot_hubs"])]
    iot_hub_host_name: Option<String>,
    /// Tags that the twin of a device begins with: JSON, or a file that holds it.
    #[arg(long, visible_alias = "tags", value_name = "JSON|FILE")]
    initial_twin_tags: Option<String>,
    /// Desired properties that the twin of a device begins with: JSON, or a file that holds it.
    #[arg(long, visible_alias = "props", value_name = "JSON|FILE")]
    initial_twin_properties: Option<String>,
    /// Whether devices are Edge devices.
    #[arg(long, visible_alias = "ee", value_parser = parse_bool, num_args = 0..=1, default_missing_value = "true", value_name = "true|false")]
    edge_enabled: Option<bool>,
    /// The address that is asked for a hub under the allocation policy `custom`.
    #[arg(long, visible_alias = "wh", value_name = "URL")]
    webhook_url: Option<String>,
    /// The version of the interface at that address.
    #[arg(long, visible_alias = "av", value_name = "VERSION")]
    api_version: Option<String>,
}

/// What only a change may say.
#[derive(Args, Debug, Default)]
pub(super) struct RemoveArgs {
    /// Takes the certificate out.
    #[arg(long, visible_alias = "rc", value_parser = parse_bool, num_args = 0..=1, default_missing_value = "true", default_value_t = false, value_name = "true|false", help_heading = "Attestation")]
    pub(super) remove_certificate: bool,
    /// Takes the next certificate out.
    #[arg(long, visible_alias = "rsc", value_parser = parse_bool, num_args = 0..=1, default_missing_value = "true", default_value_t = false, value_name = "true|false", help_heading = "Attestation")]
    pub(super) remove_secondary_certificate: bool,
}

/// CA certificates of the provisioning service that a group refers to.
#[derive(Args, Debug, Default)]
pub(super) struct CaArgs {
    /// The CA certificate of the provisioning service that signs the group's devices, by its name.
    #[arg(long, visible_aliases = ["root-ca-name", "cn", "rcn"], value_name = "NAME", help_heading = "Attestation", conflicts_with = "certificate_path")]
    pub(super) ca_name: Option<String>,
    /// The next one, so that CAs can be rolled.
    #[arg(long, visible_aliases = ["secondary-root-ca-name", "scn", "srcn"], value_name = "NAME", help_heading = "Attestation", conflicts_with = "secondary_certificate_path")]
    pub(super) secondary_ca_name: Option<String>,
}

/// What only an individual enrollment has.
#[derive(Args, Debug, Default)]
pub(super) struct SingleArgs {
    /// The device id at the hub; the registration id otherwise.
    #[arg(long, short = 'd', value_name = "ID")]
    device_id: Option<String>,
    /// What else is to be remembered of the device: JSON, or a file that holds it.
    #[arg(long, visible_alias = "device-info", value_name = "JSON|FILE")]
    device_information: Option<String>,
    /// The public key of a TPM.
    #[arg(
        long,
        visible_alias = "ek",
        value_name = "BASE64",
        help_heading = "Attestation"
    )]
    endorsement_key: Option<String>,
}

impl SingleArgs {
    pub(super) const fn endorsement_key(&self) -> Option<&String> {
        self.endorsement_key.as_ref()
    }

    pub(super) fn put_into(&self, fields: &mut Map<String, Value>) -> Result<(), Problem> {
        if let Some(id) = &self.device_id {
            fields.insert("deviceId".into(), id.as_str().into());
        }
        if let Some(text) = &self.device_information {
            fields.insert(
                "optionalDeviceInformation".into(),
                files::json("--device-information", text)?,
            );
        }
        Ok(())
    }
}

impl DraftArgs {
    /// The document of a new enrollment.
    pub(super) fn create(
        &self,
        kind: Kind,
        id: &str,
        asked: Option<AttestationType>,
        ca: &CaArgs,
        endorsement_key: Option<&String>,
    ) -> Result<Map<String, Value>, Problem> {
        let attestation = self.attestation(kind, asked, ca, endorsement_key)?;
        let Value::Object(mut fields) = json!({
            kind.id_member(): id,
            "attestation": attestation,
            "capabilities": { "iotEdge": false },
            "initialTwin": { "tags": {}, "properties": { "desired": {} } },
            "provisioningStatus": "enabled",
            "reprovisionPolicy": { "updateHubAssignment": true, "migrateDeviceData": true },
        }) else {
            return Err(Problem::new("an enrollment is an object"));
        };
        self.put_into(&mut fields)?;
        Ok(fields)
    }

    fn attestation(
        &self,
        kind: Kind,
        asked: Option<AttestationType>,
        ca: &CaArgs,
        endorsement_key: Option<&String>,
    ) -> Result<Value, Problem> {
        let certificates = self.certificate_path.is_some() || self.secondary_certificate_path.is_some();
        let references = ca.ca_name.is_some() || ca.secondary_ca_name.is_some();
        let keys = self.primary_key.is_some() || self.secondary_key.is_some();
        let kind_of = match asked {
            Some(asked) => asked,
            None if certificates || references => AttestationType::X509,
            None if endorsement_key.is_some() => AttestationType::Tpm,
            None if keys || kind == Kind::Group => AttestationType::SymmetricKey,
            None => {
                return Err(Problem::usage(
                    "--attestation-type is missing: x509, symmetricKey or tpm",
                ));
            }
        };
        if keys && kind_of != AttestationType::SymmetricKey {
            return Err(Problem::usage("a key goes with --attestation-type symmetricKey"));
        }
        if (certificates || references) && kind_of != AttestationType::X509 {
            return Err(Problem::usage("a certificate goes with --attestation-type x509"));
        }
        let body = match kind_of {
            AttestationType::SymmetricKey => self.keys(Map::new()),
            AttestationType::Tpm => {
                let key = endorsement_key
                    .ok_or_else(|| Problem::usage("--endorsement-key goes with --attestation-type tpm"))?;
                json!({ "endorsementKey": key })
            }
            AttestationType::X509 if certificates && references => {
                return Err(Problem::usage(
                    "give certificates by file or by the name of a CA certificate, not both",
                ));
            }
            AttestationType::X509 if certificates => json!({ member(kind): self.certificates(Map::new())? }),
            AttestationType::X509 if references => json!({ "caReferences": references_of(ca, Map::new()) }),
            AttestationType::X509 => {
                let or = if kind == Kind::Group { " or --ca-name" } else { "" };
                return Err(Problem::usage(format!(
                    "--certificate-path{or} goes with --attestation-type x509"
                )));
            }
        };
        Ok(json!({ "type": kind_of.as_str(), kind_of.as_str(): body }))
    }

    /// Puts what was said about the attestation into a stored one. Keys must be in it, for without them new ones would be
    /// made.
    pub(super) fn change_attestation(
        &self,
        kind: Kind,
        attestation: &mut Value,
        ca: &CaArgs,
        remove: &RemoveArgs,
    ) -> Result<(), Problem> {
        let certificates = self.certificate_path.is_some() || self.secondary_certificate_path.is_some();
        let references = ca.ca_name.is_some() || ca.secondary_ca_name.is_some();
        let removals = remove.remove_certificate || remove.remove_secondary_certificate;
        let keys = self.primary_key.is_some() || self.secondary_key.is_some();
        let is = |name: &str| attestation.get("type").and_then(Value::as_str) == Some(name);
        if keys && !is("symmetricKey") {
            return Err(Problem::usage("the enrollment is not one by key"));
        }
        if (certificates || references || removals) && !is("x509") {
            return Err(Problem::usage("the enrollment is not one by certificate"));
        }
        if keys {
            let stored = take(attestation, "symmetricKey");
            let changed = self.keys(stored);
            put(attestation, "symmetricKey", changed);
            return Ok(());
        }
        if !(certificates || references || removals) {
            return Ok(());
        }
        let mut x509 = take(attestation, "x509");
        let mut stored = |name: &str| match x509.remove(name) {
            Some(Value::Object(slots)) => slots,
            _ => Map::new(),
        };
        let (mut slots, mut names) = (stored(member(kind)), stored("caReferences"));
        for (gone, slot) in [
            (remove.remove_certificate, "primary"),
            (remove.remove_secondary_certificate, "secondary"),
        ] {
            if gone {
                slots.remove(slot);
                names.remove(slot);
            }
        }
        // The two ways to name a CA exclude each other: the one that was typed takes over.
        let by_name = references || (!certificates && slots.is_empty() && !names.is_empty());
        let body = if by_name {
            json!({ "caReferences": references_of(ca, names) })
        } else {
            json!({ member(kind): self.certificates(slots)? })
        };
        put(attestation, "x509", body);
        Ok(())
    }

    fn keys(&self, mut slots: Map<String, Value>) -> Value {
        for (name, key) in [
            ("primaryKey", &self.primary_key),
            ("secondaryKey", &self.secondary_key),
        ] {
            if let Some(key) = key {
                slots.insert(name.to_owned(), key.expose().into());
            }
        }
        Value::Object(slots)
    }

    fn certificates(&self, mut slots: Map<String, Value>) -> Result<Value, Problem> {
        for (slot, path) in [
            ("primary", &self.certificate_path),
            ("secondary", &self.secondary_certificate_path),
        ] {
            if let Some(path) = path {
                slots.insert(
                    slot.to_owned(),
                    json!({ "certificate": files::certificate(path)? }),
                );
            }
        }
        Ok(Value::Object(slots))
    }

    /// Puts what was said besides attestation into an enrollment.
    pub(super) fn put_into(&self, fields: &mut Map<String, Value>) -> Result<(), Problem> {
        let mut set = |name: &str, value: Value| {
            fields.insert(name.to_owned(), value);
        };
        if let Some(status) = &self.provisioning_status {
            set("provisioningStatus", status.to_ascii_lowercase().into());
        }
        if let Some(policy) = &self.reprovision_policy {
            let policy = policy.to_ascii_lowercase();
            set(
                "reprovisionPolicy",
                json!({
                    "updateHubAssignment": policy != "never",
                    "migrateDeviceData": policy == "reprovisionandmigratedata",
                }),
            );
        }
        if let Some(edge) = self.edge_enabled {
            set("capabilities", json!({ "iotEdge": edge }));
        }
        let hubs: Vec<&str> = self
            .iot_hubs
            .iter()
            .flat_map(|hub| hub.split_whitespace())
            .collect();
        if !hubs.is_empty() {
            set("iotHubs", hubs.into());
        }
        if let Some(policy) = &self.allocation_policy {
            let policy = match policy.to_ascii_lowercase().as_str() {
                "geolatency" => "geoLatency".to_owned(),
                other => other.to_owned(),
            };
            set("allocationPolicy", policy.into());
        }
        if let Some(host) = &self.iot_hub_host_name {
            set("allocationPolicy", "static".into());
            set("iotHubs", json!([host]));
        }
        if self.webhook_url.is_some() || self.api_version.is_some() {
            let (Some(url), Some(version)) = (&self.webhook_url, &self.api_version) else {
                return Err(Problem::usage("--webhook-url and --api-version go together"));
            };
            set(
                "customAllocationDefinition",
                json!({ "webhookUrl": url, "apiVersion": version }),
            );
        }
        self.put_twin_into(fields)
    }

    fn put_twin_into(&self, fields: &mut Map<String, Value>) -> Result<(), Problem> {
        if self.initial_twin_tags.is_none() && self.initial_twin_properties.is_none() {
            return Ok(());
        }
        let stored = |name: &str| {
            fields
                .get("initialTwin")
                .and_then(|twin| twin.pointer(name))
                .filter(|part| part.is_object())
                .cloned()
                .unwrap_or_else(|| json!({}))
        };
        let tags = match &self.initial_twin_tags {
            Some(text) => files::json("--initial-twin-tags", text)?,
            None => stored("/tags"),
        };
        let desired = match &self.initial_twin_properties {
            Some(text) => files::json("--initial-twin-properties", text)?,
            None => stored("/properties/desired"),
        };
        fields.insert(
            "initialTwin".into(),
            json!({ "tags": tags, "properties": { "desired": desired } }),
        );
        Ok(())
    }
}

const fn member(kind: Kind) -> &'static str {
    match kind {
        Kind::Group => "signingCertificates",
        Kind::Individual => "clientCertificates",
    }
}

fn references_of(ca: &CaArgs, mut names: Map<String, Value>) -> Value {
    for (slot, name) in [("primary", &ca.ca_name), ("secondary", &ca.secondary_ca_name)] {
        if let Some(name) = name {
            names.insert(slot.to_owned(), name.as_str().into());
        }
    }
    Value::Object(names)
}

fn take(value: &mut Value, name: &str) -> Map<String, Value> {
    match value.as_object_mut().and_then(|fields| fields.remove(name)) {
        Some(Value::Object(part)) => part,
        _ => Map::new(),
    }
}

fn put(value: &mut Value, name: &str, part: Value) {
    if let Some(fields) = value.as_object_mut() {
        fields.insert(name.to_owned(), part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn created(draft: &DraftArgs, kind: Kind, asked: Option<AttestationType>, ca: &CaArgs) -> Value {
        Value::Object(draft.create(kind, "id", asked, ca, None).unwrap())
    }

    #[test]
    fn a_group_without_certificate_is_one_by_key() {
        let document = created(&DraftArgs::default(), Kind::Group, None, &CaArgs::default());
        assert_eq!(
            document.get("attestation"),
            Some(&json!({"type": "symmetricKey", "symmetricKey": {}}))
        );
        assert_eq!(document.get("enrollmentGroupId"), Some(&json!("id")));
    }

    #[test]
    fn a_group_can_refer_to_a_ca_certificate() {
        let ca = CaArgs {
            ca_name: Some("root".into()),
            secondary_ca_name: None,
        };
        let document = created(
            &DraftArgs::default(),
            Kind::Group,
            Some(AttestationType::X509),
            &ca,
        );
        assert_eq!(
            document.get("attestation"),
            Some(&json!({"type": "x509", "x509": {"caReferences": {"primary": "root"}}}))
        );
    }

    #[test]
    fn what_does_not_fit_together_is_a_mistake() {
        let nothing = DraftArgs::default();
        let single = nothing.create(Kind::Individual, "id", None, &CaArgs::default(), None);
        assert!(matches!(single, Err(Problem::Usage(_))));
        let bare = nothing.create(
            Kind::Group,
            "id",
            Some(AttestationType::X509),
            &CaArgs::default(),
            None,
        );
        assert!(matches!(bare, Err(Problem::Usage(_))));
        let half = DraftArgs {
            webhook_url: Some("https://example.com".into()),
            ..DraftArgs::default()
        };
        assert!(matches!(half.put_into(&mut Map::new()), Err(Problem::Usage(_))));
    }

    #[test]
    fn policies_and_twin_are_written_as_the_service_spells_them() {
        let draft = DraftArgs {
            allocation_policy: Some("GeoLatency".into()),
            reprovision_policy: Some("never".into()),
            iot_hubs: vec!["a.example b.example".into()],
            initial_twin_tags: Some(r#"{"floor":1}"#.into()),
            ..DraftArgs::default()
        };
        let document = created(&draft, Kind::Group, None, &CaArgs::default());
        assert_eq!(document.get("allocationPolicy"), Some(&json!("geoLatency")));
        assert_eq!(document.get("iotHubs"), Some(&json!(["a.example", "b.example"])));
        assert_eq!(
            document.get("reprovisionPolicy"),
            Some(&json!({"updateHubAssignment": false, "migrateDeviceData": false}))
        );
        assert_eq!(
            document.get("initialTwin"),
            Some(&json!({"tags": {"floor": 1}, "properties": {"desired": {}}}))
        );
    }

    #[test]
    fn a_kept_slot_keeps_its_description_and_a_removed_one_goes() {
        let mut attestation = json!({"type": "x509", "x509": {"signingCertificates": {
            "primary": {"info": {"sha1Thumbprint": "A"}}, "secondary": {"info": {"sha1Thumbprint": "B"}}}}});
        let remove = RemoveArgs {
            remove_certificate: true,
            remove_secondary_certificate: false,
        };
        DraftArgs::default()
            .change_attestation(Kind::Group, &mut attestation, &CaArgs::default(), &remove)
            .unwrap();
        assert_eq!(
            attestation,
            json!({"type": "x509", "x509": {"signingCertificates": {"secondary": {"info": {"sha1Thumbprint": "B"}}}}})
        );
        let ca = CaArgs {
            ca_name: Some("root".into()),
            secondary_ca_name: None,
        };
        DraftArgs::default()
            .change_attestation(Kind::Group, &mut attestation, &ca, &RemoveArgs::default())
            .unwrap();
        assert_eq!(
            attestation,
            json!({"type": "x509", "x509": {"caReferences": {"primary": "root"}}})
        );
    }
}
