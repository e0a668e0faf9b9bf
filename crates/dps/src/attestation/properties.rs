//! Random estates over one small hierarchy: what is decided must be what a reading of the rules over the known graph
//! gives, whatever was presented, in whatever order.
//!
//! ```text
//! A        B
//! |        |
//! C ─twin─ C'      the same name and key, issued twice
//!   \    /
//!     D
//!     |
//!    leaf
//! ```

use std::sync::OnceLock;

use muster_model::ReasonCode;
use muster_model::dps::ProvisioningStatus;
use muster_pki::Certificate;
use proptest::prelude::*;

use crate::fixtures::{Ca, World};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;
const TWIN: usize = 3;
const D: usize = 4;
const NAMES: [&str; 5] = ["a", "b", "c", "twin", "d"];

/// What issued a certificate of the hierarchy.
fn issuers(of: usize) -> &'static [usize] {
    match of {
        C => &[A],
        TWIN => &[B],
        D => &[C, TWIN],
        _ => &[],
    }
}

/// The five CA certificates, and a leaf below D.
fn certificates() -> &'static (Vec<Certificate>, Certificate) {
    static MADE: OnceLock<(Vec<Certificate>, Certificate)> = OnceLock::new();
    MADE.get_or_init(|| {
        let (a, b) = (Ca::root("A"), Ca::root("B"));
        let c = a.sub("C");
        let twin = c.again_under(&b);
        let d = c.sub("D");
        let leaf = d.leaf("leaf");
        let all = vec![
            a.certificate().clone(),
            b.certificate().clone(),
            c.certificate().clone(),
            twin,
            d.certificate().clone(),
        ];
        (all, leaf)
    })
}

/// What is configured about one CA certificate, and whether the device sends it.
#[derive(Clone, Copy, Debug)]
struct Setting {
    /// `Some(true)`: uploaded and verified.
    uploaded: Option<bool>,
    /// `Some(true)`: a group on it, enabled.
    group: Option<bool>,
    presented: bool,
}

fn setting() -> impl Strategy<Value = Setting> {
    (
        // Many verified ones: the interesting decisions are those between several paths that count.
        prop_oneof![1 => Just(None), 1 => Just(Some(false)), 2 => Just(Some(true))],
        prop_oneof![2 => Just(None), 2 => Just(Some(true)), 1 => Just(Some(false))],
        any::<bool>(),
    )
        .prop_map(|(uploaded, group, presented)| Setting {
            uploaded,
            group,
            presented,
        })
}

/// Every path upward from D as far as it goes, of certificates that are at hand.
fn paths(settings: &[Setting; 5]) -> Vec<Vec<usize>> {
    let at_hand = |one: &usize| {
        let setting = settings[*one];
        setting.presented || setting.uploaded.is_some() || setting.group.is_some()
    };
    let mut complete = Vec::new();
    let mut open: Vec<Vec<usize>> = if at_hand(&D) { vec![vec![D]] } else { Vec::new() };
    while let Some(path) = open.pop() {
        let top = path[path.len() - 1];
        let above: Vec<usize> = issuers(top).iter().copied().filter(at_hand).collect();
        if above.is_empty() {
            complete.push(path.clone());
        }
        for issuer in above {
            let mut longer = path.clone();
            longer.push(issuer);
            open.push(longer);
        }
    }
    complete
}

/// What may come out: the groups that may admit, and whether a disabled one may decide.
#[derive(Debug, Default)]
struct Expected {
    admitting: Vec<usize>,
    disabled: bool,
}

fn expected(settings: &[Setting; 5]) -> Expected {
    let paths = paths(settings);
    let verified: Vec<&Vec<usize>> = paths
        .iter()
        .filter(|path| path.iter().any(|one| settings[*one].uploaded == Some(true)))
        .collect();
    if verified.is_empty() {
        return Expected::default();
    }
    let mut counting: Vec<(usize, usize, bool)> = Vec::new();
    for path in &paths {
        for (height, one) in path.iter().enumerate() {
            match settings[*one].group {
                Some(true) if verified.contains(&path) => counting.push((height, *one, true)),
                Some(false) => counting.push((height, *one, false)),
                _ => {}
            }
        }
    }
    let Some(nearest) = counting.iter().map(|(height, ..)| *height).min() else {
        return Expected::default();
    };
    counting.retain(|(height, ..)| *height == nearest);
    let key = |one: usize| if one == TWIN { C } else { one };
    let blocked = |one: usize| {
        counting
            .iter()
            .any(|(_, other, enabled)| !enabled && key(*other) == key(one))
    };
    Expected {
        admitting: counting
            .iter()
            .filter(|(_, one, enabled)| *enabled && !blocked(*one))
            .map(|(_, one, _)| *one)
            .collect(),
        disabled: counting.iter().any(|(_, _, enabled)| !enabled),
    }
}

async fn decided(settings: &[Setting; 5], order: &[usize]) -> Result<(), TestCaseError> {
    let (all, leaf) = certificates();
    let world = World::new().await;
    for (one, setting) in settings.iter().enumerate() {
        if let Some(verified) = setting.uploaded {
            world.upload(NAMES[one], &all[one], verified).await;
        }
        if let Some(enabled) = setting.group {
            let status = if enabled {
                ProvisioningStatus::Enabled
            } else {
                ProvisioningStatus::Disabled
            };
            world.group(NAMES[one], &all[one], status).await;
        }
    }
    let mut chain = vec![leaf];
    chain.extend(
        order
            .iter()
            .filter(|one| settings[**one].presented)
            .map(|one| &all[*one]),
    );
    let expected = expected(settings);
    // Twice, so that what was remembered is tried too.
    for _ in 0..2 {
        match world.register("leaf", &chain).await {
            Ok(operation) if operation.refusal == Some(ReasonCode::GroupDisabled) => {
                prop_assert!(expected.disabled, "disabled, but {:?}", expected);
            }
            Ok(operation) => {
                let group = operation.state.group.map(|group| group.to_string());
                let names: Vec<String> = expected
                    .admitting
                    .iter()
                    .map(|one| NAMES[*one].to_owned())
                    .collect();
                prop_assert!(
                    group.as_ref().is_some_and(|group| names.contains(group)),
                    "admitted by {:?}, but {:?}",
                    group,
                    names
                );
            }
            Err(error) => {
                prop_assert!(
                    expected.admitting.is_empty() && !expected.disabled,
                    "refused ({:?}), but {:?}",
                    error.reason(),
                    expected
                );
                prop_assert!(world.store.state("leaf").is_none());
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decisions_follow_the_rules_on_every_random_estate(
        settings in proptest::array::uniform5(setting()),
        order in Just(vec![A, B, C, TWIN, D]).prop_shuffle(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(decided(&settings, &order))?;
    }
}
