//! Settings that are one of a few words, such as who may sign up.
//!
//! Invariant: reading one costs no lock and no store; a word of old that no longer exists is the default.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Settings, store};
use crate::db::Tx;
use crate::kernel::{Error, Result};

/// A setting that is one of a few words.
pub trait Word: Copy + Eq + Send + Sync + 'static {
    /// Its key in the table of settings.
    const KEY: &'static str;
    /// All words, the default first.
    const ALL: &'static [Self];

    /// The word in the table, in the configuration and in forms.
    fn as_str(self) -> &'static str;

    /// The setting of that word.
    fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|word| word.as_str() == text)
    }
}

/// Words by the key of their setting.
pub type Words = BTreeMap<String, String>;

/// Who may become a user without being added by an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignUpMode {
    /// Nobody.
    Off,
    /// Whoever was invited.
    Invite,
    /// Everybody, as a streamer.
    Open,
}

impl Word for SignUpMode {
    const KEY: &'static str = "sign_up";
    const ALL: &'static [Self] = &[Self::Off, Self::Invite, Self::Open];

    fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Invite => "invite",
            Self::Open => "open",
        }
    }
}

/// Whether owners and operators must have a second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecondFactorRule {
    /// Each decides for themselves.
    LeftToEach,
    /// Who has none can do nothing before they switched theirs on.
    Required,
}

impl Word for SecondFactorRule {
    const KEY: &'static str = "second_factor_required";
    const ALL: &'static [Self] = &[Self::LeftToEach, Self::Required];

    fn as_str(self) -> &'static str {
        match self {
            Self::LeftToEach => "no",
            Self::Required => "yes",
        }
    }
}

impl Settings {
    /// What a setting says now.
    #[must_use]
    pub fn word<W: Word>(&self) -> W {
        let chosen = |words: &Words| words.get(W::KEY).and_then(|text| W::parse(text));
        chosen(&self.0.configured)
            .or_else(|| chosen(&self.0.words.load()))
            .unwrap_or(W::ALL[0])
    }

    /// Whether the configuration says it, so that [`Self::put_word`] refuses.
    #[must_use]
    pub fn is_fixed<W: Word>(&self) -> bool {
        self.0.configured.contains_key(W::KEY)
    }

    /// Changes a setting inside the caller's transaction, who notes in the audit log who did it; it counts from
    /// the commit on.
    ///
    /// # Errors
    /// `Conflict` when the configuration says it; else the store's.
    pub fn put_word<W: Word>(&self, tx: &Tx<'_>, word: W) -> Result<()> {
        if self.is_fixed::<W>() {
            let message = "this is set by the configuration; change it there";
            return Err(Error::conflict(message));
        }
        store::setting_put(tx, W::KEY, word.as_str(), self.0.clock.now())?;
        let settings = self.clone();
        tx.after_commit(move || {
            settings.0.words.rcu(|words| {
                let mut words = Words::clone(words);
                words.insert(W::KEY.to_owned(), word.as_str().to_owned());
                Arc::new(words)
            });
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::testing::main_store;
    use crate::kernel::Clock;
    use crate::settings::tests::sources;

    #[tokio::test]
    async fn a_word_counts_from_the_commit_on_and_after_a_restart() {
        let (_folder, db) = main_store();
        let load = || Settings::load(db.clone(), Clock::system(), sources());
        let settings = load().await.unwrap();
        assert_eq!(settings.word::<SignUpMode>(), SignUpMode::Off);
        let writer = settings.clone();
        db.write(move |tx| writer.put_word(tx, SignUpMode::Open))
            .await
            .unwrap();
        assert_eq!(settings.word::<SignUpMode>(), SignUpMode::Open);
        assert_eq!(load().await.unwrap().word::<SignUpMode>(), SignUpMode::Open);
    }

    #[tokio::test]
    async fn a_configured_word_wins_and_is_read_only() {
        let (_folder, db) = main_store();
        let configured = Words::from([("sign_up".to_owned(), "invite".to_owned())]);
        let settings = Settings::load_with(db.clone(), Clock::system(), sources(), configured)
            .await
            .unwrap();
        assert_eq!(settings.word::<SignUpMode>(), SignUpMode::Invite);
        assert!(settings.is_fixed::<SignUpMode>());
        let writer = settings.clone();
        let refused = db
            .write(move |tx| writer.put_word(tx, SignUpMode::Open))
            .await;
        assert!(refused.is_err());
        assert_eq!(settings.word::<SignUpMode>(), SignUpMode::Invite);
    }
}
