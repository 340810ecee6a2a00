use super::*;
use crate::relay::docker::Layout;

pub(super) fn with(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let variables = variables
        .iter()
        .map(|&(k, v)| (k.to_owned(), v.to_owned()))
        .collect();
    Config::load(&Given {
        variables,
        ..Given::default()
    })
}

#[test]
fn the_embedded_defaults_are_a_valid_configuration() {
    let config = with(&[]).unwrap();
    assert_eq!(config.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(config.stats_listen.unwrap().port(), 8090);
    assert_eq!(config.embedded.srtla_listen.port(), 5000);
    assert_eq!(config.access_token_life, Duration::from_hours(24));
    assert!(config.relay_shared_key.is_none());
}

#[test]
fn every_key_stands_in_the_file_with_a_comment() {
    for key in keys::KEYS {
        let name = key.path.rsplit('.').next().unwrap();
        let lines: Vec<_> = DEFAULTS.lines().collect();
        let line = lines.iter().position(|line| {
            line.starts_with(&format!("{name} =")) || line.starts_with(&format!("# {name} ="))
        });
        assert!(line.is_some(), "{} is missing in appliance.toml", key.path);
    }
    // And none without a value that nobody reads.
    let active = DEFAULTS
        .lines()
        .filter(|l| l.contains(" = ") && !l.starts_with('#'))
        .count();
    let unset = DEFAULTS
        .lines()
        .filter_map(|l| l.strip_prefix("# ")?.split_once(" = "))
        .filter(|(name, _)| {
            let is_name = |key: &keys::Key| key.path.rsplit('.').next() == Some(name);
            keys::KEYS.iter().any(is_name)
        })
        .count();
    assert_eq!(active + unset, keys::KEYS.len());
}

#[test]
fn the_layers_win_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("appliance.toml");
    let text = "listen = \"127.0.0.1:1\"\n[relay.embedded]\nsrtla_port = 7\nplay_port = 8\n";
    std::fs::write(&file, text).unwrap();
    let mut given = Given {
        data_dir: Some(folder.path().into()),
        ..Given::default()
    };
    assert_eq!(Config::load(&given).unwrap().listen.port(), 1);
    given
        .variables
        .insert("GLB_LISTEN".into(), "127.0.0.1:2".into());
    given
        .variables
        .insert("GLB_RELAY_EMBEDDED_SRTLA_PORT".into(), "9".into());
    given
        .variables
        .insert("GLB_TRUSTED_PROXIES".into(), "10.0.0.0/8, ::1".into());
    let config = Config::load(&given).unwrap();
    assert_eq!(
        (config.embedded.srtla_port, config.embedded.play_port),
        (9, 8)
    );
    assert_eq!(config.listen.port(), 2);
    given.listen = Some("127.0.0.1:3".into());
    assert_eq!(Config::load(&given).unwrap().listen.port(), 3);
}

#[test]
fn what_is_wrong_is_named_with_its_remedy() {
    let complaint = |pairs: &[(&str, &str)]| with(pairs).unwrap_err().to_string();
    let text = complaint(&[("GLB_LISTENN", "x")]);
    assert!(
        text.contains("GLB_LISTENN") && text.contains("did you mean \"GLB_LISTEN\""),
        "{text}"
    );
    let text = complaint(&[("GLB_LISTEN", "eighty")]);
    assert!(
        text.contains("listen") && text.contains("eighty") && text.contains("such as"),
        "{text}"
    );
    let text = complaint(&[("GLB_RELAY_SHARED_KEY", "planted-short")]);
    assert!(
        text.contains("relay_shared_key") && !text.contains("planted"),
        "{text}"
    );
    assert!(complaint(&[("GLB_RELAY_SHARED_KEY", "")]).contains("32 characters"));
    assert!(complaint(&[("GLB_RELAY_ENGINE", "external")]).contains("relay.external.url"));
    for url in [
        "ftp://sls.example.org",
        "10.0.0.2:8080",
        "http://u:p@sls/",
        "http://sls/?a",
    ] {
        assert!(
            complaint(&[("GLB_RELAY_EXTERNAL_URL", url)]).contains("without user or query"),
            "{url}"
        );
    }
    assert!(complaint(&[("GLB_RELAY_DOCKER_PLAY_PORT", "5000")]).contains("its own number"));
    assert!(complaint(&[("GLB_RELAY_DOCKER_DATA_ON_HOST", "srv")]).contains("whole path"));
    assert!(complaint(&[("GLB_RELAY_DOCKER_LATENCY_MAX_MS", "110")]).contains("latency_min_ms"));
    assert!(complaint(&[("GLB_RELAY_ENGINE", "x")]).contains("one of auto"));
    assert!(complaint(&[("GLB_PUBLIC_URL", "relay.example.org")]).contains("https://"));
    assert!(complaint(&[("GLB_OUTBOUND_ALLOW", "10.0.0.0/99")]).contains("10.0.0.0/99"));
    let zone = (
        "GLB_DNS_CLOUDFLARE_ZONE_ID",
        "0123456789abcdef0123456789abcdef",
    );
    assert!(complaint(&[zone]).contains("all three, or none"));
    assert!(complaint(&[("GLB_DNS_CLOUDFLARE_DOMAIN", "10.0.0.1")]).contains("relay.example.org"));
    assert!(complaint(&[("GLB_DNS_CLOUDFLARE_API_BASE", "x")]).contains("api.cloudflare.com"));
    assert!(complaint(&[("GLB_TRUSTED_PROXIES", "10.0.0.0/99")]).contains("10.0.0.0/99"));
    assert!(complaint(&[("GLB_TELEMETRY_SAMPLE_DAYS", "0")]).contains("from 1"));
}

