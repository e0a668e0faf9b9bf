//! HTTP APIs: device, service, provisioning and management
