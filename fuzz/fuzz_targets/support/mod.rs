//! What several targets use: a first byte that chooses among parsers.

/// Takes the first byte as the choice among `choices` parsers; `'0'` chooses the first, so that seeds can be written by
/// hand. `None` for an empty input.
pub fn choose(bytes: &[u8], choices: u8) -> Option<(u8, &[u8])> {
    let (choice, rest) = bytes.split_first()?;
    Some((choice.wrapping_sub(b'0') % choices, rest))
}