#[test]
fn a_file_is_checked_as_strictly() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.toml");
    let complaint = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let given = Given {
            config_file: Some(file.clone()),
            ..Given::default()
        };
        Config::load(&given).unwrap_err().to_string()
    };
    assert!(complaint("[relay.embeded]\nsrtla_port = 1").contains("relay.embedded.srtla_port"));
    assert!(complaint("[nothing]").contains("nothing"));
    assert!(complaint("listen = 8080").contains("listen = 8080"));
    let text = complaint("listen = \"a\"\njwt_key = \"planted\nx = 1");
    assert!(
        text.contains("line 2") && !text.contains("planted"),
        "{text}"
    );
}

#[test]
fn a_secret_may_come_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "0123456789abcdef0123456789abcdef\n").unwrap();
    let path = file.to_str().unwrap();
    let config = with(&[("GLB_RELAY_SHARED_KEY_FILE", path)]).unwrap();
    assert!(config.relay_shared_key.is_some());
    assert!(!format!("{config:?}").contains("0123456789"));
    assert!(with(&[("GLB_LISTEN_FILE", path)]).is_err());
    assert!(with(&[("GLB_JWT_KEY_FILE", "/nowhere")]).is_err());
}

#[test]
fn containers_need_all_images_of_their_layout() {
    let layout = |pairs: &[(&str, &str)]| with(pairs).unwrap().docker.layout;
    let sls = ("GLB_RELAY_DOCKER_IMAGES_SLS", "sls:1");
    let srtla = ("GLB_RELAY_DOCKER_IMAGES_SRTLA", "srtla:1");
    let missing = |pairs: &[(&str, &str)]| match layout(pairs) {
        Layout::Unset(keys) => keys,
        Layout::Two { .. } | Layout::Combined { .. } => "",
    };
    assert!(missing(&[]).contains("images.sls"));
    assert!(missing(&[sls]).contains("images.srtla"));
    assert_eq!(missing(&[sls, srtla]), "");
    let combined = ("GLB_RELAY_DOCKER_LAYOUT", "combined");
    assert!(missing(&[sls, srtla, combined]).contains("images.combined"));
}

#[test]
fn an_external_sls_is_where_its_url_says_unless_a_host_is_given() {
    let url = ("GLB_RELAY_EXTERNAL_URL", "http://198.51.100.7:8080");
    let key = ("GLB_RELAY_EXTERNAL_KEY", "planted0planted0planted0planted0");
    assert!(with(&[url]).unwrap().external.sls("a").is_none());
    let engine = ("GLB_RELAY_ENGINE", "external");
    let config = with(&[engine, url, key]).unwrap();
    assert_eq!(config.engine, EngineKind::External);
    assert_eq!(config.external.media()[0].to_string(), "198.51.100.7:5000");
    let sls = config.external.sls("a").unwrap();
    assert_eq!((sls.api_per_minute, sls.stats_per_minute), (30, 300));
    assert!(!format!("{config:?}{sls:?}").contains("planted"));
    let host = ("GLB_RELAY_EXTERNAL_HOST", "relay.example.org");
    let external = with(&[engine, url, key, host]).unwrap().external;
    assert_eq!(external.host().unwrap(), "relay.example.org");
    assert_eq!(external.media()[2].to_string(), "0.0.0.0:4000");
}

