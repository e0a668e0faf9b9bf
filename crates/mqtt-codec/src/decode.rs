//! Reads packets, strictly.

use crate::error::Violation;
use crate::frame::Frame;
use crate::packet::{
    Connack, Connect, ConnectCode, Filters, Packet, PacketId, Publish, Qos, Subscriptions, Will,
};

impl<'a> Frame<'a> {
    /// Reads the packet.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn packet(&self) -> Result<Packet<'a>, Violation> {
        let mut reader = Reader(self.body);
        let flags = self.first & 0x0f;
        if self.first >> 4 == 3 {
            return publish(flags, reader).map(Packet::Publish);
        }
        let wanted = match self.first >> 4 {
            0 | 15 => return Err(Violation::Kind),
            6 | 8 | 10 => 0b0010,
            _ => 0,
        };
        // [MQTT-2.2.2-1], [MQTT-2.2.2-2], and for SUBSCRIBE, UNSUBSCRIBE and PUBREL the statements of their own.
        if flags != wanted {
            return Err(Violation::Flags);
        }
        let packet = match self.first >> 4 {
            1 => return connect(reader).map(Packet::Connect),
            2 => Packet::Connack(connack(&mut reader)?),
            4 => Packet::Puback(reader.id()?),
            5 => Packet::Pubrec(reader.id()?),
            6 => Packet::Pubrel(reader.id()?),
            7 => Packet::Pubcomp(reader.id()?),
            8 => return subscribe(reader),
            9 => return suback(reader),
            10 => return unsubscribe(reader),
            11 => Packet::Unsuback(reader.id()?),
            12 => Packet::Pingreq,
            13 => Packet::Pingresp,
            _ => Packet::Disconnect,
        };
        reader.end()?;
        Ok(packet)
    }
}

/// What is left of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn byte(&mut self) -> Result<u8, Violation> {
        let (byte, rest) = self.0.split_first().ok_or(Violation::Truncated)?;
        self.0 = rest;
        Ok(*byte)
    }

    fn number(&mut self) -> Result<u16, Violation> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Violation::Truncated)?;
        self.0 = rest;
        Ok(u16::from_be_bytes(*bytes))
    }

    fn id(&mut self) -> Result<PacketId, Violation> {
        PacketId::new(self.number()?).ok_or(Violation::Field("the packet identifier is 0 (MQTT-2.3.1-1)"))
    }

    fn bytes(&mut self) -> Result<&'a [u8], Violation> {
        let length = usize::from(self.number()?);
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Violation::Truncated)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Violation> {
        let text = std::str::from_utf8(self.bytes()?)
            .map_err(|_| Violation::Field("a text is not UTF-8 (MQTT-1.5.3-1)"))?;
        if text.contains('\0') {
            return Err(Violation::Field("a text holds U+0000 (MQTT-1.5.3-2)"));
        }
        Ok(text)
    }

    const fn end(self) -> Result<(), Violation> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Violation::Truncated)
        }
    }
}

