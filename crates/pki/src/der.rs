//! The few steps through DER that the certificate reader's library does not offer: walking over elements
//! whose raw bytes matter, and writing the small extension values that the issuing library has no type for.
//!
//! Deliberately not a DER library: only definite lengths, only single-byte tags, no interpretation of values.
//! Nothing here allocates on reading, and no length from outside is trusted before the slice it names exists.

/// Tag of SEQUENCE.
pub(crate) const SEQUENCE: u8 = 0x30;
/// Tag of BIT STRING.
pub(crate) const BIT_STRING: u8 = 0x03;
/// Tag of OCTET STRING.
pub(crate) const OCTET_STRING: u8 = 0x04;
/// Tag of `IA5String`.
pub(crate) const IA5_STRING: u8 = 0x16;

/// One element: its tag, its content, and all its bytes (header included).
#[derive(Clone, Copy)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
    pub(crate) raw: &'a [u8],
}

/// Splits the first element off, or answers `None` when the bytes do not hold a whole one.
pub(crate) fn split(input: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&tag, after_tag) = input.split_first()?;
    if tag & 0x1f == 0x1f {
        return None;
    }
    let (&first, after_first) = after_tag.split_first()?;
    let (length, body) = if first < 0x80 {
        (usize::from(first), after_first)
    } else {
        let count = usize::from(first & 0x7f);
        // Four length bytes name 4 GiB, far above every cap of this crate; zero is the indefinite form of
        // BER.
        if count == 0 || count > 4 {
            return None;
        }
        let (bytes, body) = after_first.split_at_checked(count)?;
        let length = bytes
            .iter()
            .fold(0_usize, |sum, &byte| (sum << 8) | usize::from(byte));
        (length, body)
    };
    let (content, rest) = body.split_at_checked(length)?;
    let (raw, _) = input.split_at_checked(input.len() - rest.len())?;
    Some((Element { tag, content, raw }, rest))
}

/// Splits off an element of this tag.
pub(crate) fn expect(input: &[u8], tag: u8) -> Option<(Element<'_>, &[u8])> {
    split(input).filter(|(element, _)| element.tag == tag)
}

/// Writes one element with the shortest length form.
pub(crate) fn write(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 6);
    out.push(tag);
    let length = content.len();
    if let Ok(short) = u8::try_from(length)
        && short < 0x80
    {
        out.push(short);
    } else {
        let bytes = length.to_be_bytes();
        let significant: Vec<u8> = bytes.into_iter().skip_while(|&byte| byte == 0).collect();
        // At most eight length bytes on any machine, so the count fits beside the flag.
        out.push(0x80 | u8::try_from(significant.len()).unwrap_or(0x7f));
        out.extend_from_slice(&significant);
    }
    out.extend_from_slice(content);
    out
}

/// Writes a BIT STRING of whole bytes.
pub(crate) fn write_bits(bytes: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(bytes.len() + 1);
    content.push(0);
    content.extend_from_slice(bytes);
    write(BIT_STRING, &content)
}

/// Writes a SEQUENCE of elements that are already written.
pub(crate) fn write_sequence(elements: &[Vec<u8>]) -> Vec<u8> {
    write(SEQUENCE, &elements.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_what_it_wrote_for_every_length_form() {
        for length in [0, 1, 127, 128, 255, 256, 65_535, 65_536] {
            let content = vec![7_u8; length];
            let mut bytes = write(OCTET_STRING, &content);
            bytes.push(0xaa);
            let (element, rest) = expect(&bytes, OCTET_STRING).unwrap();
            assert_eq!(element.content, content);
            assert_eq!(element.raw.len() + 1, bytes.len());
            assert_eq!(rest, [0xaa]);
        }
    }

    #[test]
    fn refuses_truncated_indefinite_and_many_byte_tags() {
        for bytes in [
            &[][..],
            &[0x30],
            &[0x30, 0x02, 0x00],
            &[0x30, 0x80, 0x00, 0x00],
            &[0x30, 0x85, 0, 0, 0, 0, 1, 0],
            &[0x3f, 0x81, 0x00],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert!(split(bytes).is_none(), "{bytes:02x?}");
        }
    }
}
