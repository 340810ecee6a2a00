//! Providers, and what is known of an account there.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::accounts::model::{NewBrowserSession, User};
use crate::accounts::service::{Proofs, SignInStep};
use crate::kernel::ids::{MergeRequestId, UserId};
use crate::kernel::secret::SecretString;
use crate::kernel::{Role, UnixMillis};
use crate::plans::model::Tier;

/// How long a browser may be at a provider.
pub const STATE_LIFE: Duration = Duration::from_mins(10);

/// A sign-in provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Twitch.
    Twitch,
    /// Google, which is `YouTube` too.
    Google,
    /// Discord.
    Discord,
}

impl Provider {
    /// All of them, in the order in which pages offer them.
    pub const ALL: [Self; 3] = [Self::Twitch, Self::Google, Self::Discord];

    /// The word in paths, tables, keys and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Twitch => "twitch",
            Self::Google => "google",
            Self::Discord => "discord",
        }
    }

    /// The name that a person reads.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Twitch => "Twitch",
            Self::Google => "Google",
            Self::Discord => "Discord",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a provider is one of twitch, google, discord")]
pub struct UnknownProvider;

impl FromStr for Provider {
    type Err = UnknownProvider;

    fn from_str(text: &str) -> Result<Self, UnknownProvider> {
        let mut all = Self::ALL.into_iter();
        all.find(|provider| provider.as_str() == text)
            .ok_or(UnknownProvider)
    }
}

impl ToSql for Provider {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.as_str()))
    }
}

impl FromSql for Provider {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map_err(FromSqlError::other)
    }
}

/// How we are known to a provider, and where it is.
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    /// The id that the provider gave this appliance.
    pub client_id: String,
    /// The secret that it gave with it.
    pub client_secret: SecretString,
    /// Where browsers are sent.
    pub authorize_url: Url,
    /// Where codes are exchanged for tokens.
    pub token_url: Url,
    /// Where a token tells whose it is.
    pub user_info_url: Url,
    /// What a person is asked to allow.
    pub scopes: Vec<String>,
}

/// The configured providers.
#[derive(Debug, Clone)]
pub struct OAuthConfig {
    /// By name; who is not here is not offered.
    pub providers: BTreeMap<Provider, ProviderConfig>,
    /// How long a provider may take to answer one call.
    pub answer_within: Duration,
}

/// Whose account it is, as the provider says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The provider's id of the account, which never changes.
    pub provider_id: String,
    /// What the person calls themselves there; may change at any time and prove nothing.
    pub display_name: String,
    /// Their address, when the provider says that it checked it.
    pub verified_email: Option<String>,
}

/// What a provider gave for a code or a refresh token.
#[derive(Debug, Clone)]
pub struct ProviderTokens {
    /// For calls.
    pub access: SecretString,
    /// For the next pair; absent where the provider gives none.
    pub refresh: Option<SecretString>,
    /// How long `access` lasts, when the provider says so.
    pub life: Option<Duration>,
}

/// An account at a provider that a user linked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedAccount {
    /// Where.
    pub provider: Provider,
    /// The provider's id of it.
    pub provider_id: String,
    /// What the person calls themselves there.
    pub display_name: String,
    /// Since when.
    pub linked_at: UnixMillis,
}

/// Why a browser goes to a provider.
#[derive(Debug, Clone)]
pub enum Intent {
    /// To sign in, or to join, with the token of an invitation or without.
    SignIn(Option<SecretString>),
    /// To link the account there to this user, who is signed in and confirmed it.
    Link(UserId),
}

/// What came of a browser's way back.
#[derive(Debug)]
pub enum Outcome {
    /// It proved a linked account.
    SignedIn {
        /// The session, or the code that is due first.
        step: SignInStep,
        /// The path of ours to go to.
        next: String,
    },
    /// It proved an account that nobody had linked, and is signed in to a new account here.
    Joined {
        /// The session.
        session: NewBrowserSession,
        /// Who joined.
        user: Box<User>,
        /// The path of ours to go to.
        next: String,
    },
    /// The account is linked now, or was before.
    Linked(Provider),
    /// The account is linked with somebody else, who this person has thereby proved to be, too: the browser's
    /// session has a [`MergeOffer`] now.
    MergeOffered,
}

/// What a person may merge: two accounts that one browser session proved.
#[derive(Debug, Clone)]
pub struct MergeOffer {
    /// Which request.
    pub id: MergeRequestId,
    /// Where the other account was proved.
    pub provider: Provider,
    /// The account that is signed in.
    pub this: MergeSide,
    /// The other one.
    pub other: MergeSide,
    /// Whether the other one's second factor is due, because a provider proves the first one only.
    pub other_code: bool,
}

impl MergeOffer {
    /// The account that stays, and the one that goes.
    #[must_use]
    pub const fn kept_and_gone(&self, kept: Kept) -> (&MergeSide, &MergeSide) {
        match kept {
            Kept::This => (&self.this, &self.other),
            Kept::Other => (&self.other, &self.this),
        }
    }
}

/// One of the two accounts.
#[derive(Debug, Clone)]
pub struct MergeSide {
    /// Whose it is.
    pub user: User,
    /// What they linked, which moves to the account that stays unless that has one of the same provider.
    pub links: Vec<LinkedAccount>,
    /// Their tier, which ends with an account that goes.
    pub tier: Tier,
    /// Whether a subscription is open, so that it cannot go.
    pub pays: bool,
}

impl MergeSide {
    /// Why this account cannot be the one that goes.
    #[must_use]
    pub const fn cannot_go(&self) -> Option<&'static str> {
        match self.user.role {
            Role::Owner => Some("it owns this appliance"),
            Role::Operator | Role::Viewer | Role::Streamer if self.pays => {
                Some("it has a subscription")
            }
            Role::Operator | Role::Viewer | Role::Streamer => None,
        }
    }
}

/// Which account stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// The one that is signed in.
    This,
    /// The one that the provider proved.
    Other,
}

/// A confirmation of a merge.
#[derive(Debug)]
pub struct MergeWish {
    /// The request that the page was about.
    pub id: MergeRequestId,
    /// Which account stays.
    pub kept: Kept,
    /// What proves the account that is signed in.
    pub proofs: Proofs,
    /// A code of the other one's second factor, when it has one.
    pub other_code: SecretString,
}

/// Two accounts that became one.
#[derive(Debug, Clone)]
pub struct Merged {
    /// The account that stays.
    pub kept: User,
    /// The account that is being deleted.
    pub gone: UserId,
}
