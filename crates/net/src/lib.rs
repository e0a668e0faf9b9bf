//! Sockets: TLS, limits, drain
