use super::*;

fn writer() -> (tempfile::TempDir, Writer) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.db");
    let damage = Damage::of(&path);
    let durability = connection::Durability::Full;
    let writer = open(&path, durability, DbMetrics::default(), damage).unwrap();
    (folder, writer)
}

async fn execute(writer: &Writer, sql: &'static str) -> Result<(), DbError> {
    writer.call(move |tx| Ok(tx.execute_batch(sql)?)).await
}

async fn count(writer: &Writer) -> i64 {
    writer
        .call(|tx| Ok::<_, DbError>(tx.query_row("SELECT count(*) FROM t", [], |r| r.get(0))?))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_job_that_fails_or_panics_is_undone_alone() {
    let (_folder, writer) = writer();
    execute(&writer, "CREATE TABLE t (n INTEGER PRIMARY KEY) STRICT")
        .await
        .unwrap();
    let jobs = (0..10_i64).map(|n| {
        let writer = writer.clone();
        async move {
            let job = move |tx: &Tx<'_>| {
                // Two of ten go wrong after they wrote.
                tx.execute("INSERT INTO t VALUES (?1)", [n])?;
                assert!(n != 3, "a planted panic");
                if n == 7 {
                    tx.execute("INSERT INTO t VALUES (?1)", [n])?;
                }
                Ok::<_, DbError>(())
            };
            writer.call(job).await
        }
    });
    let outcomes = futures_util::future::join_all(jobs).await;
    assert!(matches!(outcomes[3], Err(DbError::Panicked)));
    assert!(matches!(outcomes[7], Err(DbError::Conflict { .. })));
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 8);
    assert_eq!(count(&writer).await, 8);
}

#[tokio::test]
async fn a_failed_commit_fails_its_jobs_and_the_writer_goes_on() {
    let (_folder, writer) = writer();
    let schema = "CREATE TABLE p (n INTEGER PRIMARY KEY) STRICT;
         CREATE TABLE t (n INTEGER REFERENCES p (n) DEFERRABLE INITIALLY DEFERRED) STRICT";
    execute(&writer, schema).await.unwrap();
    let failed = execute(&writer, "INSERT INTO t VALUES (1)").await;
    assert!(
        matches!(failed, Err(DbError::NotCommitted { .. })),
        "{failed:?}"
    );
    execute(&writer, "INSERT INTO t VALUES (NULL)")
        .await
        .unwrap();
    assert_eq!(count(&writer).await, 1);
}

#[tokio::test]
async fn hooks_run_after_a_commit_only() {
    let (_folder, writer) = writer();
    execute(&writer, "CREATE TABLE t (n INTEGER PRIMARY KEY) STRICT")
        .await
        .unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    for fails in [true, false] {
        let tell = tell.clone();
        let job = move |tx: &Tx<'_>| {
            tx.after_commit(move || tell.send(fails).unwrap());
            if fails { Err(DbError::Busy) } else { Ok(()) }
        };
        assert_eq!(writer.call(job).await.is_err(), fails);
    }
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [false]);
}

#[tokio::test]
async fn a_full_queue_is_told_at_once() {
    let (_folder, writer) = writer();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let blocker = writer.call(move |_| {
        held.recv().unwrap();
        Ok::<_, DbError>(())
    });
    let mut blocker = Box::pin(blocker);
    assert!(futures_util::poll!(&mut blocker).is_pending());
    let mut waiting = Vec::new();
    let refused = loop {
        let mut call = Box::pin(writer.call(|_| Ok::<_, DbError>(())));
        match futures_util::poll!(&mut call) {
            std::task::Poll::Ready(outcome) => break outcome,
            std::task::Poll::Pending => waiting.push(call),
        }
    };
    assert!(matches!(refused, Err(DbError::Busy)));
    assert!(waiting.len() <= QUEUE + GROUP);
    release.send(()).unwrap();
    blocker.await.unwrap();
}

#[tokio::test]
async fn a_caller_that_left_before_its_turn_writes_nothing() {
    let (_folder, writer) = writer();
    execute(&writer, "CREATE TABLE t (n INTEGER PRIMARY KEY) STRICT")
        .await
        .unwrap();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let mut blocker = Box::pin(writer.call(move |_| {
        held.recv().unwrap();
        Ok::<_, DbError>(())
    }));
    assert!(futures_util::poll!(&mut blocker).is_pending());
    {
        let mut gone = Box::pin(execute(&writer, "INSERT INTO t VALUES (1)"));
        assert!(futures_util::poll!(&mut gone).is_pending());
    }
    release.send(()).unwrap();
    blocker.await.unwrap();
    assert_eq!(count(&writer).await, 0);
}
