//! The porter: who asks, and what they may.
//!
//! Pure: headers in, terms out.

mod accounts;
pub mod gate;

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::formats::{EndpointKind, Pattern};
use crate::limits::Clause;

pub use accounts::{Accounts, Asked, Key, MOST_ACCOUNTS, Reservation, Scope, Warning};
pub use gate::Gate;

/// Who may ask for what: the rules, and what holds where none matches.
#[derive(Clone, Debug, Default)]
pub struct Callers {
    /// What holds where no rule says otherwise.
    pub default: Caller,
    /// The rules; the first that matches holds.
    pub rules: Vec<Caller>,
}

/// One caller's rule.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Its name: its metric label.
    pub name: Box<str>,
    /// Whom it is for.
    pub matches: Match,
    /// For whom its limits are counted apart.
    pub per: Per,
    /// What it may use.
    pub limits: Vec<Clause>,
    /// The most input tokens of one request.
    pub max_input: Option<u64>,
    /// The most output tokens of one request.
    pub max_output: Option<u64>,
    /// The class its requests wait in.
    pub priority: Priority,
    /// The highest class a request may ask for.
    pub max_priority: Priority,
    /// How long a request waits for capacity, and the longest it may ask for.
    pub max_wait: Duration,
    /// Models it may use; empty for any.
    pub models: Vec<Pattern>,
    /// The largest body it may send, in bytes, where smaller than the server's.
    pub max_body: Option<u64>,
}

/// Whom a rule is for: all that is written must hold.
#[derive(Clone, Debug, Default)]
pub struct Match {
    /// Headers that must all be there with exactly that value.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Model names, one of which must be asked for; empty for any.
    pub models: Vec<Pattern>,
    /// Kinds of requests, of which it must be one; empty for any.
    pub endpoints: Vec<EndpointKind>,
}

/// For whom limits are counted apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Per {
    /// Each caller.
    #[default]
    Caller,
    /// Each user of a caller.
    User,
    /// Each model that a caller asks for.
    Model,
}

/// A request, as far as rules look at it.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// What it asks for.
    pub kind: EndpointKind,
    /// The model name it asks for; `None` where it names none, or is not read yet.
    pub model: Option<&'a str>,
}

/// The class a request waits in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Priority {
    /// Served when nothing else waits.
    Batch,
    /// The usual.
    #[default]
    Normal,
    /// Served first.
    High,
}

/// What a request was granted: its rule's terms, within which its own headers choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The class it waits in.
    pub priority: Priority,
    /// How long it waits for capacity.
    pub max_wait: Duration,
}

/// What a request asks for itself.
static PRIORITY: HeaderName = HeaderName::from_static("x-keyweir-priority");
static MAX_WAIT: HeaderName = HeaderName::from_static("x-keyweir-max-wait");
/// How long a client says that it waits, in seconds.
static PATIENCE: [HeaderName; 3] = [
    HeaderName::from_static("x-stainless-timeout"),
    HeaderName::from_static("x-stainless-read-timeout"),
    HeaderName::from_static("x-server-timeout"),
];

impl Callers {
    /// The rule that holds for such a request, with its place: 0 is the default's, the first rule's
    /// is 1.
    pub fn identify(&self, seen: &Seen<'_>) -> (usize, &Caller) {
        let found = self.rules.iter().enumerate().find(|(_, rule)| rule.matches.holds(seen));
        found.map_or((0, &self.default), |(at, rule)| (at + 1, rule))
    }

    /// Whether some rule looks at more than headers, so that it takes a request's path and body to
    /// tell who asks.
    pub fn look_inside(&self) -> bool {
        let rules = self.rules.iter();
        rules.map(|rule| &rule.matches).any(|it| !it.models.is_empty() || !it.endpoints.is_empty())
    }

