//! Who may join, and by which right.

use super::*;

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
