//! What a caller's stream id asks for.
//!
//! People carry their habits over from other servers, so one key has several spellings. With `live_abc` as
//! the publish key, all of these name it on the publish port:
//!
//! | spelling | whose habit |
//! |---|---|
//! | `live_abc` | ours: what the page shows |
//! | `abc` | the bare token, as `stream_token` has it |
//! | `publish/live_abc`, `publish/live/abc` | SRT Live Server: domain, application, stream |
//! | `publish:live_abc` | `MediaMTX` |
//! | `#!::r=live_abc,m=publish` | SRT access control; the fields in any order, `m` may be absent |
//!
//! and likewise with `play_`, `play/`, `read:` and `m=request` on the play port. The port decides the
//! direction: whatever names the other one is refused.
//!
//! Sources (read November 2026): libsrt `docs/features/access-control.md`; the `README` of
//! `OpenIRL/srt-live-server`; <https://mediamtx.org/docs/usage/publish>.
//!
//! Invariant: a key that leaves this file is the direction's prefix and 1 to [`TOKEN_MAX_BYTES`] characters
//! of `A-Z a-z 0-9 _ -`.

use super::Direction;
use super::reject::RejectCode;

/// The longest token we look up.
const TOKEN_MAX_BYTES: usize = 155;
/// What a stream id in the form of SRT access control begins with.
const ACCESS_CONTROL: &str = "#!::";
/// The application of SRT Live Server's usual configuration.
const APPLICATION: &str = "live";

/// Gives the key that a stream id names, when it came on a port of `direction`: prefix and token.
///
/// # Errors
/// [`RejectCode::BadRequest`] when it is no spelling we know, [`RejectCode::BadMode`] when it asks for the
/// other direction.
pub(crate) fn parse(stream_id: &str, direction: Direction) -> Result<String, RejectCode> {
    let resource = match stream_id.strip_prefix(ACCESS_CONTROL) {
        Some(fields) => resource_of(fields, direction)?,
        None => stream_id,
    };
    let name = name_of(resource, direction)?;
    let token = token_of(name, direction)?;
    Ok(format!("{}{token}", prefix(direction)))
}

/// What the keys of a direction begin with.
const fn prefix(direction: Direction) -> &'static str {
    match direction {
        Direction::Publish => "live_",
        Direction::Play => "play_",
    }
}

const fn opposite(direction: Direction) -> Direction {
    match direction {
        Direction::Publish => Direction::Play,
        Direction::Play => Direction::Publish,
    }
}

/// Takes the resource out of `name=value,name=value`.
fn resource_of(fields: &str, direction: Direction) -> Result<&str, RejectCode> {
    let mut resource = None;
    // Some write a comma after the last field.
    for field in fields.split(',').filter(|field| !field.is_empty()) {
        let (name, value) = field.split_once('=').ok_or(RejectCode::BadRequest)?;
        match name {
            "r" if resource.is_some() => return Err(RejectCode::BadRequest),
            "r" => resource = Some(value),
            "m" => check(direction_of_mode(value), direction)?,
            // User, host, session and type say nothing to us.
            _ => {}
        }
    }
    resource.ok_or(RejectCode::BadRequest)
}

/// The specification takes an absent mode for `request`; many encoders leave it out when they publish.
/// As the port decides, absent means what the port is for.
fn direction_of_mode(mode: &str) -> Option<Direction> {
    match mode {
        "publish" => Some(Direction::Publish),
        "request" => Some(Direction::Play),
        _ => None,
    }
}

fn check(asked: Option<Direction>, direction: Direction) -> Result<(), RejectCode> {
    if asked == Some(direction) {
        Ok(())
    } else {
        Err(RejectCode::BadMode)
    }
}

/// Takes the last part of a path such as `publish/live/abc`, or what follows `publish:`.
fn name_of(resource: &str, direction: Direction) -> Result<&str, RejectCode> {
    let Some((domain, rest)) = resource.split_once(['/', ':']) else {
        return Ok(resource);
    };
    let is_path = resource.as_bytes().get(domain.len()) == Some(&b'/');
    let asked = match domain {
        "publish" => Direction::Publish,
        "play" if is_path => Direction::Play,
        "read" if !is_path => Direction::Play,
        _ => return Err(RejectCode::BadRequest),
    };
    check(Some(asked), direction)?;
    let in_application = rest.strip_prefix(APPLICATION);
    let name = in_application.and_then(|rest| rest.strip_prefix('/'));
    Ok(name.filter(|_| is_path).unwrap_or(rest))
}