#[test]
fn a_mail_server_is_named_whole_or_not_at_all() {
    assert!(with(&[]).unwrap().mail.is_none());
    let host = ("GLB_MAIL_HOST", "smtp.example.org");
    let from = ("GLB_MAIL_FROM", "GoLiveBro <relay@example.org>");
    let user = ("GLB_MAIL_USER", "relay");
    let password = ("GLB_MAIL_PASSWORD", "planted");
    let mail = with(&[host, from, user, password]).unwrap().mail.unwrap();
    assert_eq!((mail.port, mail.security), (587, MailSecurity::StartTls));
    assert!(!format!("{mail:?}").contains("planted"));
    let complaint = |pairs: &[(&str, &str)]| with(pairs).unwrap_err().to_string();
    assert!(complaint(&[host]).contains("mail.from"));
    assert!(complaint(&[host, ("GLB_MAIL_FROM", "nobody")]).contains("mail.from"));
    assert!(complaint(&[host, from, user]).contains("mail.password"));
    let text = complaint(&[host, from, password]);
    assert!(
        text.contains("mail.user") && !text.contains("planted"),
        "{text}"
    );
}

#[test]
fn who_may_sign_up_can_be_configured() {
    let words = with(&[("GLB_AUTH_SIGN_UP", "open")]).unwrap().words;
    assert_eq!(words.get("sign_up").map(String::as_str), Some("open"));
    assert!(with(&[]).unwrap().words.is_empty());
    assert!(with(&[("GLB_AUTH_SIGN_UP", "everybody")]).is_err());
}

#[test]
fn who_must_have_a_second_factor_can_be_configured() {
    for (given, word) in [("required", "yes"), ("left_to_each", "no")] {
        let words = with(&[("GLB_AUTH_SECOND_FACTOR", given)]).unwrap().words;
        let known = words.get("second_factor_required").map(String::as_str);
        assert_eq!(known, Some(word));
    }
    assert!(with(&[("GLB_AUTH_SECOND_FACTOR", "yes")]).is_err());
}

#[test]
fn a_payment_provider_needs_its_secret_and_shows_none() {
    assert!(!with(&[]).unwrap().billing.is_configured());
    let provider = ("GLB_BILLING_PROVIDER", "lemonsqueezy");
    let complaint = |pairs: &[(&str, &str)]| with(pairs).unwrap_err().to_string();
    assert!(complaint(&[provider]).contains("billing.lemonsqueezy.webhook_secret"));
    let stripe = ("GLB_BILLING_PROVIDER", "stripe");
    assert!(complaint(&[stripe]).contains("billing.stripe.webhook_secret"));
    assert!(complaint(&[("GLB_BILLING_PROVIDER", "x")]).contains("one of lemonsqueezy, stripe"));
    // A provider's secret is what the provider gave.
    let secret = ("GLB_BILLING_LEMONSQUEEZY_WEBHOOK_SECRET", "planted");
    let next = ("GLB_BILLING_LEMONSQUEEZY_WEBHOOK_SECRET_NEXT", "planted2");
    let variants = ("GLB_BILLING_LEMONSQUEEZY_STANDARD_VARIANTS", "501, 503");
    let config = with(&[provider, secret, next, variants]).unwrap();
    assert!(config.billing.is_configured());
    assert_eq!(config.billing.catalog.standard, ["501", "503"]);
    assert!(
        config
            .billing
            .unset
            .contains(&"billing.lemonsqueezy.api_key")
    );
    assert!(!format!("{config:?}").contains("planted"));
    for base in [
        "http://api.example.org",
        "api.example.org",
        "https://u:p@x/",
    ] {
        let base = ("GLB_BILLING_LEMONSQUEEZY_API_BASE", base);
        assert!(complaint(&[provider, secret, base]).contains("https address"));
    }
    let base = ("GLB_BILLING_LEMONSQUEEZY_API_BASE", "http://127.0.0.1:9");
    assert!(with(&[provider, secret, base]).is_ok());
}
