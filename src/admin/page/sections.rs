//! The parts of the page, from top to bottom.

use std::fmt::{self, Formatter};
use std::time::Duration;

use crate::admin::status::{
    BreakerState, BreakerStatus, CallerStatus, ConfigState, Event, EventKind, KeyState, KeyStatus,
    LimitStatus, Mode, ProviderStatus, QuotaGroupState, QuotaGroupStatus, Status, When,
};

use super::Escaped;

/// A level below this is shown as low: a fifth is about what one large request takes.
const LOW: f64 = 0.2;

/// The whole of what the status says.
pub(super) fn main(f: &mut Formatter<'_>, status: &Status) -> fmt::Result {
    f.write_str("<main>\n")?;
    header(f, status)?;
    refused(f, status)?;
    notices(f, "Secrets that are not there", &status.missing)?;
    notices(f, "Warnings", &status.warnings)?;
    for provider in &status.providers {
        self::provider(f, provider, status.now)?;
    }
    callers(f, &status.callers)?;
    if status.providers.is_empty() {
        f.write_str("<section><div class=\"head\">No provider is configured.</div></section>\n")?;
    }
    recent(f, &status.recent, status.now)?;
    f.write_str("</main>\n")
}

fn header(f: &mut Formatter<'_>, status: &Status) -> fmt::Result {
    let reason = status.unready_reason.as_deref().unwrap_or("not ready");
    let (word, tone) = if status.ready { ("ready", "good") } else { (reason, "bad") };
    f.write_str("<header><h1>Keyweir</h1>")?;
    state(f, word, tone)?;
    fact(f, "version", &status.version)?;
    fact(f, "up", &span(Duration::from_secs(status.uptime_seconds)))?;
    fact(f, "generation", &status.generation.to_string())?;
    let config = match status.config.state {
        ConfigState::Defaults => "none, defaults".to_owned(),
        ConfigState::InForce | ConfigState::Refused => status.config.sources.join(", "),
    };
    fact(f, "config", &config)?;
    fact(f, "in force for", &span(status.now.since(status.config.since)))?;
    fact(f, "sidecars assumed", &status.replicas_assumed.to_string())?;
    if status.mode == Mode::Observe {
        state(f, "observing: no limit is enforced", "warn")?;
    }
    f.write_str("</header>\n")
}

fn refused(f: &mut Formatter<'_>, status: &Status) -> fmt::Result {
    if status.config.state != ConfigState::Refused {
        return Ok(());
    }
    let message = Escaped(status.config.message.as_deref().unwrap_or_default());
    writeln!(
        f,
        "<section class=\"notice refused\"><div class=\"head\"><h2>The latest configuration was \
         refused; the last good one is in force</h2></div><pre>{message}</pre></section>"
    )
}

fn notices(f: &mut Formatter<'_>, title: &str, notices: &[String]) -> fmt::Result {
    if notices.is_empty() {
        return Ok(());
    }
    write!(f, "<section class=\"notice\"><div class=\"head\"><h2>{title}</h2></div><ul>")?;
    for notice in notices {
        write!(f, "<li>{}</li>", Escaped(notice))?;
    }
    f.write_str("</ul></section>\n")
}

fn provider(f: &mut Formatter<'_>, provider: &ProviderStatus, now: When) -> fmt::Result {
    write!(f, "<section><div class=\"head\"><h2>{}</h2>", Escaped(&provider.name))?;
    fact(f, "", &provider.base_host)?;
    fact(f, "wire", &provider.wire)?;
    let healthy = provider.keys.iter().filter(|key| key.state == KeyState::Healthy).count();
    if !provider.keys.is_empty() {
        fact(f, "healthy keys", &format!("{healthy} of {}", provider.keys.len()))?;
    }
    fact(f, "waiting", &provider.queue_depth.to_string())?;
    f.write_str("</div>\n")?;
    keys(f, &provider.keys, now)?;
    quota_groups(f, &provider.quota_groups, now)?;
    limits(f, &provider.quota_groups)?;
    breakers(f, &provider.quota_groups, now)?;
    f.write_str("</section>\n")
}

fn keys(f: &mut Formatter<'_>, keys: &[KeyStatus], now: When) -> fmt::Result {
    if keys.is_empty() {
        return f.write_str("<h3>No keys</h3>\n");
    }
    let head = ["Key", "Quota group", "Weight", "State", "For", "Reason"];
    table(f, "Keys", &head, |f| {
        keys.iter().try_for_each(|key| {
            let (word, tone) = match key.state {
                KeyState::Healthy => ("healthy", "good"),
                KeyState::Resting => ("resting", "warn"),
                KeyState::Disabled => ("disabled", "bad"),
                KeyState::Leaving => ("leaving", "calm"),
            };
            let (name, group) = (Escaped(&key.name), Escaped(&key.quota_group));
            write!(f, "<tr><td>{name}<td>{group}<td class=\"number\">{}<td>", key.weight)?;
            state(f, word, tone)?;
            let since = key.since.map(|since| span(now.since(since))).unwrap_or_default();
            let reason = Escaped(key.reason_code.as_deref().unwrap_or_default());
            write!(f, "<td>{since}<td class=\"wide\">{reason}")?;
            if !key.forbidden_models.is_empty() {
                write!(f, " not for {}", Escaped(&key.forbidden_models.join(", ")))?;
            }
            f.write_str("\n")
        })
    })
}

