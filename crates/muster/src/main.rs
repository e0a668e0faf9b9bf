//! The binary: command line, configuration, wiring, lifecycle.

fn main() {}
