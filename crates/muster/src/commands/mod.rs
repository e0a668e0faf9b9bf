//! What each command does. One file for each, named as it is typed.

pub(crate) mod ca;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod operator;
pub(crate) mod serve;
