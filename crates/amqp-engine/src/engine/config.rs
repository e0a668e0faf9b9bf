//! What an engine is told when it is made. One configuration serves all connections of a listener.

use crate::performative::Open;
use crate::symbol::Symbol;

/// The bounds and words of one side of a connection.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What this side says when it opens: its container, its largest frame (at least 512 octets), its highest
    /// channel, and the milliseconds of silence that it lets the peer have. A peer that was silent for twice as long
    /// is given up; `None` waits for ever.
    pub open: Open,
    /// The mechanisms that a server offers, in their order; none of them switches the layer off. Not used by a
    /// client.
    pub sasl_mechanisms: Vec<Symbol>,
    /// Whether the SASL layer comes first: a server refuses peers that leave it out, a client begins with it.
    pub sasl_required: bool,
    /// Transfers that a session of the peer may have on their way or unsettled.
    pub incoming_window: u32,
    /// Deliveries that a session of this side may have unsettled.
    pub max_unsettled: usize,
    /// The highest handle that a session takes.
    pub handle_max: u32,
    /// Links that a connection may have, over all sessions.
    pub max_links: usize,
    /// Octets of the largest delivery, for links that do not say less.
    pub max_delivery: u64,
    /// Octets of unfinished deliveries that a connection may hold.
    pub max_assembling: usize,
    /// Octets waiting to be written above which [`wants_input`](crate::Engine::wants_input) is false.
    pub max_pending_output: usize,
    /// Milliseconds within which the peer must have opened the connection.
    pub handshake_time_out: u64,
    /// Milliseconds that an answer to a close is waited for.
    pub close_time_out: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            open: Open {
                max_frame_size: 65_536,
                channel_max: 255,
                idle_time_out: Some(120_000),
                ..Open::default()
            },
            sasl_mechanisms: Vec::new(),
            sasl_required: false,
            incoming_window: 5_000,
            max_unsettled: 5_000,
            handle_max: 8_191,
            max_links: 8_192,
            max_delivery: 1_048_576,
            max_assembling: 4_194_304,
            max_pending_output: 262_144,
            handshake_time_out: 30_000,
            close_time_out: 5_000,
        }
    }
}
