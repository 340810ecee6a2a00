//! Mails that do not leave.

use super::*;

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
