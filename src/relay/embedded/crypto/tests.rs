//! Known answers: the standards' own, and a recorded exchange of srt-live-transmit 1.5.1 with itself.

use std::num::NonZeroU32;

use proptest::prelude::*;
use secrecy::SecretString;

use super::message::{Carried, SALT_BYTES};
use super::secret::stretch;
use super::testing::CallerKeys;
use super::*;
use crate::relay::embedded::sequence::Sequence;
use crate::relay::embedded::time::Micros;

const SECOND: Micros = Micros::from_secs(1);

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks_exact(2);
    digits
        .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
        .collect()
}

/// The packets of `srt://..?passphrase=recorded-secret&kmrefreshrate=100&kmpreannounce=20`.
struct Recording {
    size: KeySize,
    first_sequence: u32,
    /// The key message in the conclusion, which came back as it was.
    request: &'static str,
    /// How the first packet begins.
    first_packet: &'static str,
    /// The first key message in mid-stream, which came back as it was.
    renewal: &'static str,
    /// The first packet under the odd key: how many came before it.
    odd_number: u32,
    /// How it begins.
    odd_packet: &'static str,
}

const RECORDINGS: [Recording; 3] = [
    Recording {
        size: KeySize::Aes128,
        first_sequence: 60_701_940,
        request: "12202901000000000200020000000404e5b88a08e36379aead5c17e70a432ac249480f3a11c2b36cf049\
            ae6c14f1e565161d5782cca04958",
        first_packet: "72ee3a5f1871adf15c133a0a0818621e97756f1ddc074971689086cdec27ab597608a2b3a1bff1be",
        renewal: "12202903000000000200020000000404e5b88a08e36379aead5c17e70a432ac23111cfaf8a37d6d95646\
            42a53ef8f64057915503acc22204f69b4f0113aa6dabdf80128d28e23f8d",
        odd_number: 110,
        odd_packet: "ea416a796927cb48586aff36b11c41571546bbae8949a7fe9af61da375284d013ed41d7be4cfc640",
    },
    Recording {
        size: KeySize::Aes192,
        first_sequence: 23_167_523,
        request: "12202901000000000200020000000406c82300ace32d2ef61a3e3d36f99ae6a3f3fc11e0f4f696fb92cc\
            8fa0a858704678b8a971f34bbce84291c466f61a0884",
        first_packet: "8bb602edb369b7f76797fb2651a6d7a2b149855edda02c8eb9113eba0a4db4e8e216c1a186361708",
        renewal: "12202903000000000200020000000406c82300ace32d2ef61a3e3d36f99ae6a355ca3e75e519d194554a\
            bc089bba55b2cc7235c53b9559e35fc8e3f849baa91f6c4403d53797b3674b47faae14af40dd26a6e4a1\
            f0e7ee32",
        odd_number: 110,
        odd_packet: "73460adae2c87e3bb5250486450aedec8f7aef6629944a197a4d36600a3eb0d6510ad404dffa5494",
    },
    Recording {
        size: KeySize::Aes256,
        first_sequence: 832_422_859,
        request: "12202901000000000200020000000408bb91f170db87de77cf221113e633e732874418409a826ccf7b50\
            35a0848f409b9d1b453834c3aa664ec81c504a4f2d9291e03f584df09c50",
        first_packet: "52f7446f277824503bb1c9d64d3594c6ef1dcca4f150fde6931bd7182e9a58c842008a7a8740f8f0",
        renewal: "12202903000000000200020000000408bb91f170db87de77cf221113e633e7325e7a619aeeefea87ff2c\
            f5142b561d884a61584d4036233e1858e92db3e8b17f8593832b815b832955b0a9f69e61c284025254af\
            055a6e979c5b5d8ec357fe506cbe6d02f6fb4c22",
        odd_number: 110,
        odd_packet: "e100aeb0b10e0d2ee7491e0997bda10157dd64d39f712c9113a964b005fc9bc4f3682fb7d0605a87",
    },
];

/// How packet `number` of the recorded stream began: each byte is 7 more than the one before.
fn recorded_media(number: u32, length: usize) -> Vec<u8> {
    (number * 1316..)
        .map(|place| (place * 7).to_le_bytes()[0])
        .take(length)
        .collect()
}

fn secret() -> SecretString {
    "recorded-secret".into()
}

fn recorded_keys(recording: &Recording) -> ReceivingKeys {
    let message = KeyMessage::parse(&bytes(recording.request)).unwrap();
    ReceivingKeys::new(SECOND, unseal(&secret(), message).unwrap())
}

