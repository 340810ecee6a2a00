//! What the load publishes: 1,316 bytes that name their stream and number at both ends.
//!
//! Invariant: a payload is determined by stream and number.

const BYTES: usize = 1_316;
const NAME_BYTES: usize = 12;

/// The payload of a number.
pub(crate) fn of(stream: u32, number: u64) -> [u8; BYTES] {
    let mut payload = [0x47; BYTES];
    let name = name(stream, number);
    payload[..NAME_BYTES].copy_from_slice(&name);
    payload[BYTES - NAME_BYTES..].copy_from_slice(&name);
    payload
}

/// The number of a payload, if it is one of this stream and whole.
pub(crate) fn number_of(stream: u32, payload: &[u8]) -> Option<u64> {
    if payload.len() != BYTES {
        return None;
    }
    let number = u64::from_be_bytes(payload[4..NAME_BYTES].try_into().ok()?);
    let name = name(stream, number);
    (payload.starts_with(&name) && payload.ends_with(&name)).then_some(number)
}

fn name(stream: u32, number: u64) -> [u8; NAME_BYTES] {
    let mut name = [0; NAME_BYTES];
    name[..4].copy_from_slice(&stream.to_be_bytes());
    name[4..].copy_from_slice(&number.to_be_bytes());
    name
}
