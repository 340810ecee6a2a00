//! What a caller's stream id asks for.
//!
//! Two spellings: the bare key, and SRT access control (`#!::r=<key>,m=publish`). Others are to come and
//! belong here.
//!
//! Invariant: a key that leaves this file is 1 to [`KEY_MAX_BYTES`] characters of `A-Z a-z 0-9 _ -`.

use super::Direction;
use super::reject::RejectCode;

/// The longest key we look up.
const KEY_MAX_BYTES: usize = 160;

/// Takes the key out of a stream id that arrived on a port of `direction`.
///
/// # Errors
/// [`RejectCode::BadRequest`] when it is no spelling we know, [`RejectCode::BadMode`] when it asks for the
/// other direction.
pub(crate) fn parse(stream_id: &str, direction: Direction) -> Result<&str, RejectCode> {
    let key = match stream_id.strip_prefix("#!::") {
        Some(fields) => access_control_key(fields, direction)?,
        None => stream_id,
    };
    let is_key = !key.is_empty()
        && key.len() <= KEY_MAX_BYTES
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if is_key {
        Ok(key)
    } else {
        Err(RejectCode::BadRequest)
    }
}

/// Source: libsrt `docs/features/access-control.md` (read November 2026).
fn access_control_key(fields: &str, direction: Direction) -> Result<&str, RejectCode> {
    let mut resource = None;
    for field in fields.split(',') {
        let (name, value) = field.split_once('=').ok_or(RejectCode::BadRequest)?;
        match name {
            "r" => resource = Some(value),
            "m" => check_mode(value, direction)?,
            // User, host, session and type say nothing to us.
            _ => {}
        }
    }
    resource.ok_or(RejectCode::BadRequest)
}

fn check_mode(mode: &str, direction: Direction) -> Result<(), RejectCode> {
    let asked = match mode {
        "publish" => Direction::Publish,
        "request" => Direction::Play,
        _ => return Err(RejectCode::BadMode),
    };
    if asked == direction {
        Ok(())
    } else {
        Err(RejectCode::BadMode)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_spelling_gives_its_key_or_its_code() {
        use Direction::{Play, Publish};
        use RejectCode::{BadMode, BadRequest};
        let too_long = "x".repeat(KEY_MAX_BYTES + 1);
        let cases = [
            ("live_abc-DEF_1", Publish, Ok("live_abc-DEF_1")),
            ("play_abc", Play, Ok("play_abc")),
            ("play_abc", Publish, Ok("play_abc")),
            ("#!::r=live_abc,m=publish", Publish, Ok("live_abc")),
            ("#!::m=request,r=play_abc", Play, Ok("play_abc")),
            ("#!::u=me,r=live_abc", Publish, Ok("live_abc")),
            ("#!::r=live_abc,m=request", Publish, Err(BadMode)),
            ("#!::r=play_abc,m=publish", Play, Err(BadMode)),
            ("#!::r=play_abc,m=bidirectional", Play, Err(BadMode)),
            ("#!::m=publish", Publish, Err(BadRequest)),
            ("#!::r", Publish, Err(BadRequest)),
            ("", Publish, Err(BadRequest)),
            ("live_%s%n", Publish, Err(BadRequest)),
            ("live_abc ", Publish, Err(BadRequest)),
            ("publish/live/feed1", Publish, Err(BadRequest)),
            ("live_\u{fffd}", Publish, Err(BadRequest)),
            (too_long.as_str(), Publish, Err(BadRequest)),
        ];
        for (stream_id, direction, expected) in cases {
            assert_eq!(parse(stream_id, direction), expected, "{stream_id}");
        }
    }

    proptest! {
        #[test]
        fn no_stream_id_makes_the_parser_panic(stream_id in ".{0,200}") {
            let _ = parse(&stream_id, Direction::Publish);
            let _ = parse(&format!("#!::{stream_id}"), Direction::Play);
        }
    }
}
