//! The walk against a naive model: random small hierarchies with cross-signing, shared names, shared keys,
//! circles, forgeries, odd dates and path lengths, presented in any order with strangers among them.
//!
//! The model knows what each certificate was made to be and enumerates all paths by the words of the rules;
//! the walk sees only bytes. Both must find the same paths.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use muster_pki::Certificate;
use muster_pki::verify::AnchorSet;
use proptest::prelude::*;
use rcgen::{BasicConstraints, IsCa, KeyPair, KeyUsagePurpose};

use crate::support::{Entity, NOW, Spec, chain, new_key, paths};

const NAMES: [&str; 3] = ["A", "B", "C"];

static KEYS: LazyLock<Vec<Arc<KeyPair>>> = LazyLock::new(|| (0..6).map(|_| new_key()).collect());

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Ca,
    CaWithLimit(u8),
    NotCa,
    Silent,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Dates {
    Good,
    Expired,
    Future,
}

/// What one certificate was made to be.
#[derive(Clone, Debug)]
struct Made {
    name: usize,
    key: usize,
    issuer_name: usize,
    signing_key: usize,
    kind: Kind,
    usage: Option<bool>,
    dates: Dates,
    presented: bool,
    configured: bool,
}

fn made() -> impl Strategy<Value = Made> {
    let kind = prop_oneof![
        10 => Just(Kind::Ca),
        3 => (0_u8..3).prop_map(Kind::CaWithLimit),
        1 => Just(Kind::NotCa),
        1 => Just(Kind::Silent),
    ];
    let usage = prop_oneof![5 => Just(None), 5 => Just(Some(true)), 1 => Just(Some(false))];
    let dates = prop_oneof![14 => Just(Dates::Good), 1 => Just(Dates::Expired), 1 => Just(Dates::Future)];
    let (names, keys) = (NAMES.len(), KEYS.len());
    (
        0..names,
        0..keys,
        0..names,
        0..keys,
        kind,
        usage,
        dates,
        prop::bool::weighted(0.7),
        prop::bool::weighted(0.4),
    )
        .prop_map(
            |(name, key, issuer_name, signing_key, kind, usage, dates, presented, configured)| Made {
                name,
                key,
                issuer_name,
                signing_key,
                kind,
                usage,
                dates,
                presented,
                configured,
            },
        )
}

/// A hierarchy: keys follow names most of the time, so that signatures fit often enough to matter.
fn hierarchy() -> impl Strategy<Value = Vec<Made>> {
    prop::collection::vec((made(), 0..10_u8, 0..10_u8), 3..10).prop_map(|all| {
        all.into_iter()
            .map(|(mut one, own, signer)| {
                if own < 8 {
                    one.key = one.name;
                }
                if signer < 8 {
                    one.signing_key = one.issuer_name;
                }
                one
            })
            .collect()
    })
}

fn build(made: &Made) -> Entity {
    let mut spec = Spec::ca(NAMES[made.name]).with_key(&KEYS[made.key]);
    spec.key_usages = match made.usage {
        None => Vec::new(),
        Some(true) => vec![KeyUsagePurpose::KeyCertSign],
        Some(false) => vec![KeyUsagePurpose::DigitalSignature],
    };
    spec.ca = match made.kind {
        Kind::Ca => IsCa::Ca(BasicConstraints::Unconstrained),
        Kind::CaWithLimit(limit) => IsCa::Ca(BasicConstraints::Constrained(limit)),
        Kind::NotCa => IsCa::ExplicitNoCa,
        Kind::Silent => IsCa::NoCa,
    };
    let spec = match made.dates {
        Dates::Good => spec,
        Dates::Expired => spec.expired(),
        Dates::Future => spec.future(),
    };
    // Only name and key of this one are used.
    let issuer = Spec::ca(NAMES[made.issuer_name])
        .with_key(&KEYS[made.signing_key])
        .self_signed();
    spec.signed_by(&issuer)
}

