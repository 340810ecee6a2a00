//! SRT handshakes, version 5, as a listener meets and answers them.
//!
//! Source: draft-sharabayko-srt-01, sections 3.2.1 and 4.3 (read November 2026).
//!
//! Callers in the field, and what they need of a listener beyond the draft:
//!
//! | caller | what it does |
//! |---|---|
//! | libsrt 1.4, 1.5 (ffmpeg, OBS, Larix, `srt-live-transmit`) | repeats each handshake every 250 ms for 3 s |
//! | gosrt (datarhei) | sends each handshake once; a socket id of 32 bits; refuses extensions it does not know |
//! | Moblin's own sender | takes the socket id of its conclusion from our induction answer, where its own must stand; sends each handshake once; understands no refusal; answers each keepalive |
//! | `RootEncoder` (Android apps) | one socket id for every call; no timestamp flags; its latency as a receiver's only; an empty stream id block |
//!
//!
//! Invariant: [`Handshake::parse`] never panics and keeps at most [`STREAM_ID_MAX_BYTES`] of a caller's text.

use bytes::BufMut;

use super::crypto::{BadKeyMessage, KeyMessage};
use super::reject::RejectCode;
use super::sequence::Sequence;
use super::wire::{half_word, word};

/// `kind` of the first handshake of a caller and of its answer.
pub(crate) const INDUCTION: u32 = 1;
/// `kind` of the second handshake of a caller and of its answer.
pub(crate) const CONCLUSION: u32 = 0xFFFF_FFFF;
/// In the extension field of our induction answer: we speak version 5.
pub(crate) const MAGIC: u16 = 0x4A17;
/// In the extension field of our conclusion answer: a handshake extension follows.
pub(crate) const EXTENSION_HANDSHAKE: u16 = 1;
/// The same: key material follows.
pub(crate) const EXTENSION_KEY: u16 = 2;
/// The longest stream id the protocol knows.
pub(crate) const STREAM_ID_MAX_BYTES: usize = 512;
/// The libsrt version whose behaviour we have.
pub(crate) const OUR_VERSION: u32 = 0x01_05_00;

const FIXED_BYTES: usize = 48;
const BLOCK_REQUEST: u16 = 1;
const BLOCK_RESPONSE: u16 = 2;
const BLOCK_KEY_REQUEST: u16 = 3;
const BLOCK_KEY_RESPONSE: u16 = 4;
const BLOCK_STREAM_ID: u16 = 5;
const BLOCK_CONGESTION: u16 = 6;
const BLOCK_FILTER: u16 = 7;
const BLOCK_GROUP: u16 = 8;
const CONGESTION_MAX_BYTES: usize = 64;

/// Timestamps drive delivery on both sides, too-late packets are dropped, losses are reported again and
/// again, repetitions are marked.
const OUR_FLAGS: u32 = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x20;
/// The caller wants a byte stream, not live messages.
const FLAG_STREAM: u32 = 0x40;

/// What the handshake extension of a caller says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extension {
    /// Its libsrt version, one byte each: major, minor, patch.
    pub(crate) version: u32,
    /// Its abilities.
    pub(crate) flags: u32,
    /// The latency it wants as a receiver, in milliseconds.
    pub(crate) receive_delay_ms: u16,
    /// The latency it wants of the other side as a receiver, in milliseconds.
    pub(crate) send_delay_ms: u16,
}

/// A handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Handshake {
    /// 4 in the first packet of a caller, 5 from then on.
    pub(crate) version: u32,
    /// Induction answer: [`MAGIC`]; conclusion: which extensions follow.
    pub(crate) extension_field: u16,
    /// The first sequence number of both directions.
    pub(crate) initial_sequence: Sequence,
    /// Largest packet with IP and UDP headers.
    pub(crate) mtu_bytes: u32,
    /// Packets that may be in flight.
    pub(crate) window_packets: u32,
    /// [`INDUCTION`], [`CONCLUSION`] or a [`RejectCode`].
    pub(crate) kind: u32,
    /// The sender's socket id.
    pub(crate) socket_id: u32,
    /// What the listener gave in the induction.
    pub(crate) cookie: u32,
    /// The receiver's address as the sender sees it.
    pub(crate) address: [u8; 16],
    /// The handshake extension of a conclusion.
    pub(crate) extension: Option<Extension>,
    /// The key material that came along: the caller wants an encrypted stream.
    pub(crate) key_material: Option<Result<KeyMessage, BadKeyMessage>>,
    /// The stream id.
    pub(crate) stream_id: Option<String>,
    /// The congestion control asked for.
    pub(crate) congestion: Option<String>,
    /// Whether a packet filter is asked for.
    pub(crate) has_filter: bool,
    /// Whether the caller wants a libsrt bonding group.
    pub(crate) has_group: bool,
}

