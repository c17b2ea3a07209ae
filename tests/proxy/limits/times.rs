//! Limits that hold at certain times, and end.

use super::{proxy, statuses};
use crate::kit;

#[test]
fn a_limit_that_has_ended_binds_nobody_and_says_so() {
    let upstream = kit::healthy_provider();
    let proxy =
        proxy(&upstream, "  default: {limits: {requestsPerDay: 1, until: 2020-01-01T00:00:00Z}}");
    assert_eq!(statuses(&proxy, &[], 3), [200; 3]);
    proxy.log_line(&["A limit has ended", "callers.default.limits[0].until"]);
    let warnings = kit::status(&proxy)["warnings"].to_string();
    assert!(warnings.contains("ended on 2020-01-01T00:00:00Z"), "{warnings}");
}

#[test]
fn a_limit_with_a_schedule_holds_at_its_hours() {
    let upstream = kit::healthy_provider();
    // Somewhere on earth it is always in these hours, and somewhere else it never is: with eleven
    // hours' difference at least one of two places is outside of any ten.
    let proxy = proxy(
        &upstream,
        "  rules:
    - name: always
      match: {header: {x-team: always}}
      limits: {requestsPerDay: 1, schedule: {days: [mon-sun]}}
    - name: here
      match: {header: {x-team: here}}
      limits: {requestsPerDay: 1, schedule: {hours: 0-12, timeZone: Etc/GMT}}
    - name: there
      match: {header: {x-team: there}}
      limits: {requestsPerDay: 1, schedule: {hours: 0-12, timeZone: Etc/GMT-12}}",
    );
    assert_eq!(statuses(&proxy, &[("x-team", "always")], 2), [200, 429]);
    let refused = |team| usize::from(statuses(&proxy, &[("x-team", team)], 2) == [200, 429]);
    assert_eq!(refused("here") + refused("there"), 1, "half a day apart, it is one or the other");
}
