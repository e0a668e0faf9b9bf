//! Devices: identities, authentication and device-to-cloud routing
