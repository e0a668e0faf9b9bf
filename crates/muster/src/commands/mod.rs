//! What each command does. One file for each, named as it is typed.

pub(crate) mod backup;
pub(crate) mod ca;
pub(crate) mod cert;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod generate;
pub(crate) mod iot;
pub(crate) mod log;
pub(crate) mod operator;
pub(crate) mod serve;
