//! `[limits]`.

use super::layers::{ConfigError, Layers};
use crate::http::Allowance;

/// `[limits]`: how often callers may call; `None` is no limit.
#[derive(Debug, Clone, Copy)]
pub struct LimitsConfig {
    /// Sign-ins and the like, per address.
    pub login: Option<Allowance>,
    /// Other anonymous calls of the API, per address.
    pub anonymous: Option<Allowance>,
    /// `relay/start`, per user and connection.
    pub start: Option<Allowance>,
    /// `relay/stop`, per user and connection.
    pub stop: Option<Allowance>,
    /// `relay/active`, per user and connection.
    pub active: Option<Allowance>,
    /// `usage/current`, per user.
    pub usage: Option<Allowance>,
}

pub(super) fn limits(layers: &Layers) -> Result<LimitsConfig, ConfigError> {
    let is_enabled = layers.flag("limits.enabled")?;
    let number = |name: &str| layers.unsigned::<u32>(&format!("limits.{name}"));
    let per_minute = |name: &str| {
        let number = number(name)?;
        Ok::<_, ConfigError>(is_enabled.then(|| Allowance::per_minute(number)))
    };
    let login_burst = number("login_burst")?;
    Ok(LimitsConfig {
        login: per_minute("login_per_minute")?.map(|it| it.with_burst(login_burst)),
        anonymous: per_minute("anonymous_per_minute")?,
        start: per_minute("start_per_minute")?,
        stop: per_minute("stop_per_minute")?,
        active: per_minute("active_per_minute")?,
        usage: per_minute("usage_per_minute")?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::with;
    use super::*;

    #[test]
    fn the_limits_are_those_that_clients_are_told_of() {
        let limits = with(&[]).unwrap().limits;
        let of = |number| Some(Allowance::per_minute(number));
        assert_eq!((limits.start, limits.stop), (of(30), of(60)));
        assert_eq!((limits.active, limits.usage), (of(120), of(30)));
        assert_eq!(limits.login, of(10).map(|it| it.with_burst(20)));
        assert_eq!(limits.anonymous, of(120));
    }

    #[test]
    fn one_switch_takes_all_limits_away_and_is_true_or_false() {
        let off = with(&[("GLB_LIMITS_ENABLED", "false")]).unwrap().limits;
        assert_eq!([off.login, off.anonymous, off.start], [None; 3]);
        assert_eq!([off.stop, off.active, off.usage], [None; 3]);
        let one = with(&[("GLB_LIMITS_STOP_PER_MINUTE", "7")]).unwrap().limits;
        assert_eq!(one.stop, Some(Allowance::per_minute(7)));
        for bad in ["maybe", "0", ""] {
            let refused = with(&[("GLB_LIMITS_ENABLED", bad)])
                .unwrap_err()
                .to_string();
            assert!(refused.contains("give true or false"), "{refused}");
        }
        assert!(with(&[("GLB_LIMITS_START_PER_MINUTE", "0")]).is_err());
    }
}
