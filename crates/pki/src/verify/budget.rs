//! How much work one decision may cost, whatever was presented and configured.

/// Limits of one walk. A walk that meets one ends with a reason of its own, never with a guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Signature checks. Each costs 20 to 100 microseconds; a chain of three needs two.
    pub signatures: u32,
    /// Candidate issuers looked at, signature checked or not: ten thousand CAs may share one subject.
    pub candidates: u32,
    /// Partial paths shown: CAs that cross-sign each other make factorially many.
    pub paths: u32,
    /// Certificates on one path, leaf included.
    pub depth: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            signatures: 64,
            candidates: 1_024,
            paths: 256,
            depth: 16,
        }
    }
}
