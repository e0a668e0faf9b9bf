//! The two ends of a link: where deliveries come from and where they go.

use crate::codec::{Reader, write};
use crate::error::Error;
use crate::outcome::DeliveryState;
use crate::symbol::Symbol;
use crate::value::Map;

/// When a terminus without an expiry policy ends. Source: OASIS AMQP 1.0, part 3, section 3.5, read 2026-11-25.
const SESSION_END: Symbol = Symbol::from_static("session-end");

const SOURCE_CODE: u8 = 0x28;
const TARGET_CODE: u8 = 0x29;
const COORDINATOR_CODE: u8 = 0x30;

/// Where deliveries come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The address; `None` if the peer is to make one up.
    pub address: Option<String>,
    /// How much of its state survives: 0 none, 1 its configuration, 2 its unsettled deliveries too.
    pub durable: u32,
    /// When the time-out begins.
    pub expiry_policy: Symbol,
    /// Seconds that it outlives its link.
    pub timeout: u32,
    /// Whether the peer is to make an address.
    pub dynamic: bool,
    /// What a node that is made so is to be.
    pub dynamic_node_properties: Option<Map>,
    /// `move` or `copy`.
    pub distribution_mode: Option<Symbol>,
    /// Filters by name; the values are described.
    pub filter: Option<Map>,
    /// The outcome of what is settled without one.
    pub default_outcome: Option<DeliveryState>,
    /// The outcomes that may be used.
    pub outcomes: Vec<Symbol>,
    /// What else it can do.
    pub capabilities: Vec<Symbol>,
}

/// Where deliveries go.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The address; `None` if the peer is to make one up.
    pub address: Option<String>,
    /// How much of its state survives: 0 none, 1 its configuration, 2 its unsettled deliveries too.
    pub durable: u32,
    /// When the time-out begins.
    pub expiry_policy: Symbol,
    /// Seconds that it outlives its link.
    pub timeout: u32,
    /// Whether the peer is to make an address.
    pub dynamic: bool,
    /// What a node that is made so is to be.
    pub dynamic_node_properties: Option<Map>,
    /// What else it can do.
    pub capabilities: Vec<Symbol>,
}

/// What a peer can ask for as the target of its link.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AnyTarget {
    Target(Target),
    /// Transactions, which are not offered.
    Coordinator,
}

impl Default for Source {
    fn default() -> Self {
        Self {
            address: None,
            durable: 0,
            expiry_policy: SESSION_END,
            timeout: 0,
            dynamic: false,
            dynamic_node_properties: None,
            distribution_mode: None,
            filter: None,
            default_outcome: None,
            outcomes: Vec::new(),
            capabilities: Vec::new(),
        }
    }
}

impl Source {
    /// A source at an address.
    pub fn at(address: impl Into<String>) -> Self {
        Self {
            address: Some(address.into()),
            ..Self::default()
        }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        write::described_list(out, SOURCE_CODE, 11, |out| {
            write::optional(out, self.address.as_deref(), write::string);
            write::uint(out, self.durable);
            write::symbol(out, &self.expiry_policy);
            write::uint(out, self.timeout);
            write::boolean(out, self.dynamic);
            write::optional_map(out, self.dynamic_node_properties.as_ref());
            write::optional(out, self.distribution_mode.as_ref(), write::symbol);
            write::optional_map(out, self.filter.as_ref());
            write::optional(out, self.default_outcome.as_ref(), |out, state| state.write(out));
            write::symbols(out, &self.outcomes);
            write::symbols(out, &self.capabilities);
        });
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        match reader.descriptor(code)? {
            0x28 => {}
            other => return Err(Error::UnknownDescriptor(other)),
        }
        let fields = &mut reader.fields()?;
        let source = Self {
            address: reader.field(fields, Reader::string)?,
            durable: reader.or(fields, 0, Reader::narrow)?,
            expiry_policy: reader.or(fields, SESSION_END, Reader::symbol)?,
            timeout: reader.or(fields, 0, Reader::narrow)?,
            dynamic: reader.or(fields, false, Reader::boolean)?,
            dynamic_node_properties: reader.field(fields, Reader::map)?,
            distribution_mode: reader.field(fields, Reader::symbol)?,
            filter: reader.field(fields, Reader::map)?,
            default_outcome: reader.field(fields, DeliveryState::read)?,
            outcomes: reader.or(fields, Vec::new(), Reader::symbols)?,
            capabilities: reader.or(fields, Vec::new(), Reader::symbols)?,
        };
        reader.close(fields)?;
        Ok(source)
    }
}

impl Default for Target {
    fn default() -> Self {
        Self {
            address: None,
            durable: 0,
            expiry_policy: SESSION_END,
            timeout: 0,
            dynamic: false,
            dynamic_node_properties: None,
            capabilities: Vec::new(),
        }
    }
}

impl Target {
    /// A target at an address.
    pub fn at(address: impl Into<String>) -> Self {
        Self {
            address: Some(address.into()),
            ..Self::default()
        }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        write::described_list(out, TARGET_CODE, 7, |out| {
            write::optional(out, self.address.as_deref(), write::string);
            write::uint(out, self.durable);
            write::symbol(out, &self.expiry_policy);
            write::uint(out, self.timeout);
            write::boolean(out, self.dynamic);
            write::optional_map(out, self.dynamic_node_properties.as_ref());
            write::symbols(out, &self.capabilities);
        });
    }
}

impl AnyTarget {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        match reader.descriptor(code)? {
            0x29 => {}
            0x30 => {
                reader.skip()?;
                return Ok(Self::Coordinator);
            }
            other => return Err(Error::UnknownDescriptor(other)),
        }
        let fields = &mut reader.fields()?;
        let target = Target {
            address: reader.field(fields, Reader::string)?,
            durable: reader.or(fields, 0, Reader::narrow)?,
            expiry_policy: reader.or(fields, SESSION_END, Reader::symbol)?,
            timeout: reader.or(fields, 0, Reader::narrow)?,
            dynamic: reader.or(fields, false, Reader::boolean)?,
            dynamic_node_properties: reader.field(fields, Reader::map)?,
            capabilities: reader.or(fields, Vec::new(), Reader::symbols)?,
        };
        reader.close(fields)?;
        Ok(Self::Target(target))
    }
}

fn code(name: &str) -> Option<u64> {
    let code = match name {
        "amqp:source:list" => SOURCE_CODE,
        "amqp:target:list" => TARGET_CODE,
        "amqp:coordinator:list" => COORDINATOR_CODE,
        _ => return None,
    };
    Some(code.into())
}