    /// The largest body that whoever sends such a request may send, be its model what it may.
    pub fn max_body(&self, seen: &Seen<'_>) -> u64 {
        let mut most = 0;
        let likely = self.rules.iter().filter(|rule| rule.matches.may_hold(seen));
        for rule in likely.chain([&self.default]) {
            most = rule.max_body.unwrap_or(u64::MAX).max(most);
            if rule.matches.models.is_empty() {
                break;
            }
        }
        most
    }

    /// Every rule, in the order of the places that [`Self::identify`] gives.
    pub fn all(&self) -> impl Iterator<Item = &Caller> {
        std::iter::once(&self.default).chain(&self.rules)
    }
}

impl Caller {
    /// Whether it may use that model name.
    pub fn may_use(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|pattern| pattern.matches(model))
    }

    /// What a request with these headers is granted.
    ///
    /// `x-keyweir-priority` and `x-keyweir-max-wait` may lower what the rule gives, or raise the
    /// class up to `max_priority`. A client that says when it stops waiting (`x-stainless-timeout`,
    /// `x-stainless-read-timeout` and `x-server-timeout`, in seconds) is kept for nine tenths of
    /// that at most: an answer that is begun at the last moment, or a refusal, must still find it
    /// there.
    pub fn terms(&self, headers: &HeaderMap) -> Terms {
        let asked = text(headers, &PRIORITY).and_then(Priority::named);
        let priority = asked.map_or(self.priority, |asked| asked.min(self.max_priority));
        let asked = text(headers, &MAX_WAIT).and_then(wait);
        let patience = PATIENCE.iter().filter_map(|name| seconds(text(headers, name)?));
        let patience = patience.map(|patience| patience.saturating_sub(patience / 10));
        let max_wait = asked.into_iter().chain(patience).fold(self.max_wait, Duration::min);
        Terms { priority, max_wait }
    }
}

impl Match {
    fn holds(&self, seen: &Seen<'_>) -> bool {
        let named = |model| self.models.iter().any(|pattern| pattern.matches(model));
        self.may_hold(seen) && (self.models.is_empty() || seen.model.is_some_and(named))
    }

    /// Whether it holds if the model is right.
    fn may_hold(&self, seen: &Seen<'_>) -> bool {
        self.headers.iter().all(|(name, value)| seen.headers.get(name) == Some(value))
            && (self.endpoints.is_empty() || self.endpoints.contains(&seen.kind))
    }
}

impl Default for Caller {
    /// Thirty seconds is half of what the most impatient official SDKs wait.
    fn default() -> Self {
        Self {
            name: "default".into(),
            matches: Match::default(),
            per: Per::Caller,
            limits: Vec::new(),
            max_input: None,
            max_output: None,
            priority: Priority::Normal,
            max_priority: Priority::High,
            max_wait: Duration::from_secs(30),
            models: Vec::new(),
            max_body: None,
        }
    }
}

impl Priority {
    /// Every class, lowest first.
    pub const ALL: [Self; 3] = [Self::Batch, Self::Normal, Self::High];

