//! What providers answer to "whose token is this?".
//!
//! Sources, read in November 2026: Twitch API reference, "Get Users"; Google, "`OpenID` Connect", userinfo;
//! Discord developer documentation, "User Object".
//!
//! Invariant: nothing that a provider answers makes this panic, and what it gives is short and printable.

use serde::Deserialize;

use super::model::{Identity, Provider};

/// Characters of a provider's id at most; all of them have fewer than 32.
const ID_CHARACTERS: usize = 64;
/// Characters of a name that are kept, as of our own users' names.
const NAME_CHARACTERS: usize = 64;

/// An answer that is not what the provider documents; says what is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Garbage(pub(super) &'static str);

#[derive(Deserialize)]
struct TwitchAnswer {
    data: Vec<TwitchUser>,
}

#[derive(Deserialize)]
struct TwitchUser {
    id: String,
    login: Option<String>,
    display_name: Option<String>,
    /// Only ever the verified one.
    email: Option<String>,
}

#[derive(Deserialize)]
struct GoogleUser {
    sub: String,
    name: Option<String>,
    email: Option<String>,
    #[serde(default)]
    email_verified: bool,
}

#[derive(Deserialize)]
struct DiscordUser {
    id: String,
    username: Option<String>,
    global_name: Option<String>,
    email: Option<String>,
    #[serde(default)]
    verified: bool,
}

/// Reads the body of a provider's answer.
pub(super) fn parse(provider: Provider, body: &[u8]) -> Result<Identity, Garbage> {
    match provider {
        Provider::Twitch => {
            let answer: TwitchAnswer = json(body)?;
            let mut users = answer.data.into_iter();
            let (Some(user), None) = (users.next(), users.next()) else {
                return Err(Garbage("it names no user, or several"));
            };
            identity(&user.id, [user.display_name, user.login], user.email)
        }
        Provider::Google => {
            let user: GoogleUser = json(body)?;
            let email = user.email.filter(|_| user.email_verified);
            identity(&user.sub, [user.name, None], email)
        }
        Provider::Discord => {
            let user: DiscordUser = json(body)?;
            let email = user.email.filter(|_| user.verified);
            identity(&user.id, [user.global_name, user.username], email)
        }
    }
}

fn json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Garbage> {
    serde_json::from_slice(body).map_err(|_| Garbage("it is not the JSON that it documents"))
}

fn identity(
    id: &str,
    names: [Option<String>; 2],
    verified_email: Option<String>,
) -> Result<Identity, Garbage> {
    let is_id = (1..=ID_CHARACTERS).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if !is_id {
        return Err(Garbage("its user has no usable id"));
    }
    let mut names = names.into_iter().flatten().map(|name| printable(&name));
    let name = names.find(|name| !name.is_empty());
    Ok(Identity {
        provider_id: id.to_owned(),
        display_name: name.unwrap_or_else(|| id.to_owned()),
        verified_email,
    })
}

fn printable(name: &str) -> String {
    let clean = name.chars().filter(|c| !c.is_control());
    let clean: String = clean.take(NAME_CHARACTERS).collect();
    clean.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parse_json(provider: Provider, value: &serde_json::Value) -> Result<Identity, Garbage> {
        parse(provider, value.to_string().as_bytes())
    }

    #[test]
    fn each_provider_is_read_as_it_documents() {
        let twitch = json!({"data": [{"id": "141981764", "login": "twitchdev", "display_name": "TwitchDev",
            "email": "dev@example.org", "type": "", "view_count": 5_980_557}]});
        let google = json!({"sub": "110248495921238986420", "name": "TwitchDev", "picture": "https://x",
            "email": "dev@example.org", "email_verified": true});
        let discord = json!({"id": "80351110224678912", "username": "nelly", "global_name": "TwitchDev",
            "verified": true, "email": "dev@example.org", "flags": 64});
        for (provider, answer, id) in [
            (Provider::Twitch, twitch, "141981764"),
            (Provider::Google, google, "110248495921238986420"),
            (Provider::Discord, discord, "80351110224678912"),
        ] {
            let identity = parse_json(provider, &answer).unwrap();
            assert_eq!(identity.provider_id, id);
            assert_eq!(identity.display_name, "TwitchDev");
            assert_eq!(identity.verified_email.as_deref(), Some("dev@example.org"));
        }
    }

    #[test]
    fn an_address_that_nobody_checked_is_none() {
        let google = json!({"sub": "1", "email": "a@example.org", "email_verified": false});
        let discord =
            json!({"id": "1", "email": "a@example.org", "verified": false, "username": "nelly"});
        for (provider, answer) in [(Provider::Google, google), (Provider::Discord, discord)] {
            assert_eq!(parse_json(provider, &answer).unwrap().verified_email, None);
        }
    }

    #[test]
    fn a_name_is_made_printable_and_an_id_stands_in_for_none() {
        let discord = json!({"id": "7", "username": "  ", "global_name": null});
        assert_eq!(
            parse_json(Provider::Discord, &discord)
                .unwrap()
                .display_name,
            "7"
        );
        let long = json!({"id": "7", "username": format!("\u{7}\n{}", "é".repeat(99))});
        assert_eq!(
            parse_json(Provider::Discord, &long).unwrap().display_name,
            "é".repeat(64)
        );
    }

    #[test]
    fn what_names_no_one_user_is_refused() {
        for answer in [
            json!({"data": []}),
            json!({"data": [{"id": "1"}, {"id": "2"}]}),
            json!({"data": [{"id": ""}]}),
            json!({"data": [{"id": "1 OR 1"}]}),
            json!({"data": [{"id": 7}]}),
            json!({"status": 401, "message": "Invalid OAuth token"}),
        ] {
            assert!(parse_json(Provider::Twitch, &answer).is_err(), "{answer}");
        }
    }

    proptest! {
        #[test]
        fn nothing_a_provider_answers_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            for provider in Provider::ALL {
                prop_assert!(parse(provider, &bytes).is_err() || !bytes.is_empty());
            }
        }

        #[test]
        fn whatever_is_read_is_short_and_printable(id in ".*", name in ".*", email in ".*", is_checked: bool) {
            let user = json!({"id": id, "sub": id, "username": name, "name": name, "email": email,
                "verified": is_checked, "email_verified": is_checked});
            let listed = json!({"data": [user.clone()]});
            for (provider, answer) in
                [(Provider::Google, &user), (Provider::Discord, &user), (Provider::Twitch, &listed)]
            {
                let Ok(identity) = parse_json(provider, answer) else { continue };
                prop_assert!(!identity.display_name.is_empty());
                prop_assert!(identity.display_name.chars().count() <= NAME_CHARACTERS);
                prop_assert!(!identity.display_name.chars().any(char::is_control));
                prop_assert!(identity.provider_id.is_ascii() && identity.provider_id.len() <= ID_CHARACTERS);
                prop_assert!(is_checked || provider == Provider::Twitch || identity.verified_email.is_none());
            }
        }
    }
}