fn quota_groups(f: &mut Formatter<'_>, groups: &[QuotaGroupStatus], now: When) -> fmt::Result {
    if groups.iter().all(|group| group.state == QuotaGroupState::Available) {
        return Ok(());
    }
    table(f, "Quota groups", &["Quota group", "State", "Free in", "Reason"], |f| {
        groups.iter().try_for_each(|group| {
            let (word, tone) = match group.state {
                QuotaGroupState::Available => ("available", "good"),
                QuotaGroupState::Held => ("held", "warn"),
                QuotaGroupState::Benched => ("benched", "bad"),
                QuotaGroupState::Off => ("off", "bad"),
            };
            write!(f, "<tr><td>{}<td>", Escaped(&group.name))?;
            state(f, word, tone)?;
            let reason = Escaped(group.reason_code.as_deref().unwrap_or_default());
            writeln!(f, "<td>{}<td class=\"wide\">{reason}", left(group.until, now))
        })
    })
}

fn limits(f: &mut Formatter<'_>, groups: &[QuotaGroupStatus]) -> fmt::Result {
    if groups.iter().all(|group| group.limits.is_empty()) {
        return Ok(());
    }
    let head = ["Quota group", "Model", "Limit", "Amount", "Free", "Used up in", ""];
    table(f, "Limits", &head, |f| {
        let all = groups.iter().flat_map(|group| group.limits.iter().map(move |it| (group, it)));
        all.clone().try_for_each(|(group, limit)| limit_row(f, &group.name, limit))
    })
}

fn callers(f: &mut Formatter<'_>, callers: &[CallerStatus]) -> fmt::Result {
    for caller in callers {
        write!(f, "<section><div class=\"head\"><h2>{}</h2>", Escaped(&caller.name))?;
        fact(f, "caller; counted apart for each", &caller.per)?;
        if caller.accounts > 1 {
            fact(f, "of them seen", &caller.accounts.to_string())?;
        }
        fact(f, "waiting", &caller.queue_depth.to_string())?;
        f.write_str("</div>\n")?;
        let head = ["Limit", "Amount", "Free", "Used up in", ""];
        table(f, "Limits", &head, |f| {
            caller.limits.iter().try_for_each(|limit| {
                f.write_str("<tr>")?;
                limit_cells(f, limit)
            })
        })?;
        f.write_str("</section>\n")?;
    }
    Ok(())
}

fn limit_row(f: &mut Formatter<'_>, group: &str, limit: &LimitStatus) -> fmt::Result {
    let model = if limit.model.is_empty() { "all" } else { &limit.model };
    write!(f, "<tr><td>{}<td>{}", Escaped(group), Escaped(model))?;
    limit_cells(f, limit)
}

fn limit_cells(f: &mut Formatter<'_>, limit: &LimitStatus) -> fmt::Result {
    let kind = limit.limit.replace('_', " ");
    let window = Duration::from_secs(limit.window_seconds);
    let per = if window.is_zero() { String::new() } else { format!(" in {}", span(window)) };
    let amount = match (limit.learned, limit.configured) {
        (Some(learned), _) => format!("{} learned", grouped(learned)),
        (None, Some(micros)) if limit.limit.starts_with("cost") => dollars(micros),
        (None, Some(configured)) => grouped(configured),
        (None, None) => "unknown".to_owned(),
    };
    let level = limit.level_ratio.clamp(0.0, 1.0) * 100.0;
    let class = match limit.level_ratio {
        ratio if ratio <= 0.0 => " empty",
        ratio if ratio < LOW => " low",
        _ => "",
    };
    let kind = Escaped(&kind);
    let soon = limit.exhausted_in_seconds.and_then(|it| Duration::try_from_secs_f64(it).ok());
    let soon = soon.map(span).unwrap_or_default();
    writeln!(
        f,
        "<td>{kind}{per}<td class=\"number\">{amount}\
         <td class=\"number\">{:.0} %<td>{soon}<td class=\"wide\"><svg class=\"level{class}\" \
         viewBox=\"0 0 100 1\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <rect width=\"{level:.1}\" height=\"1\"/></svg>",
        limit.level_ratio * 100.0
    )
}

