//! Joining, recovery, mails and keys, on a real store with a mailer that obeys orders.

mod joining;
mod leaving;
mod outbox;
mod recovery;

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