fn connect(mut reader: Reader<'_>) -> Result<Connect<'_>, Violation> {
    let name = reader.bytes()?;
    let level = reader.byte()?;
    match (name, level) {
        (b"MQTT", 4) => {}
        // Version 3.1 had another name.
        (b"MQTT", level) | (b"MQIsdp", level @ 3) => return Err(Violation::Level(level)),
        _ => return Err(Violation::Protocol),
    }
    let flags = reader.byte()?;
    let flag = |bit: u8| flags & (1 << bit) != 0;
    if flag(0) {
        return Err(Violation::Field(
            "the reserved connect flag is set (MQTT-3.1.2-3)",
        ));
    }
    let qos = Qos::of((flags >> 3) & 3).ok_or(Violation::Field("the will's QoS is 3 (MQTT-3.1.2-14)"))?;
    if !flag(2) && (qos != Qos::AtMostOnce || flag(5)) {
        return Err(Violation::Field(
            "flags of a will are set without one (MQTT-3.1.2-13, MQTT-3.1.2-15)",
        ));
    }
    if flag(6) && !flag(7) {
        return Err(Violation::Field(
            "a password came without a user name (MQTT-3.1.2-22)",
        ));
    }
    let keep_alive = reader.number()?;
    let client_id = reader.text()?;
    let will = if flag(2) {
        Some(Will {
            topic: topic(&mut reader)?,
            payload: reader.bytes()?,
            qos,
            retain: flag(5),
        })
    } else {
        None
    };
    let user_name = if flag(7) { Some(reader.text()?) } else { None };
    let password = if flag(6) { Some(reader.bytes()?) } else { None };
    reader.end()?;
    Ok(Connect {
        client_id,
        clean_session: flag(1),
        keep_alive,
        will,
        user_name,
        password,
    })
}

fn connack(reader: &mut Reader<'_>) -> Result<Connack, Violation> {
    let session_present = match reader.byte()? {
        0 => false,
        1 => true,
        _ => {
            return Err(Violation::Field(
                "reserved bits of CONNACK are set (section 3.2.2.1)",
            ));
        }
    };
    let number = reader.byte()?;
    let code = ConnectCode::ALL.into_iter().find(|code| code.number() == number);
    let code = code.ok_or(Violation::Field(
        "the return code is not given out (section 3.2.2.3)",
    ))?;
    if session_present && code != ConnectCode::Accepted {
        return Err(Violation::Field(
            "a refusal says that a session is there (MQTT-3.2.2-4)",
        ));
    }
    Ok(Connack {
        session_present,
        code,
    })
}

fn topic<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Violation> {
    let topic = reader.text()?;
    if topic.is_empty() {
        return Err(Violation::Field("a topic is empty (MQTT-4.7.3-1)"));
    }
    if topic.contains(['+', '#']) {
        return Err(Violation::Field("a topic holds a wildcard (MQTT-3.3.2-2)"));
    }
    Ok(topic)
}

fn publish(flags: u8, mut reader: Reader<'_>) -> Result<Publish<'_>, Violation> {
    let qos = Qos::of((flags >> 1) & 3).ok_or(Violation::Field("the QoS is 3 (MQTT-3.3.1-4)"))?;
    let dup = flags & 0b1000 != 0;
    if dup && qos == Qos::AtMostOnce {
        return Err(Violation::Field("DUP is set at QoS 0 (MQTT-3.3.1-2)"));
    }
    let topic = topic(&mut reader)?;
    let delivery = match qos {
        Qos::AtMostOnce => None,
        Qos::AtLeastOnce | Qos::ExactlyOnce => Some((qos, reader.id()?)),
    };
    Ok(Publish {
        dup,
        delivery,
        retain: flags & 1 != 0,
        topic,
        payload: reader.0,
    })
}

/// Reads a filter. Where its wildcards may stand: [MQTT-4.7.1-2], [MQTT-4.7.1-3].
fn filter<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Violation> {
    let filter = reader.text()?;
    if filter.is_empty() {
        return Err(Violation::Field("a topic filter is empty (MQTT-4.7.3-1)"));
    }
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        if level.contains('#') && (level != "#" || levels.peek().is_some()) {
            return Err(Violation::Field(
                "# does not stand alone in the last level (MQTT-4.7.1-2)",
            ));
        }
        if level.contains('+') && level != "+" {
            return Err(Violation::Field(
                "+ does not stand alone in its level (MQTT-4.7.1-3)",
            ));
        }
    }
    Ok(filter)
}

fn subscribe(mut reader: Reader<'_>) -> Result<Packet<'_>, Violation> {
    let id = reader.id()?;
    let all = reader;
    loop {
        filter(&mut reader)?;
        Qos::of(reader.byte()?).ok_or(Violation::Field(
            "the requested QoS is not 0, 1 or 2 (MQTT-3-8.3-4)",
        ))?;
        if reader.end().is_ok() {
            return Ok(Packet::Subscribe(id, Subscriptions(all)));
        }
    }
}

fn unsubscribe(mut reader: Reader<'_>) -> Result<Packet<'_>, Violation> {
    let id = reader.id()?;
    let all = reader;
    loop {
        filter(&mut reader)?;
        if reader.end().is_ok() {
            return Ok(Packet::Unsubscribe(id, Filters(all)));
        }
    }
}

fn suback(mut reader: Reader<'_>) -> Result<Packet<'_>, Violation> {
    let id = reader.id()?;
    let codes = reader.0;
    if codes.is_empty() || codes.iter().any(|code| !matches!(code, 0..=2 | 0x80)) {
        return Err(Violation::Field(
            "a return code of SUBACK is reserved (MQTT-3.9.3-2)",
        ));
    }
    Ok(Packet::Suback(id, codes))
}
