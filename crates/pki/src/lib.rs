//! Reads, chains, checks and issues X.509 certificates
