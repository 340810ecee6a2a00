//! Keys of programs, signing out everywhere, and leaving.

use super::*;

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
