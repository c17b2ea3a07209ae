//! Egress proxies: what the application's variables say about them holds for the sidecar too, and
//! must not stand between the two.

use serde_json::{Value, json};

use super::draft::{Draft, Seat};
use super::json::{text, variable};

/// The variables that name a proxy, and those that make exceptions, lower case first as most clients
/// read them.
const PROXIES: [&str; 6] =
    ["https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
const EXCEPTIONS: [&str; 2] = ["no_proxy", "NO_PROXY"];
/// What is asked for without a proxy.
const LOOPBACK: [&str; 2] = ["127.0.0.1", "localhost"];

/// What a container says of proxies; nothing where it names none.
pub(super) fn of_container(container: &Value) -> Vec<Value> {
    if !names_a_proxy(container) {
        return Vec::new();
    }
    let names = PROXIES.iter().chain(&EXCEPTIONS);
    let held = names.filter_map(|name| variable(container, name).map(|(_, held)| held));
    held.cloned().collect()
}

/// Has a container that uses a proxy ask loopback without it. Returns a warning where it cannot.
pub(super) fn except_loopback(draft: &mut Draft, seat: Seat) -> Option<String> {
    let container = draft.container(seat);
    if !names_a_proxy(container) {
        return None;
    }
    let held: Vec<(usize, Value)> = EXCEPTIONS
        .iter()
        .filter_map(|name| variable(container, name))
        .map(|(index, held)| (index, held.clone()))
        .collect();
    if held.is_empty() {
        for name in EXCEPTIONS {
            let item = json!({"name": name, "value": LOOPBACK.join(",")});
            draft.add_to_container(seat, "env", "name", item);
        }
    }
    let mut warning = None;
    for (index, variable) in held {
        if variable.get("valueFrom").is_some() {
            let name = text(&variable, "name");
            warning =
                Some(format!("cannot add 127.0.0.1 to its {name}, which comes from elsewhere"));
        } else if let Some(value) = joined(text(&variable, "value")) {
            draft.set_variable(seat, index, &value);
        }
    }
    warning
}

/// The exceptions with loopback among them; `None` where it is already.
fn joined(exceptions: &str) -> Option<String> {
    let held: Vec<&str> = exceptions.split(',').map(str::trim).collect();
    if held.contains(&"*") {
        return None;
    }
    let missing: Vec<&str> = LOOPBACK.into_iter().filter(|it| !held.contains(it)).collect();
    if missing.is_empty() {
        return None;
    }
    let kept = exceptions.trim_end_matches([',', ' ']);
    let all = (!kept.is_empty()).then_some(kept).into_iter().chain(missing);
    Some(all.collect::<Vec<_>>().join(","))
}

fn names_a_proxy(container: &Value) -> bool {
    PROXIES.iter().any(|name| variable(container, name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_joins_the_exceptions_once() {
        assert_eq!(joined("").as_deref(), Some("127.0.0.1,localhost"));
        assert_eq!(
            joined("10.0.0.0/8,.svc,").as_deref(),
            Some("10.0.0.0/8,.svc,127.0.0.1,localhost")
        );
        assert_eq!(joined("localhost, 10.0.0.1").as_deref(), Some("localhost, 10.0.0.1,127.0.0.1"));
        for done in ["*", "a,*", "127.0.0.1,localhost", "localhost,x, 127.0.0.1"] {
            assert_eq!(joined(done), None, "{done}");
        }
    }
}
