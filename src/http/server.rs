//! Listening and serving, with a deadline for those who are still talking at the end.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use tokio_util::sync::CancellationToken;

/// How long a client may take to send its request's head: slow senders must not pile up.
const HEAD_TIME_LIMIT: Duration = Duration::from_secs(15);

/// A TCP port that is taken, or an address that is not ours.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for {purpose}: {source}{hint}")]
pub struct BindError {
    /// What it was for.
    pub purpose: &'static str,
    /// The address that was asked for.
    pub address: SocketAddr,
    /// Who holds it and what to do, when that is known.
    pub hint: String,
    /// What the operating system said.
    pub source: io::Error,
}

/// A bound port that does not serve yet.
#[derive(Debug)]
pub struct Listening {
    listener: TcpListener,
    /// The address, with the port that the operating system chose for port 0.
    pub address: SocketAddr,
}

/// Binds `address`, so that a taken port is known before anything else begins.
///
/// # Errors
/// The operating system's refusal. `hint` is left empty for the caller to fill.
pub fn bind(purpose: &'static str, address: SocketAddr) -> Result<Listening, BindError> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Listening { listener, address })
    });
    bound.map_err(|source| BindError {
        purpose,
        address,
        hint: String::new(),
        source,
    })
}

/// Serves until `stop`, then lets open requests finish for at most `patience`.
///
/// # Errors
/// When accepting fails for good.
pub async fn serve(
    listening: Listening,
    router: Router,
    stop: CancellationToken,
    patience: Duration,
) -> io::Result<()> {
    let handle = Handle::new();
    let mut server = axum_server::from_tcp(listening.listener)?
        .acceptor(axum_server::accept::NoDelayAcceptor::new())
        .handle(handle.clone());
    server
        .http_builder()
        .http1()
        .timer(hyper_util::rt::TokioTimer::new())
        .header_read_timeout(HEAD_TIME_LIMIT);
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let serving = server.serve(service);
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => return ended,
        () = stop.cancelled() => handle.graceful_shutdown(Some(patience)),
    }
    serving.await
}
