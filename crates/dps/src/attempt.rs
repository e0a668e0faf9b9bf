//! What a device asks for and what it is answered.

use std::fmt;
use std::sync::Arc;

use muster_model::dps::RegistrationState;
use muster_model::estate::ProvisioningService;
use muster_model::{Json, OperationId, ReasonCode, RegistrationId, SasToken, TrackingId};
use muster_pki::Chain;

/// What a device showed for itself. A token, where there is one, is what counts; the certificate is then ignored.
#[derive(Clone, Debug, Default)]
pub struct Credential {
    /// The certificates of the handshake.
    pub chain: Option<Chain>,
    /// The token, read and not yet judged.
    pub token: Option<SasToken>,
    /// Whether the device offered a TPM's endorsement key, which is not taken.
    pub tpm: bool,
}

/// A call of a device to a provisioning service: to register, or to ask what became of it.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The provisioning service that the id scope leads to.
    pub service: Arc<ProvisioningService>,
    /// The registration id as it stands in the path.
    pub id: RegistrationId,
    /// What the device showed.
    pub credential: Credential,
    /// What the device wants handed to custom allocation.
    pub payload: Option<Json>,
    /// Names the attempt in answer, log and record.
    pub tracking: TrackingId,
}

/// What a register or a poll is answered with.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The attempt; `None` when a disabled enrollment answered a register, for then there is nothing to poll.
    pub id: Option<OperationId>,
    /// Where the registration stands. After a register this is mostly final already; the device still reads
    /// `assigning` first, for its clients expect to poll.
    pub state: RegistrationState,
    /// Why there is no hub, where that deserves a record beside the answer: the enrollment or the group is disabled, or
    /// no hub could be assigned.
    pub refusal: Option<ReasonCode>,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.id, self.service.id_scope)
    }
}
