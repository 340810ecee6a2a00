//! Readiness: the database takes writes and the relay engine carries media.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use secrecy::SecretString;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::db::{DbError, Store};
use crate::kernel::secret::secrets_match;
use crate::kernel::{Clock, Error, Result};
use crate::relay::engine::{Engine, EngineHealth};

/// A readiness answer is this fresh: a stranger who asks often must not make us write often.
const FRESH: Duration = Duration::from_secs(1);

/// The answer of `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// `ok`, or `unavailable`.
    pub status: &'static str,
    /// `ok`, or what is wrong with the database.
    pub database: String,
    /// `ok`, or what is wrong with the relay.
    pub relay: String,
}

impl Readiness {
    /// Whether everything is as it should be.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.status == "ok"
    }
}

/// Who may read `/metrics`, apart from this machine and signed-in operators.
#[derive(Debug, Clone, Default)]
pub struct MetricsAccess {
    /// The bearer token, when one is configured.
    pub token: Option<SecretString>,
}

type Refreshed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is looked up each time before the figures are read.
#[derive(Clone)]
pub struct BeforeScrape(Arc<dyn Fn() -> Refreshed + Send + Sync>);

impl BeforeScrape {
    /// Wraps `refresh`.
    pub fn new<F, Fut>(refresh: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(refresh())))
    }
}

impl fmt::Debug for BeforeScrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BeforeScrape")
    }
}

/// Health and figures. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HealthService(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The main one, and that of figures.
    stores: [Store; 2],
    engine: Arc<dyn Engine>,
    clock: Clock,
    registry: Registry,
    before_scrape: BeforeScrape,
    access: MetricsAccess,
    last: Mutex<Option<(Duration, Readiness)>>,
}

impl HealthService {
    /// Makes the service on a finished registry.
    #[must_use]
    pub fn new(
        stores: [Store; 2],
        engine: Arc<dyn Engine>,
        clock: Clock,
        registry: Registry,
        before_scrape: BeforeScrape,
        access: MetricsAccess,
    ) -> Self {
        let last = Mutex::default();
        Self(Arc::new(Inner {
            stores,
            engine,
            clock,
            registry,
            before_scrape,
            access,
            last,
        }))
    }

    /// Whether database and relay work. Asked at most once a second, whoever asks.
    pub async fn readiness(&self) -> Readiness {
        let mut last = self.0.last.lock().await;
        let now = self.0.clock.monotonic();
        if let Some((at, readiness)) = last.as_ref()
            && now.saturating_sub(*at) < FRESH
        {
            return readiness.clone();
        }
        let readiness = self.check().await;
        *last = Some((now, readiness.clone()));
        readiness
    }

    async fn check(&self) -> Readiness {
        let now = self.0.clock.now();
        // A real write: a transaction without one proves neither space nor permission.
        let [main, telemetry] = &self.0.stores;
        let written = main.write(move |tx| {
            let sql =
                "INSERT INTO setting (key, value, updated_at_ms) VALUES ('ready_check', '', ?1)
                       ON CONFLICT (key) DO UPDATE SET updated_at_ms = ?1";
            tx.prepare_cached(sql)?.execute([now])?;
            Ok::<_, DbError>(())
        });
        let database = written
            .await
            // A damaged one answers readers for a while: its writes say so at once.
            .and_then(|()| telemetry.require_sound())
            .map_or_else(|error| error.to_string(), |()| "ok".to_owned());
        let relay = match self.0.engine.health().await {
            EngineHealth::Ready => "ok".to_owned(),
            EngineHealth::Degraded(why) => why,
        };
        let is_ready = database == "ok" && relay == "ok";
        Readiness {
            status: if is_ready { "ok" } else { "unavailable" },
            database,
            relay,
        }
    }

    /// Whether `token` is the configured bearer token of `/metrics`.
    #[must_use]
    pub fn is_metrics_token(&self, token: &str) -> bool {
        self.0
            .access
            .token
            .as_ref()
            .is_some_and(|expected| secrets_match(token, expected))
    }

    /// All figures in the OpenMetrics text form.
    ///
    /// # Errors
    /// `Internal` when a figure cannot be written.
    pub async fn metrics(&self) -> Result<String> {
        (self.0.before_scrape.0)().await;
        let mut text = String::new();
        encode(&mut text, &self.0.registry).map_err(Error::internal)?;
        Ok(text)
    }
}