impl Handshake {
    /// Parses the body of a handshake packet.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let mut handshake = Self {
            version: word(body, 0)?,
            extension_field: half_word(body, 6)?,
            initial_sequence: Sequence::new(word(body, 8)?),
            mtu_bytes: word(body, 12)?,
            window_packets: word(body, 16)?,
            kind: word(body, 20)?,
            socket_id: word(body, 24)?,
            cookie: word(body, 28)?,
            address: body.get(32..FIXED_BYTES)?.try_into().ok()?,
            extension: None,
            key_material: None,
            stream_id: None,
            congestion: None,
            has_filter: false,
            has_group: false,
        };
        if handshake.kind == CONCLUSION && handshake.version == 5 {
            handshake.read_blocks(body.get(FIXED_BYTES..)?)?;
        }
        Some(handshake)
    }

    fn read_blocks(&mut self, mut rest: &[u8]) -> Option<()> {
        while rest.len() >= 4 {
            let (kind, words) = (half_word(rest, 0)?, half_word(rest, 2)?);
            let (block, tail) = rest[4..].split_at_checked(usize::from(words) * 4)?;
            self.read_block(kind, block)?;
            rest = tail;
        }
        Some(())
    }

    fn read_block(&mut self, kind: u16, block: &[u8]) -> Option<()> {
        match kind {
            BLOCK_REQUEST => {
                self.extension = Some(Extension {
                    version: word(block, 0)?,
                    flags: word(block, 4)?,
                    receive_delay_ms: half_word(block, 8)?,
                    send_delay_ms: half_word(block, 10)?,
                });
            }
            BLOCK_KEY_REQUEST => self.key_material = Some(KeyMessage::parse(block)),
            BLOCK_STREAM_ID if block.len() <= STREAM_ID_MAX_BYTES => {
                self.stream_id = Some(text_of_words(block));
            }
            BLOCK_CONGESTION if block.len() <= CONGESTION_MAX_BYTES => {
                self.congestion = Some(text_of_words(block));
            }
            BLOCK_STREAM_ID | BLOCK_CONGESTION => return None,
            BLOCK_FILTER => self.has_filter = block.iter().any(|byte| *byte != 0),
            BLOCK_GROUP => self.has_group = true,
            // The protocol asks to skip what one does not know.
            _ => {}
        }
        Some(())
    }

    /// What cannot be served, whoever asks. Encryption is left out: it depends on the slot.
    pub(crate) fn unsupported(&self) -> Option<RejectCode> {
        if self.version != 5 {
            return Some(RejectCode::Version);
        }
        let Some(extension) = self.extension else {
            return Some(RejectCode::Rogue);
        };
        let congestion = self.congestion.as_deref().unwrap_or("live");
        if extension.flags & FLAG_STREAM != 0 {
            Some(RejectCode::MessageMode)
        } else if !matches!(congestion, "live" | "") {
            Some(RejectCode::Congestion)
        } else if self.has_filter {
            Some(RejectCode::Filter)
        } else if self.has_group {
            Some(RejectCode::Group)
        } else {
            None
        }
    }

    /// The body of this handshake without extensions.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(FIXED_BYTES + 16);
        body.put_u32(self.version);
        // The key size we would like; 0 leaves it to the caller.
        body.put_u16(0);
        body.put_u16(self.extension_field);
        body.put_u32(self.initial_sequence.get());
        body.put_u32(self.mtu_bytes);
        body.put_u32(self.window_packets);
        body.put_u32(self.kind);
        body.put_u32(self.socket_id);
        body.put_u32(self.cookie);
        body.put_slice(&self.address);
        body
    }
}

/// Appends our handshake extension to the body of a conclusion answer.
pub(crate) fn append_response(body: &mut Vec<u8>, receive_delay_ms: u16, send_delay_ms: u16) {
    body.put_u16(BLOCK_RESPONSE);
    body.put_u16(3);
    body.put_u32(OUR_VERSION);
    body.put_u32(OUR_FLAGS);
    body.put_u16(receive_delay_ms);
    body.put_u16(send_delay_ms);
}

/// Appends the confirmation of the caller's key material: the same again.
pub(crate) fn append_key_response(body: &mut Vec<u8>, message: &KeyMessage) {
    put_block(body, BLOCK_KEY_RESPONSE, message.bytes());
}

/// `block` is a multiple of four bytes.
fn put_block(body: &mut Vec<u8>, kind: u16, block: &[u8]) {
    body.put_u16(kind);
    body.put_u16(u16::try_from(block.len() / 4).expect("blocks are short"));
    body.put_slice(block);
}

/// SRT texts are sent as little-endian words, padded with zeros.
fn text_of_words(block: &[u8]) -> String {
    let mut bytes: Vec<u8> = block
        .chunks_exact(4)
        .flat_map(|four| four.iter().rev().copied())
        .collect();
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
pub(crate) mod tests;
