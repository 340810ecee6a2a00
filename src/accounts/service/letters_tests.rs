//! Joining, recovery, mails and keys, on a real store with a mailer that obeys orders.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::testing::{PASSWORD, START, World, new_user};
use super::*;
use crate::accounts::api_key::{ApiScope, ApiScopes, KeyName, NewApiKey};
use crate::accounts::joining::{MadeInvite, NewInvite, SignUp};
use crate::accounts::mail::{LinkPurpose, MailError, Mailer, Message};
use crate::accounts::model::{BrowserClient, DisplayName, Email, Password, User};
use crate::kernel::secret::{ExposeSecret, SecretString};
use crate::kernel::{Actor, Kind, Role, Via};
use crate::settings::{AddressSources, AdvertisedPorts, Settings, SignUpMode};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));

/// A mail server that takes mails, unless it is told otherwise.
#[derive(Debug, Default)]
struct PostOffice {
    taken: Mutex<Vec<Message>>,
    trouble: Mutex<Option<MailError>>,
}

#[async_trait]
impl Mailer for PostOffice {
    async fn send(&self, message: &Message) -> std::result::Result<(), MailError> {
        if let Some(trouble) = self.trouble.lock().unwrap().clone() {
            return Err(trouble);
        }
        self.taken.lock().unwrap().push(message.clone());
        Ok(())
    }
}

impl PostOffice {
    fn subjects(&self) -> Vec<&'static str> {
        let taken = self.taken.lock().unwrap();
        taken.iter().map(|mail| mail.subject).collect()
    }

    /// The token of the link in the last mail.
    fn last_token(&self) -> String {
        let taken = self.taken.lock().unwrap();
        let body = taken.last().unwrap().body.expose_secret();
        let (_, rest) = body.split_once("token=").unwrap();
        rest.split_whitespace().next().unwrap().to_owned()
    }
}

struct Office {
    world: World,
    settings: Settings,
    sign_ups: SignUps,
    outbox: Outbox,
    post: Arc<PostOffice>,
}

impl Office {
    async fn open(has_mail: bool) -> Self {
        let world = World::with_mail(has_mail);
        let sources = AddressSources {
            configured_host: None,
            configured_url: Some("https://relay.example.org".into()),
            detected: Ipv4Addr::new(203, 0, 113, 7),
            http_port: 8080,
            ports: AdvertisedPorts {
                srtla: 5000,
                srt_publish: 4001,
                srt_play: 4000,
                stats: 8090,
            },
        };
        let clock = Clock::from_source(Arc::clone(&world.clock) as _);
        let settings = Settings::load(world.store.clone(), clock, sources)
            .await
            .unwrap();
        let post = Arc::new(PostOffice::default());
        let mailer = has_mail.then(|| Arc::clone(&post) as Arc<dyn Mailer>);
        Self {
            sign_ups: SignUps::new(world.accounts.clone(), settings.clone()),
            outbox: Outbox::new(world.accounts.clone(), settings.clone(), mailer),
            world,
            settings,
            post,
        }
    }

    async fn allow(&self, mode: SignUpMode) -> Actor {
        let owner = self.world.user("owner@example.org", Role::Owner).await;
        let owner = actor(&owner);
        self.sign_ups.change_mode(&owner, mode).await.unwrap();
        owner
    }

    async fn sign_up(&self, email: &str, invite: Option<&str>) -> Result<Joined> {
        let email = Email::parse(email).unwrap();
        let new = SignUp {
            display_name: DisplayName::from_email(&email),
            email,
            password: Password::parse(SecretString::from(PASSWORD)).unwrap(),
            invite: invite.map(SecretString::from),
        };
        self.sign_ups.sign_up(new, HERE).await
    }

    async fn sign_in(&self, email: &str, password: &str) -> Result<()> {
        let client = BrowserClient {
            ip: HERE,
            user_agent: String::new(),
        };
        let password = SecretString::from(password);
        let session = self.world.accounts.sign_in(email, password, &client, None);
        session.await.map(drop)
    }

    async fn count(&self, sql: &'static str) -> i64 {
        let read = move |conn: &rusqlite::Connection| {
            Ok::<_, Error>(conn.query_row(sql, [], |row| row.get(0))?)
        };
        self.world.store.read(read).await.unwrap()
    }
}

fn actor(user: &User) -> Actor {
    Actor {
        user_id: user.id,
        role: user.role,
        via: Via::System,
    }
}

fn token_of(link: &SecretString) -> String {
    let (_, token) = link.expose_secret().rsplit_once('=').unwrap();
    token.to_owned()
}

