//! What is written down, and how it is asked for.

use serde::Serialize;
use utoipa::ToSchema;

use crate::kernel::ids::{EventId, UserId};
use crate::kernel::{Error, Result, UnixMillis};

/// Events on one page, when nobody says otherwise.
pub const EVENTS_A_PAGE: u32 = 50;
/// Events on one page at most.
const EVENTS_MAX: u32 = 200;
/// Characters of an action or a subject at most.
const WORD_MAX: usize = 128;

/// Something to write down. No text of it holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent<'a> {
    /// Who did it; `None` for the appliance itself, and for its operator on the command line.
    pub actor: Option<UserId>,
    /// What was done, such as `node.added`.
    pub action: &'a str,
    /// To what: an identity.
    pub subject: &'a str,
    /// What a person may want to know besides.
    pub detail: &'a str,
}

/// Something that was written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = AuditEvent)]
pub struct AuditRow {
    /// Which.
    pub id: EventId,
    /// When.
    pub at: UnixMillis,
    /// Who did it; `null` for the appliance itself, and for its operator on the command line.
    pub actor: Option<UserId>,
    /// What was done.
    #[schema(example = "user.created")]
    pub action: String,
    /// To what.
    #[schema(example = "usr_0197f3a2b4c87d10a1b2c3d4e5f60718")]
    pub subject: String,
    /// What a person may want to know besides.
    #[schema(example = "streamer")]
    pub detail: String,
}

/// Which events to show: those that satisfy all that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Done by this user.
    pub actor: Option<UserId>,
    /// This was done.
    pub action: Option<String>,
    /// To this.
    pub subject: Option<String>,
    /// At this moment or later.
    pub from: Option<UnixMillis>,
    /// Before this moment.
    pub until: Option<UnixMillis>,
}

/// The texts of a filter, as a form or a query gives them; empty ones say nothing.
#[derive(Debug, Clone, Default)]
pub struct FilterTexts<'a> {
    /// See [`AuditFilter`].
    pub actor: &'a str,
    /// See [`AuditFilter`].
    pub action: &'a str,
    /// See [`AuditFilter`].
    pub subject: &'a str,
    /// See [`AuditFilter`].
    pub from: &'a str,
    /// See [`AuditFilter`].
    pub until: &'a str,
}

impl AuditFilter {
    /// Reads the texts of a filter.
    ///
    /// # Errors
    /// `Invalid` with the field that says nothing we know.
    pub fn parse(texts: &FilterTexts<'_>) -> Result<Self> {
        let actor = match texts.actor.trim() {
            "" => None,
            text => Some(text.parse().map_err(|_| {
                Error::invalid_field("actor", "invalid", "give a user's id, such as usr_0197…")
            })?),
        };
        Ok(Self {
            actor,
            action: word("action", texts.action)?,
            subject: word("subject", texts.subject)?,
            from: moment("from", texts.from)?,
            until: moment("until", texts.until)?,
        })
    }
}

fn word(field: &'static str, text: &str) -> Result<Option<String>> {
    match text.trim() {
        "" => Ok(None),
        text if text.len() <= WORD_MAX => Ok(Some(text.to_owned())),
        _ => Err(Error::invalid_field(
            field,
            "too_long",
            "128 characters at most",
        )),
    }
}

fn moment(field: &'static str, text: &str) -> Result<Option<UnixMillis>> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let message = "give a day such as 2026-11-21, or a moment such as 2026-11-21T14:02:09Z";
    let at = UnixMillis::parse(text);
    at.map(Some)
        .ok_or_else(|| Error::invalid_field(field, "invalid", message))
}

/// Where a page begins: after the event that the page before it ended with. Opaque to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// When that event was.
    pub at: UnixMillis,
    /// Which it was.
    pub id: EventId,
}

impl Cursor {
    /// Reads what `to_string` wrote.
    ///
    /// # Errors
    /// `Invalid` with field `cursor`.
    pub fn parse(text: &str) -> Result<Self> {
        let parsed = text.split_once('.').and_then(|(at, id)| {
            let at = UnixMillis(at.parse().ok()?);
            Some(Self {
                at,
                id: id.parse().ok()?,
            })
        });
        parsed.ok_or_else(|| {
            let message = "use next_cursor of the page before";
            Error::invalid_field("cursor", "invalid", message)
        })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.at.0, self.id)
    }
}

/// Which page of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// Where it begins; `None`: with the newest.
    pub after: Option<Cursor>,
    /// Events at most.
    pub limit: u32,
}

impl PageRequest {
    /// Reads the texts of a query; an absent limit is [`EVENTS_A_PAGE`].
    ///
    /// # Errors
    /// `Invalid` with field `cursor` or `limit`.
    pub fn parse(cursor: Option<&str>, limit: Option<u32>) -> Result<Self> {
        let limit = limit.unwrap_or(EVENTS_A_PAGE);
        if !(1..=EVENTS_MAX).contains(&limit) {
            let message = "give 1 to 200";
            return Err(Error::invalid_field("limit", "out_of_range", message));
        }
        let cursor = cursor.filter(|text| !text.is_empty());
        Ok(Self {
            after: cursor.map(Cursor::parse).transpose()?,
            limit,
        })
    }
}

/// One page of events, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPage {
    /// The events.
    pub events: Vec<AuditRow>,
    /// Where the next page begins; `None`: there is none.
    pub next: Option<Cursor>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn empty_texts_say_nothing_and_wrong_ones_name_their_field() {
        let none = AuditFilter::parse(&FilterTexts::default()).unwrap();
        assert_eq!(none, AuditFilter::default());
        let wrong = |texts: FilterTexts<'_>| {
            let error = AuditFilter::parse(&texts).unwrap_err();
            error.fields()[0].field
        };
        let blank = FilterTexts::default;
        assert_eq!(
            wrong(FilterTexts {
                actor: "me",
                ..blank()
            }),
            "actor"
        );
        assert_eq!(
            wrong(FilterTexts {
                from: "today",
                ..blank()
            }),
            "from"
        );
        assert_eq!(
            wrong(FilterTexts {
                until: "1",
                ..blank()
            }),
            "until"
        );
        let long = "x".repeat(129);
        assert_eq!(
            wrong(FilterTexts {
                action: &long,
                ..blank()
            }),
            "action"
        );
        for limit in [0, 201] {
            assert!(PageRequest::parse(None, Some(limit)).is_err());
        }
        assert_eq!(PageRequest::parse(Some(""), None).unwrap().after, None);
    }

    proptest! {
        #[test]
        fn a_cursor_reads_as_it_was_written(at: i64) {
            let cursor = Cursor { at: UnixMillis(at), id: EventId::generate() };
            prop_assert_eq!(Cursor::parse(&cursor.to_string()).unwrap(), cursor);
        }

        #[test]
        fn a_cursor_of_anybody_s_making_is_read_or_refused(text in ".*") {
            if let Ok(cursor) = Cursor::parse(&text) {
                prop_assert_eq!(Cursor::parse(&cursor.to_string()).unwrap(), cursor);
            }
        }
    }
}
