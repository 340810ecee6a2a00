//! Encrypted media over the simulated bad network, with a new key all the time.

use super::*;
use crate::relay::embedded::crypto::testing::CallerKeys;
use crate::relay::embedded::crypto::{KeySize, ReceivingKeys, RefreshRate, SendingKeys, unseal};

/// Packets under one key: a fifth of a second of them.
const REFRESH_PACKETS: u64 = 100;

fn encrypted(mut simulation: Simulation, size: KeySize) -> Simulation {
    let passphrase = "a long secret".into();
    let message = CallerKeys::new("a long secret", size).message();
    let unsealed = || unseal(&passphrase, message).unwrap();
    let receiving = ReceivingKeys::new(simulation.now, unsealed());
    let sending = SendingKeys::new(unsealed(), RefreshRate::every(REFRESH_PACKETS));
    simulation.receiver = simulation.receiver.with_keys(receiving);
    simulation.sender = simulation.sender.with_keys(sending);
    simulation
}

fn size() -> impl Strategy<Value = KeySize> {
    prop_oneof![
        Just(KeySize::Aes128),
        Just(KeySize::Aes192),
        Just(KeySize::Aes256)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn every_packet_comes_through_decrypted_however_often_the_key_is_renewed(
        weather in weather(0..11), initial in any::<u32>(), is_bonded: bool, size in size(),
    ) {
        let simulation = Simulation::new(weather, initial, Micros::ZERO, is_bonded);
        let mut simulation = encrypted(simulation, size);
        simulation.run(1_200);
        prop_assert_eq!(&simulation.delivered, &(0..1_200).collect::<Vec<_>>());
        prop_assert_eq!(simulation.receiver.key_bits(), size.bits());
        let renewals = simulation.sender.key_renewals();
        prop_assert!(renewals >= 2, "{} renewals", renewals);
        prop_assert!(simulation.receiver.key_renewals() >= renewals);
    }

    #[test]
    fn what_is_handed_on_was_decrypted_with_the_right_key_under_any_loss(
        weather in weather(0..95), size in size(),
    ) {
        let simulation = Simulation::new(weather, 0x7FFF_FF00, Micros::ZERO, false);
        let mut simulation = encrypted(simulation, size);
        simulation.run(600);
        prop_assert!(simulation.delivered.is_sorted_by(|a, b| a < b));
        prop_assert!(simulation.delivered.iter().all(|number| *number < 600));
    }
}