#[tokio::test]
async fn nobody_signs_up_unless_the_setting_says_so() {
    let office = Office::open(false).await;
    let refused = office.sign_up("a@example.org", None).await.unwrap_err();
    assert_eq!(refused.reason_code(), Some("sign_up_closed"));
    let owner = office.allow(SignUpMode::Invite).await;
    assert!(office.sign_up("a@example.org", None).await.is_err());
    office
        .sign_ups
        .change_mode(&owner, SignUpMode::Open)
        .await
        .unwrap();
    let joined = office.sign_up("a@example.org", None).await.unwrap();
    assert!(matches!(joined, Joined::Ready(user) if user.role == Role::Streamer));
    assert_eq!(office.count("SELECT count(*) FROM plan").await, 2);
    assert_eq!(office.count("SELECT count(*) FROM stream_slot").await, 8);
    office.sign_in("a@example.org", PASSWORD).await.unwrap();
    // Without mails there is no other way to tell.
    let taken = office.sign_up("a@example.org", None).await.unwrap_err();
    assert_eq!(taken.kind(), Kind::Conflict);
}

#[tokio::test]
async fn an_invitation_admits_one_person_in_its_role_and_in_time() {
    let office = Office::open(false).await;
    let owner = office.allow(SignUpMode::Invite).await;
    let invite = async |email: Option<&str>, role| {
        let email = email.map(|email| Email::parse(email).unwrap());
        let new = NewInvite::new(email, role, 7).unwrap();
        match office.sign_ups.invite(Some(&owner), new).await.unwrap() {
            MadeInvite::Link(link) => token_of(&link),
            MadeInvite::Mailed(_) => unreachable!("there is no mail server"),
        }
    };
    let token = invite(None, Role::Viewer).await;
    let joined = office.sign_up("v@example.org", Some(&token)).await.unwrap();
    assert!(matches!(joined, Joined::Ready(user) if user.role == Role::Viewer));
    let again = office
        .sign_up("w@example.org", Some(&token))
        .await
        .unwrap_err();
    assert_eq!(again.kind(), Kind::Gone, "it is used");

    let token = invite(Some("x@example.org"), Role::Streamer).await;
    let other = office
        .sign_up("y@example.org", Some(&token))
        .await
        .unwrap_err();
    assert_eq!(other.fields()[0].code, "not_invited");
    office.sign_up("x@example.org", Some(&token)).await.unwrap();

    let token = invite(None, Role::Streamer).await;
    office.world.clock.advance(Duration::from_hours(7 * 24));
    let late = office
        .sign_up("z@example.org", Some(&token))
        .await
        .unwrap_err();
    assert_eq!(late.kind(), Kind::Gone, "it is too old");
    let unknown = office
        .sign_up("z@example.org", Some("none"))
        .await
        .unwrap_err();
    assert_eq!(unknown.kind(), Kind::Gone);
}

#[tokio::test]
async fn operators_invite_all_but_owners_and_streamers_nobody() {
    let office = Office::open(false).await;
    office.allow(SignUpMode::Invite).await;
    for (by, role, may) in [
        (Role::Operator, Role::Operator, true),
        (Role::Operator, Role::Owner, false),
        (Role::Streamer, Role::Streamer, false),
        (Role::Viewer, Role::Viewer, false),
    ] {
        let email = format!("{by}-{role}@example.org");
        let by = actor(&office.world.user(&email, by).await);
        let new = NewInvite::new(None, role, 7).unwrap();
        let made = office.sign_ups.invite(Some(&by), new).await;
        assert_eq!(made.is_ok(), may, "{email}");
    }
}

#[tokio::test]
async fn an_address_is_proved_before_anybody_signs_in_with_it() {
    let office = Office::open(true).await;
    office.allow(SignUpMode::Open).await;
    let joined = office.sign_up("a@example.org", None).await.unwrap();
    assert!(matches!(joined, Joined::MailSent));
    let refused = office.sign_in("a@example.org", PASSWORD).await.unwrap_err();
    assert_eq!(refused.reason_code(), Some("address_not_confirmed"));
    let wrong = office.sign_in("a@example.org", "a wrong password").await;
    assert_eq!(
        wrong.unwrap_err().reason_code(),
        None,
        "a stranger learns nothing"
    );
    office.outbox.deliver().await.unwrap();
    assert_eq!(
        office.post.subjects(),
        ["Confirm your address"],
        "and no second one"
    );
    let token = office.post.last_token();
    office
        .world
        .accounts
        .confirm_address(&token, HERE)
        .await
        .unwrap();
    office.sign_in("a@example.org", PASSWORD).await.unwrap();
    let again = office.world.accounts.confirm_address(&token, HERE).await;
    assert_eq!(again.unwrap_err().kind(), Kind::Gone, "it works once");
}

