//! The course that every engine runs, on SLS in a container of the real engine.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use glb::relay::docker::Part;
use glb::relay::engine::{Engine, EngineHealth};

use super::stage::{Stage, free_tcp_port};
use crate::harness::eventually::{eventually, eventually_blocking};
use crate::net::engine_contract::{LATENCY, PATIENCE, Stand, obeys_the_contract};
use crate::net::srt_probe::{self, Call, Outcome};
use crate::net::srt_publisher::Publisher;

struct Containers {
    stage: Stage,
    encoders: HashMap<String, Publisher>,
}

impl Stand for Containers {
    fn engine(&self) -> Arc<dyn Engine> {
        Arc::new(self.stage.relay().clone())
    }

    /// Whoever is refused is let in for a moment: acknowledged media prove that he stays.
    fn publish(&mut self, key: &str) -> bool {
        let port = self.stage.config.ports.publish;
        let call = Call {
            latency: LATENCY,
            timeout: PATIENCE,
            ..Call::new(([127, 0, 0, 1], port).into(), key)
        };
        let Outcome::Accepted(connection) = srt_probe::call(&call) else {
            panic!("SLS refuses nobody in the handshake");
        };
        let publisher = Publisher::start(connection);
        publisher.send(1_000_000, Duration::from_millis(5));
        let mut is_in = false;
        eventually_blocking(PATIENCE, "he is in or out", || {
            let counters = publisher.counters();
            is_in = counters.acknowledged > 0;
            is_in || counters.is_closed
        });
        if is_in {
            self.encoders.insert(key.to_owned(), publisher);
        }
        is_in
    }

    fn is_publishing(&self, key: &str) -> bool {
        let encoder = self.encoders.get(key);
        encoder.is_some_and(|publisher| !publisher.counters().is_closed)
    }

    fn unpublish(&mut self, key: &str) {
        if let Some(publisher) = self.encoders.remove(key) {
            publisher.close();
        }
    }

    async fn restart(&mut self) {
        self.encoders.clear();
        let begun = self.stage.inspect("sls", "{{.State.StartedAt}}");
        let relay = self.stage.relay();
        relay.restart(Part::Sls, true).await.unwrap();
        self.stage
            .until("SLS began anew", |status| {
                status.is_ready && self.stage.inspect("sls", "{{.State.StartedAt}}") != begun
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sls_in_a_container_obeys_the_contract() {
    obeys(Stage::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sls_in_a_container_that_asks_whom_to_admit_obeys_the_contract() {
    let mut stage = Stage::new();
    stage.config.admission_port = Some(free_tcp_port());
    obeys(stage).await;
}

async fn obeys(mut stage: Stage) {
    stage.speak_to_sls();
    stage.supervise();
    stage.until_ready().await;
    // A busy machine may need a second look, as the server takes one.
    eventually(Duration::from_secs(10), "SLS is well", async || {
        stage.relay().health().await == EngineHealth::Ready
    })
    .await;
    let encoders = HashMap::new();
    obeys_the_contract(Containers { stage, encoders }).await;
}
