//! Control plane: hubs, provisioning services, their CA certificates and access policies
