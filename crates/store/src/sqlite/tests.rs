//! The writer against a database that is full, and units of work that break down.

use std::sync::Arc;

use muster_model::{ManualClock, Random};
use muster_resources::StoreError;
use rusqlite::Connection;
use zeroize::Zeroizing;

use super::stamps::Stamps;
use super::unit::Meta;
use super::writer::Writer;
use super::{MIGRATIONS, open};
use crate::fault::Fault;
use crate::seal::{MasterKey, MasterKeys, Sealer};

/// A writer over a fresh database that may grow by `pages`.
fn writer(directory: &std::path::Path, pages: i64) -> Writer {
    let path = directory.join("registry.db");
    open::file(&path).unwrap();
    let sql = open::writer(&path, open::Durability::Synced, 1_024).unwrap();
    open::migrate(&path, &sql, MIGRATIONS).unwrap();
    let keys = MasterKeys::only(MasterKey::new(Zeroizing::new([1; 32])));
    let sealer = Arc::new(Sealer::new(&keys, Arc::new(Random::from_number(1))).unwrap());
    Meta::draw(&sealer).unwrap().save(&sql).unwrap();
    let used: i64 = sql
        .pragma_query_value(None, "page_count", |row| row.get(0))
        .unwrap();
    sql.pragma_update_and_check(None, "max_page_count", used + pages, |_| Ok(()))
        .unwrap();
    Writer::start(
        sql,
        sealer,
        Arc::new(Stamps::new()),
        Arc::new(ManualClock::default()),
    )
    .unwrap()
}

fn insert(sql: &Connection, work: i64, bytes: usize) -> Result<(), Fault> {
    sql.execute(
        "INSERT INTO lease (work, holder, fence, until) VALUES (?1, ?2, 0, 0)",
        rusqlite::params![work.to_string(), "x".repeat(bytes)],
    )?;
    Ok(())
}

#[tokio::test]
async fn a_full_database_refuses_and_what_it_acknowledged_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let writer = writer(directory.path(), 4);
    let small = |number| writer.run(move |unit| insert(unit.sql, number, 10));
    let large = |number| writer.run(move |unit| insert(unit.sql, number, 100_000));
    let (first, full, second) = tokio::join!(small(1), large(2), small(3));
    assert!(
        matches!(full, Err(Fault::Store(StoreError::Unavailable(_)))),
        "{full:?}"
    );
    // The database rolls back the whole transaction: others of that batch are refused too, and may come again.
    for other in [&first, &second] {
        assert!(
            matches!(other, Ok(()) | Err(Fault::Store(StoreError::Unavailable(_)))),
            "{other:?}"
        );
    }
    small(4).await.unwrap();
    let rows: i64 = writer
        .run(|unit| {
            Ok(unit
                .sql
                .query_row("SELECT count(*) FROM lease", [], |row| row.get(0))?)
        })
        .await
        .unwrap();
    assert_eq!(rows, 1 + i64::from(first.is_ok()) + i64::from(second.is_ok()));
}

#[tokio::test]
async fn a_unit_of_work_that_breaks_down_takes_nobody_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let writer = writer(directory.path(), 100);
    let broken = writer.run(|unit| -> Result<(), Fault> {
        insert(unit.sql, 1, 10)?;
        unit.meta.etag += 100;
        panic!("a bug");
    });
    let (broken, fine) = tokio::join!(broken, writer.run(|unit| insert(unit.sql, 2, 10)));
    assert!(
        matches!(broken, Err(Fault::Store(StoreError::Unavailable(_)))),
        "{broken:?}"
    );
    fine.unwrap();
    let (rows, etag): (i64, u64) = writer
        .run(|unit| {
            let rows = unit
                .sql
                .query_row("SELECT count(*) FROM lease", [], |row| row.get(0))?;
            Ok((rows, unit.meta.etag))
        })
        .await
        .unwrap();
    assert_eq!((rows, etag), (1, 0));
}

#[tokio::test]
async fn a_commit_that_fails_is_told_as_unknown_and_the_next_goes_through() {
    let directory = tempfile::tempdir().unwrap();
    let writer = writer(directory.path(), 100);
    // A deferred foreign key is judged at the commit, which then fails as a whole.
    let broken = writer
        .run(|unit| {
            unit.sql.execute_batch("PRAGMA defer_foreign_keys = ON")?;
            unit.sql
                .execute("INSERT INTO service_link (hub, service) VALUES (98, 99)", [])?;
            Ok(())
        })
        .await;
    assert!(
        matches!(broken, Err(Fault::Store(StoreError::Unknown(_)))),
        "{broken:?}"
    );
    writer.run(|unit| insert(unit.sql, 1, 10)).await.unwrap();
    let links: i64 = writer
        .run(|unit| {
            Ok(unit
                .sql
                .query_row("SELECT count(*) FROM service_link", [], |row| row.get(0))?)
        })
        .await
        .unwrap();
    assert_eq!(links, 0);
}

#[tokio::test]
async fn more_than_the_queue_holds_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let writer = Arc::new(writer(directory.path(), 100));
    let (open, gate) = std::sync::mpsc::sync_channel::<()>(1);
    let mut tasks = tokio::task::JoinSet::new();
    let first = Arc::clone(&writer);
    tasks.spawn(async move {
        first
            .run(move |_| {
                // Ends when the gate is opened or its other side is gone.
                let _ = gate.recv();
                Ok(())
            })
            .await
    });
    for _ in 0..2_000 {
        let writer = Arc::clone(&writer);
        tasks.spawn(async move { writer.run(|_| Ok(())).await });
        tokio::task::yield_now().await;
    }
    let refused = tasks.join_next().await.unwrap().unwrap();
    assert!(
        matches!(refused, Err(Fault::Store(StoreError::Unavailable(_)))),
        "{refused:?}"
    );
    open.send(()).unwrap();
    let mut done = 0;
    while let Some(result) = tasks.join_next().await {
        done += usize::from(result.unwrap().is_ok());
    }
    assert!((1_024..1_300).contains(&done), "{done}");
}
