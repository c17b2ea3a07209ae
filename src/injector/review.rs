//! What the API server asks, and what it is answered: `admission.k8s.io/v1`.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use json_patch::Patch;
use serde_json::{Value, json};

use super::json::{at, put, text};

/// The version that is spoken; there is no other since Kubernetes 1.22.
const API_VERSION: &str = "admission.k8s.io/v1";
/// How much of a warning the API server passes on, and of all together, in characters.
const LONGEST_WARNING: usize = 256;
const ALL_WARNINGS: usize = 4_096;

/// One question of the API server.
#[derive(Clone, Debug)]
pub struct Review {
    /// What the answer has to carry.
    pub uid: String,
    /// What is asked about: `Pod`, `ConfigMap`.
    pub kind: String,
    /// `CREATE`, `UPDATE`.
    pub operation: String,
    /// Where the object is to be; the object itself does not say yet.
    pub namespace: String,
    /// Whether nothing may come of it but the answer.
    pub dry_run: bool,
    /// The object as it would be stored.
    pub object: Value,
}

/// What is answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Whether the object is admitted; if not, the status code and the reason.
    pub verdict: Result<Patch, (u16, String)>,
    /// What whoever applied the object is shown.
    pub warnings: Vec<String>,
}

/// A body that is no question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoReview(&'static str);

impl Review {
    /// Reads a request's body.
    ///
    /// # Errors
    /// Where it is none that the API server sends.
    pub fn read(body: &[u8]) -> Result<Self, NoReview> {
        let mut review: Value =
            serde_json::from_slice(body).map_err(|_| NoReview("the body is not JSON"))?;
        let is_review = text(&review, "apiVersion") == API_VERSION
            && text(&review, "kind") == "AdmissionReview";
        if !is_review {
            return Err(NoReview("the body is no AdmissionReview of admission.k8s.io/v1"));
        }
        let mut request = review.get_mut("request").map(Value::take).unwrap_or_default();
        let uid = text(&request, "uid").to_owned();
        if uid.is_empty() {
            return Err(NoReview("the review has no uid"));
        }
        Ok(Self {
            uid,
            kind: text(at(&request, &["kind"]), "kind").to_owned(),
            operation: text(&request, "operation").to_owned(),
            namespace: text(&request, "namespace").to_owned(),
            dry_run: at(&request, &["dryRun"]) == true,
            object: request.get_mut("object").map(Value::take).unwrap_or_default(),
        })
    }

    /// The answer's body.
    pub fn answered(&self, answer: &Answer) -> Vec<u8> {
        let mut response = json!({"uid": self.uid, "allowed": answer.verdict.is_ok()});
        match &answer.verdict {
            Ok(patch) if patch.is_empty() => {}
            Ok(patch) => {
                let patch = serde_json::to_vec(patch).unwrap_or_default();
                put(&mut response, "patchType", "JSONPatch");
                put(&mut response, "patch", BASE64_STANDARD.encode(patch));
            }
            Err((code, message)) => {
                put(&mut response, "status", json!({"code": code, "message": message}));
            }
        }
        let warnings = bounded(&answer.warnings);
        if !warnings.is_empty() {
            put(&mut response, "warnings", warnings);
        }
        let review =
            json!({"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response});
        review.to_string().into_bytes()
    }
}

impl Answer {
    /// The object is admitted as it is.
    pub fn unchanged(warnings: Vec<String>) -> Self {
        Self { verdict: Ok(Patch::default()), warnings }
    }
}

/// What the API server would cut off is cut off here, so that what is cut is not the first.
fn bounded(warnings: &[String]) -> Vec<String> {
    let mut room = ALL_WARNINGS;
    let mut kept = Vec::new();
    for warning in warnings {
        let mut shown: String =
            format!("keyweir: {warning}").chars().take(LONGEST_WARNING).collect();
        let length = shown.chars().count();
        if length == LONGEST_WARNING {
            shown.pop();
            shown.push('…');
        }
        let Some(left) = room.checked_sub(length) else { break };
        room = left;
        kept.push(shown);
    }
    kept
}

impl fmt::Display for NoReview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for NoReview {}

#[cfg(test)]
mod tests {
    use super::*;

    fn review(object: &Value) -> Value {
        json!({
            "apiVersion": API_VERSION,
            "kind": "AdmissionReview",
            "request": {
                "uid": "u-1",
                "kind": {"group": "", "version": "v1", "kind": "Pod"},
                "operation": "CREATE",
                "namespace": "shop",
                "dryRun": true,
                "object": object,
            },
        })
    }

    fn answered(answer: &Answer) -> Value {
        let body = review(&json!({})).to_string();
        let review = Review::read(body.as_bytes()).unwrap();
        serde_json::from_slice(&review.answered(answer)).unwrap()
    }

    #[test]
    fn a_question_is_read() {
        let body = review(&json!({"a": 1})).to_string();
        let review = Review::read(body.as_bytes()).unwrap();
        assert_eq!((review.uid.as_str(), review.namespace.as_str()), ("u-1", "shop"));
        assert_eq!((review.kind.as_str(), review.operation.as_str()), ("Pod", "CREATE"));
        assert!(review.dry_run);
        assert_eq!(review.object, json!({"a": 1}));
    }

    #[test]
    fn what_is_no_question_is_refused() {
        for body in ["", "[]", "{}", "not JSON", r#"{"apiVersion": "admission.k8s.io/v1beta1"}"#] {
            assert!(Review::read(body.as_bytes()).is_err(), "{body}");
        }
        let mut without_uid = review(&json!({}));
        without_uid["request"]["uid"] = Value::Null;
        assert!(Review::read(without_uid.to_string().as_bytes()).is_err());
        let deep = "[".repeat(100_000);
        assert!(Review::read(deep.as_bytes()).is_err());
    }

    #[test]
    fn a_patch_is_base64_and_an_answer_carries_the_uid() {
        let patch: Patch =
            serde_json::from_value(json!([{"op": "add", "path": "/a", "value": 1}])).unwrap();
        let answer = Answer { verdict: Ok(patch), warnings: vec!["mind this".to_owned()] };
        let review = answered(&answer);
        assert_eq!(review["apiVersion"], API_VERSION);
        let response = &review["response"];
        assert_eq!(response["uid"], "u-1");
        assert_eq!(response["allowed"], true);
        assert_eq!(response["warnings"], json!(["keyweir: mind this"]));
        assert_eq!(response["patchType"], "JSONPatch");
        let patch = BASE64_STANDARD.decode(response["patch"].as_str().unwrap()).unwrap();
        assert_eq!(patch, br#"[{"op":"add","path":"/a","value":1}]"#);
    }

    #[test]
    fn no_change_is_no_patch_and_a_refusal_has_its_reason() {
        let unchanged = answered(&Answer::unchanged(Vec::new()));
        assert_eq!(unchanged["response"], json!({"uid": "u-1", "allowed": true}));
        let refused = Answer { verdict: Err((403, "no".to_owned())), warnings: Vec::new() };
        let response = answered(&refused)["response"].clone();
        let status = json!({"code": 403, "message": "no"});
        assert_eq!(response, json!({"uid": "u-1", "allowed": false, "status": status}));
    }

    #[test]
    fn warnings_stay_within_what_the_api_server_passes_on() {
        let many = vec!["ä".repeat(300); 40];
        let kept = bounded(&many);
        assert_eq!(kept.len(), 16);
        assert!(kept.iter().all(|warning| warning.chars().count() == LONGEST_WARNING));
        assert!(kept[0].ends_with('…') && kept[0].starts_with("keyweir: ä"));
    }
}
