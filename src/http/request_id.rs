//! The id that joins a request's answer, its error body and its log lines.

use std::cell::Cell;
use std::fmt;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;

use super::limit_name::LimitName;
use super::limits::Standing;

tokio::task_local! {
    static CURRENT: Current;
}

/// What is known of the request that a task handles.
struct Current {
    id: RequestId,
    standing: Cell<Option<Standing>>,
    /// The limit that its caller reached.
    limit: Cell<Option<LimitName>>,
}

/// A request's id: the client's own when it is a sane token, else a fresh one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// The header that carries it, both ways.
    pub const HEADER: &'static str = "x-request-id";
    const MAX_LENGTH: usize = 128;

    /// Takes the client's header when it is 1 to 128 characters of `A-Z a-z 0-9 . _ -`.
    #[must_use]
    pub fn from_header(header: Option<&HeaderValue>) -> Self {
        header
            .and_then(|value| value.to_str().ok())
            .filter(|text| Self::is_sane(text))
            .map_or_else(Self::generate, |text| Self(text.to_owned()))
    }

    /// 16 random digits of this process and 16 of a counter: unique, which is all that the id of a request
    /// must be, and two system calls cheaper than a random one.
    fn generate() -> Self {
        static PROCESS: LazyLock<u64> = LazyLock::new(|| uuid::Uuid::new_v4().as_u64_pair().0);
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        Self(format!("{:016x}{count:016x}", *PROCESS))
    }

    fn is_sane(text: &str) -> bool {
        (1..=Self::MAX_LENGTH).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    }

    /// Runs `future` as the handling of this request.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        let current = Current {
            id: self,
            standing: Cell::new(None),
            limit: Cell::new(None),
        };
        CURRENT.scope(current, future).await
    }

    /// The id of the request that this task handles.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(|current| current.id.clone()).ok()
    }

    /// Shows `look` where the caller of this task's request stands with its limit; nothing outside of one.
    pub(super) fn with_standing(look: impl FnOnce(&Cell<Option<Standing>>)) {
        // What no request does is told to nobody.
        CURRENT.try_with(|current| look(&current.standing)).ok();
    }

    /// Notes which limit the caller of this task's request reached; nothing outside of one.
    pub(super) fn note_limit(name: LimitName) {
        CURRENT
            .try_with(|current| current.limit.set(Some(name)))
            .ok();
    }

    /// The limit that the caller of this task's request reached.
    pub(super) fn noted_limit() -> Option<LimitName> {
        CURRENT.try_with(|current| current.limit.get()).ok()?
    }

    /// As a header value.
    #[must_use]
    pub fn to_header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).expect("a sane token is a header value")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sane_id_is_kept_and_any_other_replaced() {
        let kept = HeaderValue::from_static("abc-1.2_3");
        assert_eq!(RequestId::from_header(Some(&kept)).to_string(), "abc-1.2_3");
        for bad in ["", "a b", "a\"b", &"x".repeat(129)] {
            let header = HeaderValue::from_str(bad).unwrap();
            assert_ne!(RequestId::from_header(Some(&header)).to_string(), bad);
        }
        let (one, other) = (RequestId::from_header(None), RequestId::from_header(None));
        assert_eq!(one.to_string().len(), 32);
        assert_ne!(one, other);
    }
}
