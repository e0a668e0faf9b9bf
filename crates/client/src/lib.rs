//! The other end of the wire: calls for the command line and simulated devices
