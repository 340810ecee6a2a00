//! `glb healthcheck`, for containers and supervisors.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail};

use super::{ConfigArgs, output};
use crate::appliance::Addresses;
use crate::appliance::config::Config;

const PATIENCE: Duration = Duration::from_secs(5);

/// Asks `/healthz` of the server that runs on the data folder.
pub(super) fn run(args: &ConfigArgs) -> anyhow::Result<()> {
    let config = Config::load(&args.given())?;
    let address = Addresses::read(&config.data_dir)
        .with_context(|| format!("no server has run on {}", config.data_dir.display()))?
        .http;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(ask(reachable(address)))?;
    output::say("healthy");
    Ok(())
}

/// A listener on every address is asked on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

async fn ask(address: SocketAddr) -> anyhow::Result<()> {
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .no_proxy()
        // It speaks no TLS, and a system without root certificates gives no client otherwise.
        .tls_certs_only([])
        .build()?;
    let answer = client
        .get(format!("http://{address}/healthz"))
        .send()
        .await
        .with_context(|| format!("nothing answers on {address}"))?;
    if !answer.status().is_success() {
        bail!("{address} answers {}", answer.status());
    }
    Ok(())
}
