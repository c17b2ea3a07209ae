//! Reports as CSV (RFC 4180): columns are added at the end only.

use super::{Outcome, Report, Row};
use crate::simulator::basin::policy::Shed;

const COLUMNS: &str = "policy,scope,name,offered,served,shed,served_ratio,tokens,wait_p50_ms,\
                       wait_p99_ms,wait_max_ms,upstream_429,of_optimum,jain,stranded,leak";

pub(super) fn write(report: &Report) -> String {
    let mut text = COLUMNS.to_owned();
    for why in Shed::ALL {
        text.push_str(",shed_");
        text.push_str(why.as_str());
    }
    text.push_str("\r\n");
    for outcome in &report.policies {
        rows(outcome, &mut text);
    }
    text
}

fn rows(outcome: &Outcome, text: &mut String) {
    let leak = outcome.leak.map_or_else(String::new, |leak| leak.to_string());
    let whole = format!(
        "{},{},{},{},{leak}",
        outcome.upstream_429, outcome.of_optimum, outcome.jain, outcome.stranded
    );
    row(outcome, ("total", ""), &outcome.total, &whole, text);
    let scopes = [("model", &outcome.models), ("caller", &outcome.callers)];
    for (scope, named) in scopes {
        for (name, own) in named {
            row(outcome, (scope, name), own, ",,,,", text);
        }
    }
    for (name, own) in &outcome.priorities {
        row(outcome, ("priority", name), own, ",,,,", text);
    }
}

fn row(outcome: &Outcome, (scope, name): (&str, &str), row: &Row, whole: &str, text: &mut String) {
    let Row { offered, served, shed, served_ratio, tokens, .. } = row;
    let waits = [row.wait_p50_ms, row.wait_p99_ms, row.wait_max_ms].map(|wait| wait.to_string());
    let name = quoted(name);
    let policy = outcome.policy;
    text.extend([format!(
        "{policy},{scope},{name},{offered},{served},{shed},{served_ratio},{tokens},{},{whole}",
        waits.join(",")
    )]);
    for why in Shed::ALL {
        let count = row.shed_reasons.get(why.as_str()).copied().unwrap_or(0);
        text.extend([format!(",{count}")]);
    }
    text.push_str("\r\n");
}

fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}