/// Takes the prefix off, when it is there.
fn token_of(name: &str, direction: Direction) -> Result<&str, RejectCode> {
    if name.starts_with(prefix(opposite(direction))) {
        return Err(RejectCode::BadMode);
    }
    let token = name.strip_prefix(prefix(direction)).unwrap_or(name);
    let is_token = (1..=TOKEN_MAX_BYTES).contains(&token.len())
        && token
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    is_token.then_some(token).ok_or(RejectCode::BadRequest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Direction::{Play, Publish};
    use super::RejectCode::{BadMode, BadRequest};
    use super::*;

    #[test]
    fn every_spelling_of_a_key_names_it() {
        let publish = [
            "live_a-B_1",
            "a-B_1",
            "publish/live_a-B_1",
            "publish/a-B_1",
            "publish/live/a-B_1",
            "publish/live/live_a-B_1",
            "publish:live_a-B_1",
            "publish:a-B_1",
            "#!::r=live_a-B_1",
            "#!::r=a-B_1,m=publish",
            "#!::m=publish,r=live_a-B_1",
            "#!::u=me,r=live_a-B_1,h=relay.example.org,s=12ab,t=stream,m=publish",
            "#!::r=publish/live_a-B_1,m=publish",
            "#!::r=publish/live/a-B_1",
            "#!::m=publish,r=live_a-B_1,",
            "#!::vendor=x=y,r=live_a-B_1",
        ];
        for stream_id in publish {
            let key = parse(stream_id, Publish);
            assert_eq!(key.as_deref(), Ok("live_a-B_1"), "{stream_id}");
        }
        let play = [
            "play_c",
            "c",
            "play/play_c",
            "play/c",
            "play/live/c",
            "read:play_c",
            "#!::r=play_c,m=request",
            "#!::m=request,u=me,r=c",
            "#!::r=play/play_c",
        ];
        for stream_id in play {
            let key = parse(stream_id, Play);
            assert_eq!(key.as_deref(), Ok("play_c"), "{stream_id}");
        }
    }

    #[test]
    fn the_other_direction_is_refused_however_it_is_named() {
        let cases = [
            (Publish, "play_a"),
            (Play, "live_a"),
            (Publish, "play/a"),
            (Publish, "play/live/live_a"),
            (Publish, "publish/play_a"),
            (Publish, "read:a"),
            (Play, "publish/a"),
            (Play, "publish:play_a"),
            (Publish, "#!::r=live_a,m=request"),
            (Play, "#!::r=play_a,m=publish"),
            (Publish, "#!::r=live_a,m=bidirectional"),
            (Publish, "#!::r=live_a,m="),
            (Publish, "#!::r=live_a,m=publish,m=request"),
            (Publish, "#!::r=play/live_a"),
        ];
        for (direction, stream_id) in cases {
            assert_eq!(parse(stream_id, direction), Err(BadMode), "{stream_id}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let cases = [
            "",
            "live_",
            "publish/",
            "publish/live/",
            "publish/live_a/b",
            "live/abc",
            "play:abc",
            "read/abc",
            "uplive.sls.com/live/abc",
            "/live_abc",
            "live_abc ",
            " live_abc",
            "live_abc\0",
            "live_\0abc",
            "live_%s%n%x",
            "live_a%20b",
            "<script>alert(1)</script>",
            "live_<b>",
            "live_\u{202e}cba",
            "live_\u{627}\u{628}",
            "live_\u{fffd}",
            "live_\u{ff41}bc",
            "#!::",
            "#!::r",
            "#!::r=",
            "#!::m=publish",
            "#!::r=live_a,r=live_b",
            "#!::r=#!::r=live_a",
            "#!{r=live_a}",
            "#!:r=live_a",
            "../live_abc",
            "live_abc;drop",
            "live_abc\r\nx: y",
        ];
        for stream_id in cases {
            assert_eq!(parse(stream_id, Publish), Err(BadRequest), "{stream_id:?}");
        }
        for length in [TOKEN_MAX_BYTES + 1, 512 - 5] {
            let long = format!("live_{}", "x".repeat(length));
            assert_eq!(parse(&long, Publish), Err(BadRequest), "{length}");
        }
    }

    fn is_key_of(key: &str, direction: Direction) -> bool {
        key.strip_prefix(prefix(direction)).is_some_and(|token| {
            (1..=TOKEN_MAX_BYTES).contains(&token.len())
                && token
                    .chars()
                    .all(|it| it.is_ascii_alphanumeric() || it == '_' || it == '-')
        })
    }

    proptest! {
        #[test]
        fn whatever_comes_only_a_key_of_the_direction_goes_out(
            form in prop_oneof![
                Just(""), Just("#!::"), Just("#!::r="), Just("publish/"), Just("live_"), Just("play/live/"),
            ],
            rest in prop_oneof![".{0,200}", "[a-z_:/=,#!-]{0,40}"],
        ) {
            for direction in [Publish, Play] {
                if let Ok(key) = parse(&format!("{form}{rest}"), direction) {
                    prop_assert!(is_key_of(&key, direction), "{key:?}");
                }
            }
        }

        #[test]
        fn every_token_comes_back_from_every_spelling(token in "[A-Za-z0-9-][A-Za-z0-9_-]{0,60}") {
            prop_assume!(!token.starts_with("live_") && !token.starts_with("play_"));
            let key = format!("live_{token}");
            for form in ["", "live_", "publish/live_", "publish/live/", "#!::m=publish,r=live_", "#!::r="] {
                let named = parse(&format!("{form}{token}"), Publish);
                prop_assert_eq!(named.as_ref(), Ok(&key));
            }
        }
    }
}
