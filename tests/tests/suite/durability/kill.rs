//! `kill -9` at random moments under load: what was acknowledged is there afterwards, once, and in its place.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use super::load::{Account, Fleet, Plan, look_up};
use super::{Dice, seed};
use crate::ground::{DPS, Ground, HUB};

const ROUNDS: u32 = 4;
const SENDERS: &[(&str, u32)] = &[
    ("single-1", 1),
    ("single-2", 1),
    ("single-3", 1),
    ("batch-1", 3),
    ("batch-2", 5),
];
const PUBLISHERS: &[&str] = &["mqtt-1", "mqtt-2"];
const DEVICES: &[&str] = &[
    "single-1", "single-2", "single-3", "batch-1", "batch-2", "mqtt-1", "mqtt-2",
];

/// What devices were promised so far, and what was seen of it.
#[derive(Default)]
pub(super) struct Promises {
    sent: BTreeSet<String>,
    answered: BTreeMap<String, String>,
    seen: BTreeMap<(u64, u64), String>,
}

impl Promises {
    /// Adds what a run was promised.
    pub(super) fn add(&mut self, account: Account) {
        self.sent.extend(account.sent.into_iter().flatten());
        self.answered.extend(account.answered);
        for name in &account.assigned {
            assert!(
                self.answered.contains_key(name),
                "{name} was assigned before it was answered"
            );
        }
    }

    /// Holds the events against the promises.
    pub(super) fn hold_events(&mut self, ground: &Ground) {
        let events = ground.events();
        let mut places = BTreeMap::new();
        let mut ids = BTreeSet::new();
        let mut last: BTreeMap<u64, u64> = BTreeMap::new();
        let mut latest_of: BTreeMap<(&str, &str), &str> = BTreeMap::new();
        for event in &events {
            let place = (event.partition, event.position);
            let id = event.id();
            assert!(
                places.insert(place, id.to_owned()).is_none(),
                "two events at {place:?}"
            );
            assert!(ids.insert(id.to_owned()), "{id} is there twice");
            let before = last.insert(event.partition, event.position);
            assert!(before < Some(event.position), "{place:?} comes after {before:?}");
            // Within one run, a device sends one message after the other.
            let run = id.split('/').next().unwrap_or_default();
            let earlier = latest_of.insert((run, &event.device), id);
            assert!(earlier < Some(id), "{id} comes after {earlier:?}");
        }
        for (place, id) in &self.seen {
            assert_eq!(places.get(place), Some(id), "what stood at {place:?}");
        }
        let lost: Vec<_> = self.sent.difference(&ids).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        hold_batches(&ids);
        self.seen = places;
    }

    /// Holds registrations, operations and device identities against the promises.
    pub(super) fn hold_registrations(&self, ground: &Ground) {
        let names: Vec<&String> = self.answered.keys().collect();
        let paths = |form: &dyn Fn(&str) -> String| names.iter().map(|name| form(name)).collect::<Vec<_>>();
        let states = look_up(
            ground,
            DPS,
            &paths(&|name| format!("/registrations/{name}?api-version=2021-10-01")),
        );
        for (name, (status, body)) in names.iter().zip(states) {
            assert_eq!(status, 200, "the registration of {name}: {body}");
            assert!(body.contains("\"status\":\"assigned\""), "{name}: {body}");
        }
        let identities = look_up(
            ground,
            HUB,
            &paths(&|name| format!("/devices/{name}?api-version=2021-04-12")),
        );
        for (name, (status, body)) in names.iter().zip(identities) {
            assert_eq!(status, 200, "the identity of {name}: {body}");
        }
    }

    /// How much was promised.
    pub(super) fn figures(&self) -> (usize, usize) {
        (self.sent.len(), self.answered.len())
    }
}

/// A request is kept as a whole or not at all, also one whose answer never came.
fn hold_batches(ids: &BTreeSet<String>) {
    let mut parts: BTreeMap<&str, usize> = BTreeMap::new();
    for id in ids {
        if let Some((request, _)) = id.rsplit_once('/').filter(|_| id.matches('/').count() == 3) {
            *parts.entry(request).or_default() += 1;
        }
    }
    for (request, found) in parts {
        let whole = if request.contains("/batch-1/") { 3 } else { 5 };
        assert_eq!(found, whole, "{request} is there in part");
    }
}

#[test]
fn killing_the_server_under_load_loses_nothing_acknowledged() {
    let seed = seed();
    println!("MUSTER_TEST_SEED={seed} repeats the moments of this run");
    let mut dice = Dice::new(seed);
    let mut ground = Ground::new();
    let fleet = Fleet::new(&ground, DEVICES);
    let mut promises = Promises::default();
    for round in 0..ROUNDS {
        let load = fleet.run(
            &ground,
            &Plan {
                prefix: &format!("run{round}"),
                senders: SENDERS,
                publishers: PUBLISHERS,
                registrars: 3,
                padding: 100,
                most: 100_000,
            },
        );
        thread::sleep(Duration::from_millis(dice.below(1_500)));
        ground.kill();
        let account = load.account();
        assert!(account.refused.is_empty(), "{:?}", account.refused);
        assert_eq!(
            account.broken.len(),
            SENDERS.len() + PUBLISHERS.len() + 3,
            "every connection ended with the server"
        );
        promises.add(account);
        ground.start();
        promises.hold_events(&ground);
        promises.hold_registrations(&ground);
    }
    let (sent, answered) = promises.figures();
    println!("{sent} messages and {answered} registrations outlived {ROUNDS} kills");
    // Every connection has had an answer before its server was killed.
    assert!(
        sent >= 44 && answered >= 12,
        "{sent} messages, {answered} registrations"
    );
}
