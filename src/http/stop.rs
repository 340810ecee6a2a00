//! The signal that ends answers which would never end by themselves, such as an open live page.

use tokio_util::sync::CancellationToken;

/// Cancelled when the server stops. Cheap to clone; handlers take it as an `Extension`.
#[derive(Debug, Clone)]
pub struct StopSignal(CancellationToken);

impl StopSignal {
    /// Wraps the server's own signal.
    #[must_use]
    pub fn new(signal: CancellationToken) -> Self {
        Self(signal)
    }

    /// Waits until the server stops.
    pub async fn stopped(&self) {
        self.0.cancelled().await;
    }
}
