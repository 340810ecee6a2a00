//! Reading a request's body within bounds.

use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use crate::kernel::{Code, Error, Kind, Result};

/// The largest body that is read.
pub const BODY_LIMIT_BYTES: usize = 1 << 20;
/// How much of a larger one is thrown away before it is refused.
const DRAIN_LIMIT_BYTES: usize = 2 << 20;

/// Reads a body of at most 1 MiB. Of a larger one up to 2 MiB are drained first: a server that answers and
/// closes while the client still sends makes the client see a reset instead of the answer.
///
/// # Errors
/// `TooLarge` (413), or `Invalid` when the connection broke off.
pub async fn read_body(body: Body) -> Result<Bytes> {
    let hint = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut data = BytesMut::with_capacity(hint.min(BODY_LIMIT_BYTES));
    let mut seen_bytes = 0;
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk =
            chunk.map_err(|error| Error::invalid("the request body broke off").caused_by(error))?;
        seen_bytes += chunk.len();
        if seen_bytes > DRAIN_LIMIT_BYTES {
            break;
        }
        if seen_bytes <= BODY_LIMIT_BYTES {
            data.extend_from_slice(&chunk);
        }
    }
    if seen_bytes > BODY_LIMIT_BYTES {
        let message = "the request body is larger than 1 MiB";
        return Err(Error::new(Kind::TooLarge, Code::InvalidRequest, message));
    }
    Ok(data.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_mebibyte_is_read_and_a_byte_more_is_refused() {
        let full = vec![b'x'; BODY_LIMIT_BYTES];
        assert_eq!(
            read_body(Body::from(full)).await.unwrap().len(),
            BODY_LIMIT_BYTES
        );
        for size in [BODY_LIMIT_BYTES + 1, 3 << 20] {
            let refused = read_body(Body::from(vec![b'x'; size])).await.unwrap_err();
            assert_eq!(refused.kind(), Kind::TooLarge);
        }
    }
}