#[test]
fn what_srt_live_transmit_has_encrypted_is_decrypted_before_and_after_it_renewed_its_key() {
    for recording in &RECORDINGS {
        let mut keys = recorded_keys(recording);
        assert_eq!(keys.bits(), recording.size.bits());
        let first = recording.first_sequence;
        let mut media = bytes(recording.first_packet);
        let key = keys.key(1).unwrap();
        key.apply(Sequence::new(first), &mut media);
        assert_eq!(media, recorded_media(0, media.len()));

        assert!(keys.key(2).is_none(), "not known yet");
        let renewal = KeyMessage::parse(&bytes(recording.renewal)).unwrap();
        assert_eq!(keys.renew(SECOND, &renewal), KeyAnswer::Confirmed);
        assert_eq!(
            keys.renew(SECOND, &renewal),
            KeyAnswer::Confirmed,
            "repeated"
        );
        assert_eq!(keys.renewals(), 1);
        let mut media = bytes(recording.odd_packet);
        let sequence = Sequence::new(first + recording.odd_number);
        keys.key(2).unwrap().apply(sequence, &mut media);
        assert_eq!(media, recorded_media(recording.odd_number, media.len()));
    }
}

#[test]
fn a_message_goes_out_as_it_came_in() {
    for text in RECORDINGS.iter().flat_map(|r| [r.request, r.renewal]) {
        let message = KeyMessage::parse(&bytes(text)).unwrap();
        assert_eq!(message.bytes(), bytes(text));
        let sealed = unseal(&secret(), message).unwrap();
        assert_eq!(sealed.kek.wrap(&sealed.secrets).unwrap(), message);
    }
}

#[test]
fn another_passphrase_opens_nothing() {
    for recording in &RECORDINGS {
        let message = KeyMessage::parse(&bytes(recording.request)).unwrap();
        let outcome = unseal(&"recorded-secreT".into(), message);
        assert_eq!(outcome.unwrap_err(), WrongPassphrase);
    }
}

#[test]
fn keys_are_wrapped_as_rfc_3394_says() {
    // Sections 4.1, 4.4 and 4.6.
    let key = "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F";
    let data = "00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F";
    for (size, wrapped) in [
        (
            KeySize::Aes128,
            "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5",
        ),
        (
            KeySize::Aes192,
            "031D33264E15D33268F24EC260743EDCE1C6C7DDEE725A936BA814915C6762D2",
        ),
        (
            KeySize::Aes256,
            "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21",
        ),
    ] {
        let kek = KeyEncryptionKey::of_bytes(&bytes(key)[..size.bytes()], size);
        let mut secrets = StreamSecrets::none(size, [0; SALT_BYTES]);
        secrets.set(Parity::Odd, &bytes(data)[..size.bytes()]);
        let message = kek.wrap(&secrets).unwrap();
        assert_eq!(message.wrapped(), bytes(wrapped));
        assert_eq!(message.carried(), Carried::One(Parity::Odd));
        assert!(kek.unwrap(&message).is_some());
    }
}

#[test]
fn passphrases_are_stretched_as_rfc_6070_says() {
    let mut key = [0; 20];
    let iterations = NonZeroU32::new(4096).unwrap();
    stretch(&"password".into(), iterations, b"salt", &mut key);
    assert_eq!(key[..], bytes("4b007901b765489abead49d926f721d065a429c1"));
}

#[test]
fn every_truncation_and_every_wrong_length_field_is_refused() {
    let whole = bytes(RECORDINGS[0].renewal);
    for length in 0..whole.len() {
        assert!(
            KeyMessage::parse(&whole[..length]).is_err(),
            "{length} bytes"
        );
    }
    assert!(KeyMessage::parse(&[&whole[..], &[0; 4]].concat()).is_err());
    for (at, right) in [(14, 4), (15, 4)] {
        for value in (0..=255).filter(|value| *value != right) {
            let mut wrong = whole.clone();
            wrong[at] = value;
            assert!(KeyMessage::parse(&wrong).is_err(), "byte {at} is {value}");
        }
    }
}

#[test]
fn what_we_cannot_do_is_told_from_what_makes_no_sense() {
    let whole = bytes(RECORDINGS[2].request);
    let with = |at: usize, value| {
        let mut message = whole.clone();
        message[at] = value;
        KeyMessage::parse(&message).unwrap_err()
    };
    // AES-GCM, and its authentication.
    assert_eq!(with(8, 4), BadKeyMessage::OtherCipher);
    assert_eq!(with(9, 1), BadKeyMessage::OtherCipher);
    for (at, value) in [(0, 0x22), (1, 0), (2, 0), (3, 0), (10, 1)] {
        assert_eq!(with(at, value), BadKeyMessage::Malformed, "byte {at}");
    }
}

#[test]
fn nothing_secret_is_in_debug_output() {
    let recording = &RECORDINGS[0];
    let message = KeyMessage::parse(&bytes(recording.request)).unwrap();
    let unsealed = unseal(&secret(), message).unwrap();
    let text = format!("{unsealed:?} {:?}", recorded_keys(recording));
    assert!(!text.contains("recorded-secret"), "{text}");
    let has_bytes = text
        .split(',')
        .any(|part| part.trim().parse::<u8>().is_ok());
    assert!(!has_bytes, "{text}");
}

