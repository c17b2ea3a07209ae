//! A cluster's API as a person reaches it: through `kubectl`, which knows how each cloud wants to be
//! logged in to.

use std::collections::BTreeSet;
use std::fmt;
use std::process::{Command, Stdio};

use serde_json::Value;

/// How long the API server may take.
const PATIENCE: &str = "--request-timeout=15s";
/// Objects that are asked for at once.
const CHUNK: u32 = 500;

/// `kubectl` with the cluster that is meant.
#[derive(Clone, Debug, Default)]
pub struct Kubectl {
    arguments: Vec<String>,
}

/// What `kubectl` says instead of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered(String);

impl Kubectl {
    /// The cluster of that context of that file; of the present ones where nothing is said.
    pub fn new(kubeconfig: Option<&str>, context: Option<&str>) -> Self {
        let named = [("kubeconfig", kubeconfig), ("context", context)].into_iter();
        let named = named.filter_map(|(name, value)| Some(format!("--{name}={}", value?)));
        Self { arguments: named.collect() }
    }

    /// One object, at its path in the API.
    ///
    /// # Errors
    /// Whatever `kubectl` says.
    pub fn get(&self, path: &str) -> Result<Value, Unanswered> {
        let text = self.run(&["get", "--raw", path])?;
        serde_json::from_str(&text).map_err(|error| Unanswered(format!("{path}: {error}")))
    }

    /// All objects of a list, which is asked for piece by piece.
    ///
    /// # Errors
    /// Whatever `kubectl` says.
    pub fn list(&self, path: &str) -> Result<Vec<Value>, Unanswered> {
        let (mut items, mut next) = (Vec::new(), String::new());
        loop {
            let mut piece = self.get(&format!("{path}?limit={CHUNK}&continue={next}"))?;
            if let Some(Value::Array(more)) = piece.get_mut("items").map(Value::take) {
                items.extend(more);
            }
            match piece.pointer("/metadata/continue").and_then(Value::as_str) {
                Some(token) if !token.is_empty() => token.clone_into(&mut next),
                _ => return Ok(items),
            }
        }
    }

    /// The names of a namespace's Secrets: the API server sends a table, and no value of any.
    ///
    /// # Errors
    /// Whatever `kubectl` says.
    pub fn secrets(&self, namespace: &str) -> Result<BTreeSet<String>, Unanswered> {
        let table = self.run(&["get", "secrets", "--no-headers", "--namespace", namespace])?;
        let names = table.lines().filter_map(|line| line.split_whitespace().next());
        Ok(names.map(str::to_owned).collect())
    }

    /// The namespace that is meant where none is named.
    ///
    /// # Errors
    /// Whatever `kubectl` says.
    pub fn namespace(&self) -> Result<String, Unanswered> {
        let named = self.run(&["config", "view", "--minify", "--output=jsonpath={..namespace}"])?;
        Ok(if named.is_empty() { "default".to_owned() } else { named })
    }

    fn run(&self, arguments: &[&str]) -> Result<String, Unanswered> {
        let mut kubectl = Command::new("kubectl");
        kubectl.args(&self.arguments).arg(PATIENCE).args(arguments).stdin(Stdio::null());
        let output = kubectl.output();
        let output =
            output.map_err(|error| Unanswered(format!("kubectl cannot be run: {error}")))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Unanswered(said.trim().to_owned()))
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unanswered {}
