//! Moves what the domains must deliver: event log and change notices, in one process