/// Enumerates the paths by the words of the rules, as lists of places in `all`; the leaf is the first.
fn by_the_rules(all: &[Made]) -> BTreeSet<Vec<usize>> {
    let mut found = BTreeSet::new();
    if all[0].dates == Dates::Good {
        climb(all, &mut vec![0], &mut found);
    }
    found
}

fn climb(all: &[Made], path: &mut Vec<usize>, found: &mut BTreeSet<Vec<usize>>) {
    found.insert(path.clone());
    let top = &all[*path.last().unwrap()];
    for (place, candidate) in all.iter().enumerate() {
        let known = candidate.presented || candidate.configured;
        let signed = top.issuer_name == candidate.name && top.signing_key == candidate.key;
        let may_issue = match candidate.kind {
            Kind::Ca | Kind::CaWithLimit(_) => true,
            Kind::NotCa => false,
            Kind::Silent => candidate.configured,
        };
        let between = path[1..]
            .iter()
            .filter(|&&step| all[step].name != all[step].issuer_name)
            .count();
        let fits = match candidate.kind {
            Kind::CaWithLimit(limit) => between <= usize::from(limit),
            _ => true,
        };
        let right = candidate.usage != Some(false) && candidate.dates == Dates::Good;
        if known && signed && may_issue && fits && right && !path.contains(&place) {
            path.push(place);
            climb(all, path, found);
            path.pop();
        }
    }
}

#[test]
fn the_hierarchies_are_worth_walking() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut longest = Vec::new();
    for _ in 0..512 {
        let mut all = hierarchy().new_tree(&mut runner).expect("a hierarchy").current();
        (all[0].presented, all[0].configured) = (true, false);
        longest.push(by_the_rules(&all).iter().map(Vec::len).max().unwrap_or(0));
    }
    let at_least = |length| longest.iter().filter(|&&one| one >= length).count();
    assert!(
        at_least(2) > 150 && at_least(3) > 60 && at_least(4) > 15,
        "{:?}",
        [2, 3, 4, 5].map(at_least)
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn finds_exactly_the_paths_of_the_rules(
        mut all in hierarchy(),
        order in prop::collection::vec(any::<u32>(), 10),
    ) {
        all[0].presented = true;
        all[0].configured = false;
        let entities: Vec<Entity> = all.iter().map(build).collect();
        let mut upper: Vec<usize> = (1..all.len()).filter(|&place| all[place].presented).collect();
        upper.sort_by_key(|&place| order[place]);
        let stranger = Spec::ca("stranger").self_signed();
        let mut presented = vec![&entities[0], &stranger];
        presented.extend(upper.iter().map(|&place| &entities[place]));
        let configured: AnchorSet = all
            .iter()
            .zip(&entities)
            .filter(|(made, _)| made.configured)
            .map(|(_, entity)| entity.certificate.clone())
            .collect();

        let expected = by_the_rules(&all);
        // Beyond the walk's own cap the two may differ, and the walk says so elsewhere.
        prop_assume!(expected.len() <= 256);
        let place_of = |certificate: &Certificate| {
            entities.iter().position(|entity| entity.certificate == *certificate).expect("one of ours")
        };
        let found = paths(&chain(&presented), &configured, NOW);
        let lengths: Vec<_> = found.iter().map(muster_pki::verify::Path::len).collect();
        prop_assert!(lengths.is_sorted(), "nearest first: {lengths:?}");
        let as_places: Vec<Vec<usize>> = found
            .iter()
            .map(|path| path.steps().map(|step| place_of(&step.certificate)).collect())
            .collect();
        let distinct: BTreeSet<Vec<usize>> = as_places.iter().cloned().collect();
        prop_assert_eq!(distinct.len(), as_places.len(), "each path once");
        prop_assert_eq!(distinct, expected);
        for step in found.iter().flat_map(muster_pki::verify::Path::steps) {
            let made = &all[place_of(&step.certificate)];
            prop_assert_eq!(step.origin.configured, made.configured);
            prop_assert_eq!(step.origin.presented_at.is_some(), made.presented);
        }
    }
}