fn breakers(f: &mut Formatter<'_>, groups: &[QuotaGroupStatus], now: When) -> fmt::Result {
    let all = groups.iter().flat_map(|group| group.breakers.iter().map(move |it| (group, it)));
    let tripped = |it: &(_, &BreakerStatus)| it.1.state != BreakerState::Closed;
    let tripped: Vec<_> = all.filter(tripped).collect();
    if tripped.is_empty() {
        return Ok(());
    }
    table(f, "Breakers", &["Quota group", "Model", "State", "Probe in"], |f| {
        tripped.iter().try_for_each(|(group, breaker)| {
            let (word, tone) = match breaker.state {
                BreakerState::Closed => ("closed", "good"),
                BreakerState::Open => ("open", "bad"),
                BreakerState::HalfOpen => ("half open", "warn"),
            };
            write!(f, "<tr><td>{}<td>{}<td>", Escaped(&group.name), Escaped(&breaker.model))?;
            state(f, word, tone)?;
            writeln!(f, "<td class=\"wide\">{}", left(breaker.until, now))
        })
    })
}

fn recent(f: &mut Formatter<'_>, events: &[Event], now: When) -> fmt::Result {
    if events.is_empty() {
        return Ok(());
    }
    f.write_str("<section><div class=\"head\"><h2>Recently</h2></div>\n")?;
    table(f, "", &["Ago", "What", ""], |f| {
        events.iter().try_for_each(|event| {
            let (word, tone) = match event.kind {
                EventKind::Refusal => ("refusal", "warn"),
                EventKind::Reload => ("reload", "good"),
                EventKind::ReloadRefused => ("reload refused", "bad"),
                EventKind::Key => ("key", "calm"),
            };
            write!(f, "<tr><td>{}<td>", span(now.since(event.at)))?;
            state(f, word, tone)?;
            writeln!(f, "<td class=\"wide\">{}", Escaped(&event.message))
        })
    })?;
    f.write_str("</section>\n")
}

/// A table with its heading; `rows` writes the body.
fn table(
    f: &mut Formatter<'_>,
    title: &str,
    head: &[&str],
    rows: impl FnOnce(&mut Formatter<'_>) -> fmt::Result,
) -> fmt::Result {
    if !title.is_empty() {
        write!(f, "<h3>{title}</h3>")?;
    }
    f.write_str("<div class=\"scroll\"><table><thead><tr>")?;
    for name in head {
        let class =
            if matches!(*name, "Weight" | "Amount" | "Free") { " class=\"number\"" } else { "" };
        write!(f, "<th scope=\"col\"{class}>{name}")?;
    }
    f.write_str("<tbody>\n")?;
    rows(f)?;
    f.write_str("</table></div>\n")
}

fn state(f: &mut Formatter<'_>, word: &str, tone: &str) -> fmt::Result {
    write!(f, "<span class=\"state {tone}\">{}</span>", Escaped(word))
}

fn fact(f: &mut Formatter<'_>, name: &str, value: &str) -> fmt::Result {
    write!(f, "<span class=\"fact\">{name} <b>{}</b></span>", Escaped(value))
}

/// The time left until `until`, if there is any.
fn left(until: Option<When>, now: When) -> String {
    until.filter(|until| *until > now).map(|until| span(until.since(now))).unwrap_or_default()
}

/// A duration in its two largest units.
fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let (large, unit, rest, small) = match seconds {
        ..60 => return format!("{seconds} s"),
        60..3600 => (minutes, "min", seconds % 60, "s"),
        3600..86_400 => (hours, "h", minutes % 60, "min"),
        86_400.. => (days, "d", hours % 24, "h"),
    };
    if rest == 0 { format!("{large} {unit}") } else { format!("{large} {unit} {rest} {small}") }
}

/// Millionths of a dollar, to the cent.
fn dollars(micros: u64) -> String {
    let cents = micros.div_ceil(10_000);
    format!("{}.{:02} $", grouped(cents / 100), cents % 100)
}

/// A number with its thousands set apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 2);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_in_their_two_largest_units() {
        let read = |seconds| span(Duration::from_secs(seconds));
        let read = [0, 59, 60, 61, 3_600, 7_260, 86_399, 90_000].map(read);
        assert_eq!(
            read,
            ["0 s", "59 s", "1 min", "1 min 1 s", "1 h", "2 h 1 min", "23 h 59 min", "1 d 1 h"]
        );
    }

    #[test]
    fn numbers_have_their_thousands_set_apart() {
        let read = [0, 999, 1_000, 2_000_000].map(grouped);
        assert_eq!(read, ["0", "999", "1\u{202f}000", "2\u{202f}000\u{202f}000"]);
        assert_eq!(dollars(1_234_567_890), "1\u{202f}234.57 $");
    }
}
