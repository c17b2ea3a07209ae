use jiff::Timestamp;

use super::*;
use crate::admin::status::*;

const EVIL: &str = "<script>alert('x')</script>\"&";

fn when(offset: i64) -> When {
    Timestamp::from_second(1_785_578_400 + offset).unwrap().into()
}

/// A proxy on a bad day: one of everything.
fn busy() -> Status {
    Status {
        version: "0.1.0".into(),
        now: when(0),
        uptime_seconds: 93_784,
        ready: true,
        unready_reason: None,
        generation: 7,
        config: ConfigStatus {
            state: ConfigState::Refused,
            message: Some(
                "keyweir.yaml:12:7: providers.openai.limts: unknown field, did you mean `limits`?\n\
                 keyweir.yaml:31:15: models.chat.targets[1]: no provider is named `antropic`"
                    .into(),
            ),
            since: when(-5_400),
            sources: vec!["/etc/keyweir/keyweir.yaml".into()],
        },
        replicas_assumed: 3,
        mode: Mode::Observe,
        callers: vec![nightly()],
        providers: vec![openai(), anthropic(), local()],
        missing: vec!["openai-eu: no such Secret is mounted; create it, or roll the pod".into()],
        warnings: vec!["openai-keys/spare is the same key as `openai-keys/main-1`".into()],
        recent: vec![
            event(-3, EventKind::Refusal, "keys_temporarily_exhausted: openai gpt-4o, free in 12 s"),
            event(-40, EventKind::Key, "openai/main-2 was refused twice (invalid_api_key)"),
            event(-310, EventKind::ReloadRefused, "2 mistakes in keyweir.yaml"),
            event(-5_400, EventKind::Reload, "Secret openai-keys changed: 1 key new, 1 leaving"),
        ],
    }
}

fn openai() -> ProviderStatus {
    let state = |name: &str, state| KeyStatus {
        name: name.into(),
        quota_group: "main".into(),
        weight: 1,
        state,
        since: Some(when(-61)),
        ..KeyStatus::default()
    };
    let keys = vec![
        state("main-1", KeyState::Healthy),
        KeyStatus {
            reason_code: Some("invalid_api_key".into()),
            ..state("main-2", KeyState::Disabled)
        },
        KeyStatus {
            forbidden_models: vec!["o3".into()],
            weight: 2,
            ..state("eu-1", KeyState::Resting)
        },
        state("old", KeyState::Leaving),
    ];
    let limits = vec![
        limit("gpt-4o", ("requests", 60), (Some(500), None), 0.83),
        limit("gpt-4o", ("tokens", 60), (Some(2_000_000), Some(1_800_000)), 0.12),
        limit("gpt-4o-mini", ("tokens", 86_400), (None, Some(20_000_000)), -0.04),
        limit("", ("concurrency", 0), (Some(64), None), 0.5),
    ];
    let open =
        BreakerStatus { model: "gpt-4o".into(), state: BreakerState::Open, until: Some(when(4)) };
    let held = QuotaGroupStatus {
        name: "main".into(),
        state: QuotaGroupState::Held,
        until: Some(when(12)),
        reason_code: Some("rate_limit_exceeded".into()),
        limits,
        breakers: vec![open, BreakerStatus::default()],
    };
    let queue_depth = 17;
    let (name, wire, base_host) = ("openai".into(), "openai".into(), "api.openai.com".into());
    ProviderStatus { name, wire, base_host, keys, quota_groups: vec![held], queue_depth }
}

fn anthropic() -> ProviderStatus {
    let key = KeyStatus {
        name: "prod".into(),
        quota_group: "prod".into(),
        weight: 1,
        ..Default::default()
    };
    let group = QuotaGroupStatus {
        name: "prod".into(),
        limits: vec![limit("claude-sonnet-4-5", ("input_tokens", 60), (None, Some(450_000)), 0.64)],
        ..QuotaGroupStatus::default()
    };
    ProviderStatus {
        name: "anthropic".into(),
        wire: "anthropic".into(),
        base_host: "api.anthropic.com".into(),
        keys: vec![key],
        quota_groups: vec![group],
        queue_depth: 0,
    }
}

fn local() -> ProviderStatus {
    let (name, wire, base_host) = ("local".into(), "openai".into(), "vllm.models:8000".into());
    ProviderStatus { name, wire, base_host, ..ProviderStatus::default() }
}

fn nightly() -> CallerStatus {
    let cost = LimitStatus {
        exhausted_in_seconds: Some(5_400.0),
        replicas: 3,
        ..limit("", ("costPerMonth", 2_592_000), (Some(300_000_000), None), 0.1)
    };
    CallerStatus {
        name: "nightly-batch".into(),
        per: "user".into(),
        accounts: 12,
        queue_depth: 4,
        limits: vec![cost],
    }
}