#[test]
fn a_peer_makes_us_derive_a_key_once_a_second_at_most() {
    let mut keys = recorded_keys(&RECORDINGS[0]);
    let other = CallerKeys::new("recorded-secret", KeySize::Aes256).message();
    let foreign = CallerKeys::new("another secret", KeySize::Aes128).message();
    assert_eq!(keys.renew(SECOND, &other), KeyAnswer::Nothing);
    assert_eq!(keys.renew(SECOND * 2, &foreign), KeyAnswer::WrongPassphrase);
    assert_eq!(keys.renew(SECOND * 2, &other), KeyAnswer::Nothing);
    assert_eq!(keys.bits(), 128);
    assert_eq!(keys.renew(SECOND * 3, &other), KeyAnswer::Confirmed);
    assert_eq!(keys.bits(), 256);
}

/// Sends so many packets, with a look at the keys after each; gives the keys that were used, and the key
/// messages.
fn send(keys: &mut SendingKeys, count: usize, oldest: Option<Parity>) -> (Vec<Parity>, usize) {
    let mut messages = 0;
    let used = (0..count)
        .map(|_| {
            let parity = keys.take().parity();
            messages += usize::from(keys.announcement(SECOND, SECOND, oldest).is_some());
            parity
        })
        .collect();
    (used, messages)
}

#[test]
fn a_key_is_renewed_ahead_of_time_and_changed_when_the_player_has_confirmed() {
    let mut caller = CallerKeys::new("a long secret", KeySize::Aes192);
    let unsealed = unseal(&"a long secret".into(), caller.message()).unwrap();
    let mut keys = SendingKeys::new(unsealed, RefreshRate::every(10));
    assert_eq!(send(&mut keys, 4, None), (vec![Parity::Even; 4], 0));
    // The announcement comes 5 packets ahead, and not twice within the interval.
    assert_eq!(send(&mut keys, 16, None), (vec![Parity::Even; 16], 1));
    let message = keys.announcement(SECOND * 2, SECOND, None).expect("again");
    keys.on_response(&[0, 0, 0, 4]);
    keys.on_response(&message.bytes()[..message.bytes().len() - 1]);
    assert_eq!(send(&mut keys, 1, None).0, [Parity::Even], "not confirmed");
    keys.on_response(message.bytes());
    assert_eq!(
        keys.announcement(SECOND * 9, SECOND, None),
        None,
        "confirmed"
    );
    assert_eq!(send(&mut keys, 3, None).0, [Parity::Odd; 3]);
    assert_eq!(keys.renewals(), 1);

    caller.take(&message);
    let (ours, theirs) = (keys.take(), caller.key(Parity::Odd));
    let mut media = *b"some media of a player";
    ours.apply(Sequence::new(77), &mut media);
    theirs.apply(Sequence::new(77), &mut media);
    assert_eq!(&media, b"some media of a player");
}

#[test]
fn the_next_key_waits_while_packets_under_the_one_it_replaces_may_be_repeated() {
    let caller = CallerKeys::new("a long secret", KeySize::Aes128);
    let unsealed = unseal(&"a long secret".into(), caller.message()).unwrap();
    let mut keys = SendingKeys::new(unsealed, RefreshRate::every(10));
    send(&mut keys, 10, Some(Parity::Even));
    let message = keys.announcement(SECOND * 2, SECOND, None).unwrap();
    keys.on_response(message.bytes());
    let (used, messages) = send(&mut keys, 20, Some(Parity::Even));
    assert_eq!((used, messages), (vec![Parity::Odd; 20], 0));
    assert_eq!(send(&mut keys, 1, Some(Parity::Odd)).1, 1);
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = KeyMessage::parse(&bytes);
    }

    #[test]
    fn no_mutated_message_makes_anything_panic_or_changes_the_keys(
        which in 0usize..3, changes in proptest::collection::vec((0usize..120, any::<u8>()), 1..6),
    ) {
        let recording = &RECORDINGS[which];
        let mut message = bytes(recording.renewal);
        for (at, value) in changes {
            let at = at % message.len();
            message[at] = value;
        }
        let mut keys = recorded_keys(recording);
        if message != bytes(recording.renewal)
            && let Ok(message) = KeyMessage::parse(&message)
        {
            let before = keys.key(2).is_some();
            let answer = keys.renew(SECOND, &message);
            // Reserved bytes and the key index may change without harm.
            if answer != KeyAnswer::Confirmed {
                prop_assert_eq!(keys.key(2).is_some(), before);
            }
        }
    }

    #[test]
    fn any_media_come_back_and_a_repetition_has_the_same_bytes(
        media in proptest::collection::vec(any::<u8>(), 1..1457), sequence: u32,
    ) {
        let key = CallerKeys::new("a long secret", KeySize::Aes256).key(Parity::Even);
        let sequence = Sequence::new(sequence);
        let (mut first, mut again) = (media.clone(), media.clone());
        key.apply(sequence, &mut first);
        key.apply(sequence, &mut again);
        prop_assert_eq!(&first, &again);
        key.apply(sequence, &mut first);
        prop_assert_eq!(first, media);
    }
}
