//! The id that joins a request's answer, its error body and its log lines.

use std::fmt;

use http::HeaderValue;

tokio::task_local! {
    static CURRENT: RequestId;
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

    fn generate() -> Self {
        Self(uuid::Uuid::now_v7().simple().to_string())
    }

    fn is_sane(text: &str) -> bool {
        (1..=Self::MAX_LENGTH).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    }

    /// Runs `future` as the handling of this request.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        CURRENT.scope(self, future).await
    }

    /// The id of the request that this task handles.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
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
        assert_eq!(RequestId::from_header(None).to_string().len(), 32);
    }
}
