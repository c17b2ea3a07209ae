//! What `docs/simulation.md` holds to is held to here, on shorter runs of one seed and with margins.

use std::time::Duration;

use crate::study::{Measured, Section, Situation, measure, missed, situations};

/// Long enough for a fault after five minutes, and what is learned of it.
const LENGTH: Duration = Duration::from_mins(7);
/// One seed of a shorter run is less even than the mean of three: twice the target is allowed.
const SLACK: f64 = 2.0;

fn hold(section: Section, sidecars: &[u32]) {
    let mut broken = String::new();
    let mine = |it: &&Situation| it.section == section && sidecars.contains(&it.sidecars);
    for situation in situations().iter().filter(mine).filter(|it| it.reason.is_empty()) {
        let result = measure(situation, &[7], LENGTH);
        let missed = missed(&situation.target, &result, SLACK);
        if !missed.is_empty() || result.keyweir.inversions > 0 {
            let Measured { .. } = result.keyweir;
            broken.extend([format!(
                "{} with {} sidecars misses {}: {:#?}\n",
                situation.name,
                situation.sidecars,
                missed.join(", "),
                result
            )]);
        }
    }
    assert!(broken.is_empty(), "{broken}");
}

#[test]
fn nothing_leaks_while_demand_fits() {
    hold(Section::Fits, &[1, 20]);
}

#[test]
fn beyond_capacity_nearly_all_of_it_is_used_and_next_to_nothing_is_refused_upstream() {
    hold(Section::Overload, &[1, 20]);
}

#[test]
fn what_goes_wrong_is_survived() {
    hold(Section::Faults, &[5]);
}

#[test]
fn shallow_buckets_are_enough_while_all_sidecars_fit_into_half_of_one() {
    hold(Section::Shallow, &[5, 20]);
}

#[test]
fn a_plain_queue_gated_by_headers_does_worse_with_many_sidecars_and_where_rejections_count() {
    for situation in situations().iter().filter(|it| it.section == Section::Overload) {
        if situation.sidecars < 20 {
            continue;
        }
        let result = measure(situation, &[7], LENGTH);
        let (ours, plain) = (result.keyweir, result.headers);
        let told = format!("{}, {} sidecars: {result:#?}", situation.name, situation.sidecars);
        assert!(ours.upstream_429 * 3.0 < plain.upstream_429, "{told}");
        // A plain queue sends more than there is, and some of it gets through.
        assert!(ours.leak <= plain.leak, "{told}");
        assert!(ours.of_optimum > plain.of_optimum - 0.03, "{told}");
    }
}
