//! What a judgement found out, for explaining it. Filled only beside the hot path.

use muster_model::dps::{EnrollmentGroup, IndividualEnrollment};
use muster_model::{CertificateName, RegistrationId};
use muster_pki::Certificate;
use muster_pki::verify::{Event, Reason};

/// One finding about enrollments.
#[derive(Clone, Debug)]
pub(crate) enum Note {
    /// The leaf stands in this disabled enrollment.
    DisabledElsewhere(RegistrationId),
    /// The individual enrollment of the registration id.
    Individual(Box<IndividualEnrollment>),
    /// A group on the path, and how far above the leaf its certificate stands.
    Group(Box<EnrollmentGroup>, usize),
    /// A reference to a CA certificate that is gone.
    MissingReference(CertificateName),
    /// There is no individual enrollment of the registration id.
    NoIndividual,
    /// A signing certificate of some group that may take part in the path.
    SigningCertificate(Certificate),
}

/// The findings of one judgement.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    pub(crate) notes: Vec<Note>,
    pub(crate) events: Vec<Event>,
    /// What the last walk ended with.
    pub(crate) reason: Option<Reason>,
}

impl Trace {
    pub(crate) fn note(&mut self, note: Note) {
        self.notes.push(note);
    }
}

/// Notes something when anybody listens.
pub(super) fn note(trace: &mut Option<&mut Trace>, note: impl FnOnce() -> Note) {
    if let Some(trace) = trace {
        trace.note(note());
    }
}
