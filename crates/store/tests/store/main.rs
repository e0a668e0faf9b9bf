//! The stores under test: one battery for each port, run on every implementation, and the faults of the real one.
#![cfg(test)]

mod devices;
mod fault;
mod provisioning;
mod refusals;
mod resources;
mod retry;
mod sample;
mod subject;
mod subscriptions;

/// Runs each case on SQLite, in memory, and in memory with mischief behind a caller that repeats.
macro_rules! contract {
    ($($module:ident :: $case:ident,)*) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $case() {
                super::$module::$case(&super::subject::Subject::sqlite()).await;
            })*
        }
        mod in_memory {
            $(#[tokio::test]
            async fn $case() {
                super::$module::$case(&super::subject::Subject::memory()).await;
            })*
        }
        mod in_memory_with_mischief {
            $(#[tokio::test]
            async fn $case() {
                for seed in 0..16 {
                    super::$module::$case(&super::subject::Subject::mischief(seed)).await;
                }
            })*
        }
    };
}

contract! {
    devices::an_identity_lives_from_creation_to_deletion,
    devices::a_repeated_request_changes_nothing,
    devices::provisioning_makes_overwrites_and_repeats,
    devices::devices_are_listed_bytewise_and_counted,
    devices::trust_moves_when_a_device_is_judged_otherwise,
    devices::activity_moves_no_version,
    devices::the_stamp_of_an_identity_moves_with_every_change,
    devices::nothing_of_a_deleted_hub_shows_under_its_name,
    provisioning::enrollments_obey_the_mode_of_a_write,
    provisioning::enrollments_are_listed_in_pages,
    provisioning::a_disabled_enrollment_is_found_by_its_certificate,
    provisioning::groups_are_found_by_certificate_reference_and_kind,
    provisioning::a_registration_goes_from_assigning_to_assigned,
    provisioning::an_attempt_that_ends_at_once_keeps_the_assignment,
    provisioning::an_attempt_that_stopped_is_found_with_all_it_needs,
    provisioning::nothing_of_a_deleted_service_shows,
    refusals::a_refusal_is_found_as_it_was_kept,
    refusals::refusals_are_searched_forgotten_and_expired,
    resources::a_hub_lives_from_creation_to_deletion,
    resources::a_name_is_free_at_once_and_a_key_never_again,
    resources::a_repeated_request_answers_as_it_did,
    resources::a_service_links_hubs_that_are_there,
    resources::possession_is_proved_by_the_current_code,
    resources::changes_are_read_since_a_version,
    resources::a_group_goes_with_all_it_holds,
    resources::rows_left_behind_are_reaped_under_a_fence,
    resources::a_lease_has_one_holder_and_rising_fences,
    resources::facts_are_drawn_once,
    subscriptions::subscriptions_are_kept_replaced_and_forgotten,
    subscriptions::a_repeat_of_older_subscriptions_changes_nothing,
    subscriptions::subscriptions_move_no_version,
    subscriptions::subscriptions_go_with_their_identity,
    subscriptions::provisioning_keeps_subscriptions_unless_the_generation_changes,
    subscriptions::subscriptions_go_with_their_hub,
    subscriptions::what_nobody_has_made_has_no_subscriptions,
}
