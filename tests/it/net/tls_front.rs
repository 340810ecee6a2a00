//! Speaks TLS for a server that does not, as a proxy before a relay node would.
//!
//! Its certificate is for 127.0.0.1, by an authority of the tests' own that nobody trusts unless told so.
//!
//! Invariant: it listens on loopback only, and ends when it is dropped.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

const CERTIFICATE: &[u8] = include_bytes!("tls/leaf.der");
const KEY: &[u8] = include_bytes!("tls/key.der");

/// The authority, as `SSL_CERT_FILE` takes it.
pub(crate) fn authority() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/it/net/tls/ca.pem"
    ))
}

/// A running front.
#[derive(Debug)]
pub(crate) struct TlsFront {
    address: SocketAddr,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl TlsFront {
    /// One before `server`.
    pub(crate) fn before(server: SocketAddr) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        listener
            .set_nonblocking(true)
            .expect("a socket can be told so");
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.expect("a runtime").block_on(async move {
                tokio::select! {
                    () = serve(listener, server) => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            address,
            running: Some((stop, thread)),
        }
    }

    /// Its base.
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            // Without a receiver it has ended already.
            let _ = stop.send(());
            let outcome = thread.join();
            if !std::thread::panicking() {
                outcome.expect("the front does not panic");
            }
        }
    }
}

async fn serve(listener: std::net::TcpListener, server: SocketAddr) {
    let certificate = CertificateDer::from(CERTIFICATE);
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(KEY));
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("key and certificate belong together");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::from_std(listener).expect("it listens");
    let mut callers = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("it listens");
        let acceptor = acceptor.clone();
        callers.spawn(async move {
            // Whoever does not trust the certificate goes away here.
            let (Ok(mut front), Ok(mut back)) =
                tokio::join!(acceptor.accept(stream), TcpStream::connect(server))
            else {
                return;
            };
            drop(tokio::io::copy_bidirectional(&mut front, &mut back).await);
        });
    }
}