fn limit(
    model: &str,
    (limit, window_seconds): (&str, u64),
    (configured, learned): (Option<u64>, Option<u64>),
    level_ratio: f64,
) -> LimitStatus {
    let (model, limit) = (model.into(), limit.into());
    let used_ratio = 1.0 - level_ratio;
    LimitStatus {
        model,
        limit,
        window_seconds,
        configured,
        learned,
        level_ratio,
        used_ratio,
        ..LimitStatus::default()
    }
}

fn event(offset: i64, kind: EventKind, message: &str) -> Event {
    Event { at: when(offset), kind, message: message.into() }
}

#[test]
fn the_page_says_what_the_status_says() {
    let page = Page(&busy()).to_string();
    for said in [
        ">ready<",
        "up <b>1 d 2 h</b>",
        "in force for <b>1 h 30 min</b>",
        "healthy keys <b>1 of 4</b>",
        "waiting <b>17</b>",
        "did you mean `limits`?",
        "no such Secret is mounted",
        "invalid_api_key",
        "not for o3",
        ">1\u{202f}800\u{202f}000 learned<",
        "input tokens in 1 min",
        "tokens in 1 d",
        "<rect width=\"83.0\"",
        "<rect width=\"0.0\"",
        ">-4 %<",
        ">held</span><td>12 s<",
        "observing: no limit is enforced",
        "<h2>nightly-batch</h2>",
        "counted apart for each <b>user</b>",
        "of them seen <b>12</b>",
        "<td>1 h 30 min<",
        ">open</span><td class=\"wide\">4 s",
        "2 mistakes in keyweir.yaml",
    ] {
        assert!(page.contains(said), "{said}");
    }
    assert!(!page.contains(">closed<"), "closed breakers are no news");
}

#[test]
fn the_page_of_an_empty_status_is_whole() {
    let page = Page(&Status::default()).to_string();
    assert!(page.contains("No provider is configured"));
    assert!(page.contains("not ready"));
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
}

#[test]
fn nothing_that_a_status_holds_is_taken_for_markup() {
    let plain = Page(&busy()).to_string();
    // Every text of the status, wherever it is, becomes hostile.
    let mut json = serde_json::to_value(busy()).unwrap();
    let poisoned = poison(&mut json);
    assert!(poisoned > 40, "{poisoned}");
    let page = Page(&serde_json::from_value(json).unwrap()).to_string();
    assert!(!page.contains("alert('x')") && !page.contains("<script>alert"));
    assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;"));
    let tags = |page: &str| page.matches('<').count();
    assert_eq!(tags(&page), tags(&plain), "no tag more than before");
}

/// Appends the hostile text to every string that is not a state or a time.
fn poison(value: &mut serde_json::Value) -> usize {
    use serde_json::Value;
    match value {
        Value::String(text) => {
            text.push_str(EVIL);
            1
        }
        Value::Array(values) => values.iter_mut().map(poison).sum(),
        Value::Object(fields) => {
            let closed = ["state", "mode", "kind", "at", "now", "since", "until"];
            let open = fields.iter_mut().filter(|(name, _)| !closed.contains(&name.as_str()));
            open.map(|(_, value)| poison(value)).sum()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

#[test]
fn escaping_touches_only_what_markup_is_made_of() {
    let escaped = |text| Escaped(text).to_string();
    assert_eq!(escaped("plain ü"), "plain ü");
    assert_eq!(escaped("<<a & 'b\">"), "&lt;&lt;a &amp; &#39;b&quot;&gt;");
    assert_eq!(escaped(""), "");
}

#[test]
fn the_policy_allows_the_pages_own_style_and_script_and_nothing_else() {
    for (tag, directive) in [("style", "style-src"), ("script", "script-src")] {
        let (_, from) = TEMPLATE.split_once(&format!("<{tag}>")).unwrap();
        let (content, rest) = from.split_once(&format!("</{tag}>")).unwrap();
        assert!(!rest.contains(&format!("<{tag}")), "there is one only");
        let allowed = format!("{directive} 'sha256-{}';", sha256(content));
        assert!(CONTENT_SECURITY_POLICY.contains(&allowed), "expected {allowed}");
    }
    let page = Page(&busy()).to_string();
    for barred in ["http:", "https:", " style=", " onclick", " src=", "href=", "url(", "@import"] {
        assert!(!page.contains(barred), "{barred}");
    }
    assert!(!CONTENT_SECURITY_POLICY.contains("unsafe"));
}

/// SHA-256 in base64, by the TLS library's own.
fn sha256(text: &str) -> String {
    let suite = rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let hash = suite.tls13().unwrap().common.hash_provider.hash(text.as_bytes());
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let coded = hash.as_ref().chunks(3).flat_map(|chunk| {
        let bits =
            (0..3).fold(0_usize, |bits, at| bits << 8 | usize::from(*chunk.get(at).unwrap_or(&0)));
        let digit = move |at| char::from(digits[bits >> (18 - 6 * at) & 63]);
        (0..4).map(move |at| if at <= chunk.len() { digit(at) } else { '=' })
    });
    coded.collect()
}
