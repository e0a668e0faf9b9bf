//! Black-box suites: the built binary, and clients that are not ours.
