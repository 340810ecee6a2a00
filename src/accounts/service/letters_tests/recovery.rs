//! New passwords by a link, and other addresses.

use super::*;

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