    /// The word for it in configuration, headers and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    /// The class of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// `250ms`, `5s`, `2m`; a bare number is seconds.
fn wait(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(unit_at)?;
    let scale = match unit.trim() {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.trim().parse::<f64>().ok()? * scale).ok()
}

/// A positive number of seconds: SDKs write 0 for "no timeout".
fn seconds(text: &str) -> Option<Duration> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| *seconds > 0.0)?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs.map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    fn seen<'a>(headers: &'a HeaderMap, model: Option<&'a str>) -> Seen<'a> {
        Seen { headers, kind: EndpointKind::Chat, model }
    }

    fn rule(name: &str, team: &'static str) -> Caller {
        let team = (HeaderName::from_static("x-team"), HeaderValue::from_static(team));
        let matches = Match { headers: vec![team], ..Match::default() };
        Caller { name: name.into(), matches, ..Caller::default() }
    }

    #[test]
    fn the_first_rule_whose_headers_all_match_holds() {
        let callers =
            Callers { rules: vec![rule("a", "red"), rule("b", "blue")], ..Callers::default() };
        let name = |pairs: &[(&'static str, &'static str)]| {
            let (place, caller) = callers.identify(&seen(&headers(pairs), None));
            (place, caller.name.to_string())
        };
        assert_eq!(name(&[("x-team", "blue")]), (2, "b".to_owned()));
        assert_eq!(name(&[("x-team", "green")]), (0, "default".to_owned()));
        assert_eq!(name(&[]), (0, "default".to_owned()));
        assert!(!callers.look_inside());
    }

    #[test]
    fn a_rule_may_be_for_some_models_and_some_kinds_of_requests() {
        let narrow = |models: &[&str], endpoints: &[EndpointKind], max_body| {
            let of = |name: &&str| Pattern { text: (*name).into(), open: false };
            let matches = Match {
                headers: Vec::new(),
                models: models.iter().map(of).collect(),
                endpoints: endpoints.to_vec(),
            };
            Caller { matches, max_body: Some(max_body), ..Caller::default() }
        };
        let rules = vec![
            narrow(&["big"], &[], 900),
            narrow(&[], &[EndpointKind::Embeddings], 5_000),
            narrow(&["small"], &[EndpointKind::Chat], 100),
        ];
        let default = Caller { max_body: Some(300), ..Caller::default() };
        let callers = Callers { default, rules };
        let none = HeaderMap::new();
        let place = |kind, model| callers.identify(&Seen { headers: &none, kind, model }).0;
        assert!(callers.look_inside());
        assert_eq!(place(EndpointKind::Chat, Some("big")), 1);
        assert_eq!(place(EndpointKind::Embeddings, Some("small")), 2);
        assert_eq!(place(EndpointKind::Chat, Some("small")), 3);
        assert_eq!(place(EndpointKind::Chat, Some("other")), 0);
        assert_eq!(place(EndpointKind::Chat, None), 0, "who names no model is not asked about one");
        let most = |kind| callers.max_body(&Seen { headers: &none, kind, model: None });
        assert_eq!(most(EndpointKind::Chat), 900, "until the model is known");
        assert_eq!(most(EndpointKind::Embeddings), 5_000);
    }

    #[test]
    fn a_request_may_ask_for_less_and_for_no_more_than_its_rule_grants() {
        let caller = Caller { max_priority: Priority::Normal, ..Caller::default() };
        let terms = |pairs: &[(&'static str, &'static str)]| caller.terms(&headers(pairs));
        assert_eq!(terms(&[("x-keyweir-priority", "high")]).priority, Priority::Normal);
        assert_eq!(terms(&[("x-keyweir-priority", "batch")]).priority, Priority::Batch);
        assert_eq!(terms(&[("x-keyweir-priority", "urgent")]).priority, Priority::Normal);
        assert_eq!(terms(&[("x-keyweir-max-wait", "250ms")]).max_wait, Duration::from_millis(250));
        assert_eq!(terms(&[("x-keyweir-max-wait", "2h")]).max_wait, Duration::from_secs(30));
        for nonsense in ["", "s", "-3s", "5 parsecs", "NaN", "1e400s", "é"] {
            let value = HeaderValue::from_bytes(nonsense.as_bytes()).unwrap();
            let mut map = HeaderMap::new();
            map.insert("x-keyweir-max-wait", value);
            assert_eq!(caller.terms(&map).max_wait, Duration::from_secs(30), "{nonsense}");
        }
    }

    #[test]
    fn a_client_is_not_kept_longer_than_it_says_it_waits() {
        let terms = Caller::default().terms(&headers(&[("x-stainless-timeout", "20")]));
        assert_eq!(terms.max_wait, Duration::from_secs(18), "and hears of it in time");
        let terms = Caller::default().terms(&headers(&[("x-server-timeout", "0")]));
        assert_eq!(terms.max_wait, Duration::from_secs(30), "0 is no timeout");
    }
}
