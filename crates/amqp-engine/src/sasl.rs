//! The frames of the SASL layer, whatever the mechanism.

use bytes::Bytes;

use crate::codec::{Reader, write};
use crate::error::Error;
use crate::symbol::Symbol;

const MECHANISMS: u8 = 0x40;
const INIT: u8 = 0x41;
const CHALLENGE: u8 = 0x42;
const RESPONSE: u8 = 0x43;
const OUTCOME: u8 = 0x44;

/// What a client begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaslInit {
    /// The mechanism that it chose.
    pub mechanism: Symbol,
    /// The mechanism's first octets.
    pub initial_response: Option<Bytes>,
    /// The host that the client means.
    pub hostname: Option<String>,
}

/// How authentication ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslCode {
    /// It succeeded.
    Ok,
    /// The client is not who it says, or says it wrongly.
    Auth,
    /// It failed for a reason of the system's.
    Sys,
    /// The same, and trying again is of no use.
    SysPerm,
    /// The same, and trying again may help.
    SysTemp,
}

/// Any frame of the layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SaslFrame {
    Mechanisms(Vec<Symbol>),
    Init(SaslInit),
    Challenge(Bytes),
    Response(Bytes),
    Outcome(SaslCode, Option<Bytes>),
}

impl SaslCode {
    const fn number(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Auth => 1,
            Self::Sys => 2,
            Self::SysPerm => 3,
            Self::SysTemp => 4,
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        match reader.unsigned()? {
            0 => Ok(Self::Ok),
            1 => Ok(Self::Auth),
            2 => Ok(Self::Sys),
            3 => Ok(Self::SysPerm),
            4 => Ok(Self::SysTemp),
            _ => Err(Error::OutOfRange),
        }
    }
}

impl SaslFrame {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Mechanisms(mechanisms) => write::described_list(out, MECHANISMS, 1, |out| {
                write::symbols(out, mechanisms);
            }),
            Self::Init(init) => write::described_list(out, INIT, 3, |out| {
                write::symbol(out, &init.mechanism);
                write::optional(out, init.initial_response.as_deref(), write::binary);
                write::optional(out, init.hostname.as_deref(), write::string);
            }),
            Self::Challenge(octets) => write::described_list(out, CHALLENGE, 1, |out| {
                write::binary(out, octets);
            }),
            Self::Response(octets) => write::described_list(out, RESPONSE, 1, |out| {
                write::binary(out, octets);
            }),
            Self::Outcome(code, data) => write::described_list(out, OUTCOME, 2, |out| {
                write::ubyte(out, code.number());
                write::optional(out, data.as_deref(), write::binary);
            }),
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let descriptor = reader.descriptor(code)?;
        let fields = &mut reader.fields()?;
        let frame = match u8::try_from(descriptor) {
            Ok(MECHANISMS) => Self::Mechanisms(reader.or(fields, Vec::new(), Reader::symbols)?),
            Ok(INIT) => Self::Init(SaslInit {
                mechanism: reader.required(fields, "mechanism", Reader::symbol)?,
                initial_response: reader.field(fields, Reader::binary)?,
                hostname: reader.field(fields, Reader::string)?,
            }),
            Ok(CHALLENGE) => Self::Challenge(reader.or(fields, Bytes::new(), Reader::binary)?),
            Ok(RESPONSE) => Self::Response(reader.or(fields, Bytes::new(), Reader::binary)?),
            Ok(OUTCOME) => Self::Outcome(
                reader.required(fields, "code", SaslCode::read)?,
                reader.field(fields, Reader::binary)?,
            ),
            _ => return Err(Error::UnknownDescriptor(descriptor)),
        };
        reader.close(fields)?;
        Ok(frame)
    }
}

fn code(name: &str) -> Option<u64> {
    let code = match name {
        "amqp:sasl-mechanisms:list" => MECHANISMS,
        "amqp:sasl-init:list" => INIT,
        "amqp:sasl-challenge:list" => CHALLENGE,
        "amqp:sasl-response:list" => RESPONSE,
        "amqp:sasl-outcome:list" => OUTCOME,
        _ => return None,
    };
    Some(code.into())
}
