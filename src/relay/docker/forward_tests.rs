//! What is asked of the relay in containers, and is no matter of containers, reaches the engine inside.

use super::testing::{config, identity};
use super::*;
use crate::kernel::Clock;
use crate::relay::testing::{FakeEngine, Mood};

#[tokio::test]
async fn what_the_engine_inside_knows_is_told() {
    let inner = FakeEngine::new();
    let relay = DockerRelay::new(SupervisorDeps {
        config: config("/nowhere"),
        identity: identity(),
        key: "key".into(),
        inner: Arc::clone(&inner) as _,
        clock: Clock::system(),
        port_holder: |_, _| None,
    });
    let slot_id = SlotId::generate();
    let stream = StreamSpec {
        slot_id,
        publish_key: "live_a".into(),
        play_key: "play_a".into(),
        passphrase: None,
    };
    relay.register(stream).await.unwrap();
    assert_eq!(relay.admitted().await.unwrap(), Some(vec![slot_id]));
    inner.set_notices(vec!["the clock is off".to_owned()]);
    assert_eq!(relay.notices().await, ["the clock is off"]);
    relay.drop_stream(slot_id).await.unwrap();
    assert_eq!(relay.admitted().await.unwrap(), Some(vec![]));
    inner.set_mood(Mood::Unavailable);
    assert!(relay.admitted().await.is_err());
}
