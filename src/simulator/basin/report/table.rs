//! Reports for people.

use std::time::Duration;

use super::{LimitUse, OneMoreKey, Outcome, Report, Row};

pub(super) fn write(report: &Report) -> String {
    let mut text = String::new();
    let first = report.policies.first();
    let offered = first.map_or(0, |outcome| outcome.total.offered);
    let sidecars = if report.sidecars == 1 { "sidecar" } else { "sidecars" };
    text.extend([format!(
        "{offered} requests in {}, {} {sidecars}, seed {}\n\n",
        span(Duration::from_secs_f64(report.duration_seconds)),
        report.sidecars,
        report.seed,
    )]);
    text.push_str(&policies(&report.policies));
    if let Some(outcome) = first {
        text.push_str(&parts(outcome));
        text.push_str(&shed_by(outcome));
        text.push_str(&limits(&outcome.limits));
    }
    text.push_str(&one_more_key(&report.one_more_key));
    text
}

fn policies(outcomes: &[Outcome]) -> String {
    let mut lines = vec![cells([
        "policy",
        "served",
        "shed",
        "leak",
        "upstream 429",
        "wait p50",
        "p99",
        "of optimum",
        "fairness",
        "stranded",
    ])];
    for outcome in outcomes {
        let Row { offered, shed, .. } = outcome.total;
        lines.push(vec![
            outcome.policy.to_owned(),
            percent(outcome.total.served_ratio),
            percent(super::ratio(shed, offered)),
            outcome.leak.map_or_else(|| "-".to_owned(), percent),
            percent(outcome.upstream_429),
            wait(outcome.total.wait_p50_ms),
            wait(outcome.total.wait_p99_ms),
            percent(outcome.of_optimum),
            format!("{:.2}", outcome.jain),
            percent(outcome.stranded),
        ]);
    }
    aligned(&lines)
}

/// By model, caller and class, where there is more than one.
fn parts(outcome: &Outcome) -> String {
    let mut lines = Vec::new();
    let named = |label: &str, rows: Vec<(&str, &Row)>, lines: &mut Vec<Vec<String>>| {
        if rows.len() > 1 {
            lines.extend(rows.into_iter().map(|(name, row)| part(label, name, row)));
        }
    };
    let models = outcome.models.iter().map(|(name, row)| (name.as_str(), row)).collect();
    let callers = outcome.callers.iter().map(|(name, row)| (name.as_str(), row)).collect();
    let classes = outcome.priorities.iter().map(|(name, row)| (*name, row)).collect();
    named("model", models, &mut lines);
    named("caller", callers, &mut lines);
    named("priority", classes, &mut lines);
    if lines.is_empty() {
        return String::new();
    }
    lines.insert(0, cells(["of them", "", "offered", "served", "shed", "wait p50", "p99"]));
    format!("\n{}", aligned(&lines))
}

fn part(label: &str, name: &str, row: &Row) -> Vec<String> {
    vec![
        label.to_owned(),
        name.to_owned(),
        row.offered.to_string(),
        percent(row.served_ratio),
        row.shed.to_string(),
        wait(row.wait_p50_ms),
        wait(row.wait_p99_ms),
    ]
}

fn shed_by(outcome: &Outcome) -> String {
    if outcome.shed_by.is_empty() {
        return "\nNothing was shed.\n".to_owned();
    }
    let mut sheds: Vec<_> = outcome.shed_by.iter().collect();
    sheds.sort_by(|one, other| other.1.cmp(one.1).then(one.0.cmp(other.0)));
    let mut lines = vec![cells(["what bound those that were shed", "requests"])];
    lines.extend(sheds.into_iter().map(|(name, count)| vec![name.clone(), count.to_string()]));
    format!("\n{}", aligned(&lines))
}

/// Accounts of one provider that are alike would fill pages: of each limit the fullest is shown.
fn limits(uses: &[LimitUse]) -> String {
    let mut shown: Vec<(&LimitUse, usize)> = Vec::new();
    for one in uses {
        let same = |it: &LimitUse| {
            (&it.provider, &it.model, it.limit) == (&one.provider, &one.model, one.limit)
        };
        match shown.iter_mut().find(|(held, _)| same(held)) {
            Some((held, count)) => {
                *count += 1;
                if one.used_ratio > held.used_ratio {
                    *held = one;
                }
            }
            None => shown.push((one, 1)),
        }
    }
    if shown.is_empty() {
        return "\nNo limit is known: give `limits`, or every request passes.\n".to_owned();
    }
    let mut lines = vec![cells(["limit", "", "", "quota groups", "fullest", "used"])];
    lines.extend(shown.into_iter().map(|(one, count)| {
        vec![
            one.provider.clone(),
            one.model.clone(),
            one.limit.to_owned(),
            count.to_string(),
            one.quota_group.clone(),
            percent(one.used_ratio),
        ]
    }));
    format!("\n{}", aligned(&lines))
}

fn one_more_key(changes: &[OneMoreKey]) -> String {
    if changes.is_empty() {
        return String::new();
    }
    let mut lines =
        vec![cells(["one more key at", "served in addition", "shed then", "p99 shorter by"])];
    lines.extend(changes.iter().map(|change| {
        vec![
            change.provider.clone(),
            change.served_more.to_string(),
            percent(change.shed_ratio),
            wait(change.wait_p99_shorter_ms),
        ]
    }));
    format!("\n{}", aligned(&lines))
}

fn cells<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).into()
}

/// Columns as wide as they need to be: words to the left, figures to the right.
fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |line: &Vec<String>, at: usize| line.get(at).map_or("", |it| it).to_owned();
    let width = |at| lines.iter().map(|it| cell(it, at).chars().count()).max().unwrap_or(0);
    let is_figure = |at: usize| {
        lines.iter().skip(1).all(|line| {
            let text = cell(line, at);
            text == "-" || text.starts_with(|c: char| c.is_ascii_digit() || c == '-')
        })
    };
    let shape: Vec<(usize, bool)> = (0..columns).map(|at| (width(at), is_figure(at))).collect();
    let mut text = String::new();
    for line in lines {
        let mut row = String::new();
        for (at, (width, figure)) in shape.iter().enumerate() {
            let (own, width) = (cell(line, at), *width);
            let own = if *figure { format!("{own:>width$}") } else { format!("{own:<width$}") };
            row.push_str(&own);
            row.push_str("  ");
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

fn percent(ratio: f64) -> String {
    let percent = ratio * 100.0;
    // Less than a hundredth is told as nothing.
    if (0.005..1.0).contains(&percent.abs()) {
        format!("{percent:.2} %")
    } else {
        format!("{percent:.1} %")
    }
}

fn wait(millis: f64) -> String {
    match millis {
        ..1_000.0 => format!("{millis:.0} ms"),
        ..60_000.0 => format!("{:.1} s", millis / 1_000.0),
        _ => format!("{:.1} min", millis / 60_000.0),
    }
}

fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3_600 % 24, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    let text: String =
        parts.flat_map(|(count, unit)| [count.to_string(), unit.to_owned()]).collect();
    if text.is_empty() { "no time".to_owned() } else { text }
}
