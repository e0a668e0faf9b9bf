//! Keeps what the domains must remember, in SQLite
