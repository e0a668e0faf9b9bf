//! Provisioning: attestation, enrollments, allocation, registration state