#[tokio::test]
async fn whoever_signs_up_with_a_taken_address_is_answered_like_anybody() {
    let office = Office::open(true).await;
    office.allow(SignUpMode::Open).await;
    let joined = office.sign_up("owner@example.org", None).await.unwrap();
    assert!(matches!(joined, Joined::MailSent));
    office.outbox.deliver().await.unwrap();
    assert_eq!(office.post.subjects(), ["You have an account already"]);
    assert_eq!(office.count("SELECT count(*) FROM user").await, 1);
}

#[tokio::test]
async fn an_invitation_by_mail_proves_the_address() {
    let office = Office::open(true).await;
    let owner = office.allow(SignUpMode::Invite).await;
    let email = Email::parse("a@example.org").unwrap();
    let new = NewInvite::new(Some(email), Role::Streamer, 7).unwrap();
    let made = office.sign_ups.invite(Some(&owner), new).await.unwrap();
    assert!(
        matches!(made, MadeInvite::Mailed(_)),
        "the inviter does not see it"
    );
    office.outbox.deliver().await.unwrap();
    let body = {
        let taken = office.post.taken.lock().unwrap();
        taken[0].body.expose_secret().to_owned()
    };
    let (_, rest) = body.split_once("invite=").unwrap();
    let token = rest.split_whitespace().next().unwrap();
    let joined = office.sign_up("a@example.org", Some(token)).await.unwrap();
    assert!(matches!(joined, Joined::Ready(_)));
    office.sign_in("a@example.org", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_forgotten_password_is_replaced_once_and_ends_every_browser() {
    let office = Office::open(true).await;
    office.world.user("a@example.org", Role::Streamer).await;
    let accounts = &office.world.accounts;
    office.sign_in("a@example.org", PASSWORD).await.unwrap();
    for email in ["A@example.org ", "nobody@example.org", "no address"] {
        accounts.request_reset(email, HERE).await.unwrap();
    }
    assert_eq!(
        office.count("SELECT count(*) FROM mail").await,
        2,
        "a row for whoever might have an account: the same work for both"
    );
    office.outbox.deliver().await.unwrap();
    assert_eq!(office.post.subjects(), ["Choose a new password"]);
    let token = office.post.last_token();
    accounts
        .check_link(LinkPurpose::ResetPassword, &token)
        .await
        .unwrap();
    let crossed = accounts.confirm_address(&token, HERE).await;
    assert_eq!(
        crossed.unwrap_err().kind(),
        Kind::Gone,
        "it is for a password"
    );
    let new = Password::parse(SecretString::from("another sentence")).unwrap();
    let reset = async || {
        let plugins = PluginSessions::Keep;
        accounts.reset_by_link(&token, &new, plugins, HERE).await
    };
    reset().await.unwrap();
    assert_eq!(
        reset().await.unwrap_err().kind(),
        Kind::Gone,
        "it works once"
    );
    assert_eq!(
        office.count("SELECT count(*) FROM browser_session").await,
        0
    );
    assert!(office.sign_in("a@example.org", PASSWORD).await.is_err());
    office
        .sign_in("a@example.org", "another sentence")
        .await
        .unwrap();
    office.outbox.deliver().await.unwrap();
    assert_eq!(office.post.subjects()[1], "Your password was changed");
}

#[tokio::test]
async fn a_link_lasts_for_an_hour_and_is_stored_as_a_digest_only() {
    let office = Office::open(true).await;
    let user = office.world.user("a@example.org", Role::Streamer).await;
    let accounts = &office.world.accounts;
    let link = accounts
        .make_reset_link(None, user.id, &office.settings)
        .await
        .unwrap();
    let token = token_of(&link);
    assert!(
        link.expose_secret()
            .starts_with("https://relay.example.org/reset?token=")
    );
    let check = || accounts.check_link(LinkPurpose::ResetPassword, &token);
    check().await.unwrap();
    office.world.clock.advance(Duration::from_mins(60));
    assert_eq!(check().await.unwrap_err().kind(), Kind::Gone);
    assert!(accounts.delete_ended().await.unwrap() > 0);
    assert_eq!(office.count("SELECT count(*) FROM email_token").await, 0);
}

#[tokio::test]
async fn an_operator_makes_no_link_for_an_owner() {
    let office = Office::open(false).await;
    let owner = office.world.user("owner@example.org", Role::Owner).await;
    let operator = office.world.user("op@example.org", Role::Operator).await;
    let accounts = &office.world.accounts;
    let make = async |by: &User, whose: &User| {
        let by = actor(by);
        let made = accounts.make_reset_link(Some(&by), whose.id, &office.settings);
        made.await.map(drop)
    };
    assert_eq!(
        make(&operator, &owner).await.unwrap_err().kind(),
        Kind::Forbidden
    );
    make(&owner, &operator).await.unwrap();
}

#[tokio::test]
async fn a_mail_that_does_not_leave_is_tried_again_until_it_does() {
    let office = Office::open(true).await;
    let user = office.world.user("a@example.org", Role::Streamer).await;
    office
        .world
        .accounts
        .ask_for_confirmation(&actor(&user))
        .await
        .unwrap();
    let trouble = |error: Option<MailError>| *office.post.trouble.lock().unwrap() = error;
    trouble(Some(MailError::Unavailable("busy".into())));
    assert_eq!(office.outbox.deliver().await.unwrap().postponed, 1);
    assert_eq!(
        office.outbox.deliver().await.unwrap(),
        Delivered::default(),
        "not yet"
    );
    office.world.clock.advance(Duration::from_mins(1));
    assert_eq!(office.outbox.deliver().await.unwrap().postponed, 1);
    trouble(None);
    office.world.clock.advance(Duration::from_mins(3));
    assert_eq!(office.outbox.deliver().await.unwrap().sent, 1);
    office.world.clock.advance(Duration::from_hours(1));
    assert_eq!(office.outbox.deliver().await.unwrap(), Delivered::default());
    let token = office.post.last_token();
    office
        .world
        .accounts
        .confirm_address(&token, HERE)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_refused_mail_and_one_whose_time_is_over_are_given_up_and_told() {
    let office = Office::open(true).await;
    let owner = office.world.user("a@example.org", Role::Owner).await;
    let by = actor(&owner);
    office
        .world
        .accounts
        .ask_for_confirmation(&by)
        .await
        .unwrap();
    *office.post.trouble.lock().unwrap() = Some(MailError::Refused("no such user".into()));
    assert_eq!(office.outbox.deliver().await.unwrap().given_up, 1);
    *office.post.trouble.lock().unwrap() = None;
    office
        .world
        .accounts
        .request_reset("a@example.org", HERE)
        .await
        .unwrap();
    office.world.clock.advance(Duration::from_hours(1));
    assert_eq!(office.outbox.deliver().await.unwrap().given_up, 1);
    assert_eq!(office.post.subjects(), [""; 0]);
    let health = office.outbox.health(&by).await.unwrap();
    assert_eq!((health.waiting, health.given_up), (0, 2));
    assert!(health.last_error.unwrap().contains("its time was over"));
}

#[tokio::test]
async fn another_address_counts_once_it_is_proved() {
    let office = Office::open(true).await;
    let user = office.world.user("old@example.org", Role::Streamer).await;
    office.world.user("taken@example.org", Role::Streamer).await;
    let accounts = &office.world.accounts;
    let ask = async |email: &str, password: &str| {
        let email = Email::parse(email).unwrap();
        let password = SecretString::from(password);
        accounts
            .change_address(&actor(&user), password, email)
            .await
    };
    let wrong = ask("new@example.org", "a wrong password")
        .await
        .unwrap_err();
    assert_eq!(wrong.fields()[0].field, "current_password");
    for email in ["taken@example.org", "new@example.org"] {
        assert_eq!(ask(email, PASSWORD).await.unwrap(), AddressChange::MailSent);
    }
    office.outbox.deliver().await.unwrap();
    assert_eq!(
        office.post.subjects(),
        ["You have an account already", "Confirm your address"]
    );
    office.sign_in("old@example.org", PASSWORD).await.unwrap();
    let token = office.post.last_token();
    accounts.confirm_address(&token, HERE).await.unwrap();
    office.sign_in("new@example.org", PASSWORD).await.unwrap();
    assert!(office.sign_in("old@example.org", PASSWORD).await.is_err());
    office.outbox.deliver().await.unwrap();
    let mails = office.post.taken.lock().unwrap();
    let last = mails.last().unwrap();
    assert_eq!(
        (last.to.as_str(), last.subject),
        ("old@example.org", "Your account has another address")
    );
}

#[tokio::test]
async fn a_key_opens_what_its_scopes_say_until_it_is_revoked_or_old() {
    let office = Office::open(false).await;
    let user = office.world.user("a@example.org", Role::Streamer).await;
    let (by, accounts) = (actor(&user), &office.world.accounts);
    let draw = async |days| {
        let name = KeyName::parse("Deck").unwrap();
        let scopes = ApiScopes::parse(["relay:read"]).unwrap();
        let new = NewApiKey::new(name, scopes, days).unwrap();
        accounts.make_api_key(&by, new).await
    };
    let made = draw(Some(1)).await.unwrap();
    let text = made.secret.expose_secret();
    let come = async |scope| accounts.authenticate_key(text, scope).await;
    let known = come(Some(ApiScope::RelayRead)).await.unwrap();
    assert_eq!(
        (known.user_id, known.via),
        (user.id, Via::ApiKey(made.key.id))
    );
    let lacking = come(Some(ApiScope::RelayWrite)).await.unwrap_err();
    assert_eq!(lacking.reason_code(), Some("insufficient_scope"));
    let closed = come(None).await.unwrap_err();
    assert_eq!(closed.reason_code(), Some("api_key_not_allowed"));
    let name = KeyName::parse("Child").unwrap();
    let scopes = ApiScopes::parse(["relay:read"]).unwrap();
    let child = accounts.make_api_key(&known, NewApiKey::new(name, scopes, None).unwrap());
    assert_eq!(child.await.unwrap_err().kind(), Kind::Forbidden);
    accounts.write_last_seen().await.unwrap();
    let listed = office.world.restarted().list_api_keys(&by).await.unwrap();
    assert_eq!(listed[0].last_used_at, Some(START));

    office.world.clock.advance(Duration::from_hours(24));
    let old = come(Some(ApiScope::RelayRead)).await.unwrap_err();
    assert_eq!(old.kind(), Kind::Unauthenticated);
    let second = draw(None).await.unwrap();
    let come = async || {
        let text = second.secret.expose_secret();
        accounts
            .authenticate_key(text, Some(ApiScope::RelayRead))
            .await
    };
    come().await.unwrap();
    accounts.revoke_api_key(&by, second.key.id).await.unwrap();
    assert_eq!(come().await.unwrap_err().kind(), Kind::Unauthenticated);
    assert!(accounts.revoke_api_key(&by, second.key.id).await.is_err());
}

#[tokio::test]
async fn signing_out_everywhere_ends_browsers_and_plugins_as_wished() {
    let office = Office::open(false).await;
    let user = office.world.user("a@example.org", Role::Streamer).await;
    office.sign_in("a@example.org", PASSWORD).await.unwrap();
    let accounts = &office.world.accounts;
    accounts
        .sign_out_everywhere(&actor(&user), PluginSessions::Keep)
        .await
        .unwrap();
    assert_eq!(
        office.count("SELECT count(*) FROM browser_session").await,
        0
    );
    let told = "SELECT count(*) FROM audit_event WHERE action = 'user.signed_out_everywhere'";
    assert_eq!(office.count(told).await, 1);
}

#[tokio::test]
async fn the_last_owner_stays_and_a_marked_user_proves_nothing() {
    let office = Office::open(false).await;
    let owner = office.world.user("owner@example.org", Role::Owner).await;
    let other = office.world.user("a@example.org", Role::Streamer).await;
    let accounts = &office.world.accounts;
    let begin = async |by: &User, id, password: &str| {
        let by = actor(by);
        let proofs = Proofs {
            password: SecretString::from(password),
            ..Proofs::default()
        };
        accounts.begin_deletion(Some((&by, proofs)), id).await
    };
    let last = begin(&owner, owner.id, PASSWORD).await.unwrap_err();
    assert_eq!(last.reason_code(), Some("last_owner"));
    let wrong = begin(&owner, other.id, "a wrong password")
        .await
        .unwrap_err();
    assert_eq!(wrong.fields()[0].field, "current_password");
    let foreign = begin(&other, owner.id, PASSWORD).await.unwrap_err();
    assert_eq!(foreign.kind(), Kind::NotFound);
    begin(&other, other.id, PASSWORD).await.unwrap();
    assert!(office.sign_in("a@example.org", PASSWORD).await.is_err());
    assert_eq!(accounts.users_in_deletion().await.unwrap(), [other.id]);
    accounts.finish_deletion(other.id).await.unwrap();
    accounts.finish_deletion(owner.id).await.unwrap();
    assert_eq!(
        office.count("SELECT count(*) FROM user").await,
        1,
        "the owner was not marked"
    );
    assert_eq!(office.count("SELECT count(*) FROM plan").await, 1);
    office
        .world
        .accounts
        .create_user(new_user("a@example.org", Role::Viewer))
        .await
        .unwrap();
}
