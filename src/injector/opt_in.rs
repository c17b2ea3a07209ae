//! Whether a pod is to have the sidecar.

use super::marks::{INJECT, Marks};

/// What pod and namespace say together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OptIn {
    /// The pod is to have it.
    Asked,
    /// The pod, or its namespace, says no.
    OptedOut,
    /// Nobody asks for it.
    NotAsked,
    /// The pod says neither yes nor no; the pair is what it says, and where.
    Unclear {
        /// `annotation` or `label`.
        place: &'static str,
        /// The value, as written.
        value: String,
    },
}

/// The pod beats its namespace, and the annotation beats the label. A namespace opts in by its
/// label only, and a value of its own that is neither yes nor no opts nobody in.
pub(super) fn opt_in(pod: &Marks, namespace: &Marks) -> OptIn {
    for (place, marks) in [("annotation", &pod.annotations), ("label", &pod.labels)] {
        match marks.get(INJECT).map(String::as_str) {
            Some("true") => return OptIn::Asked,
            Some("false") => return OptIn::OptedOut,
            Some(value) => return OptIn::Unclear { place, value: value.to_owned() },
            None => {}
        }
    }
    match namespace.labels.get(INJECT).map(String::as_str) {
        Some("true") => OptIn::Asked,
        Some("false") => OptIn::OptedOut,
        _ => OptIn::NotAsked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(annotation: Option<&str>, label: Option<&str>) -> Marks {
        let map = |value: Option<&str>| {
            value.map(|value| (INJECT.to_owned(), value.to_owned())).into_iter().collect()
        };
        Marks { labels: map(label), annotations: map(annotation) }
    }

    /// The truth table: the pod's annotation, its label, its namespace's label, and what follows.
    #[test]
    fn a_pod_beats_its_namespace_and_its_annotation_beats_its_label() {
        let (yes, no) = (Some("true"), Some("false"));
        for (annotation, label, namespace, expected) in [
            (None, None, None, OptIn::NotAsked),
            (None, None, yes, OptIn::Asked),
            (None, None, no, OptIn::OptedOut),
            (None, None, Some("enabled"), OptIn::NotAsked),
            (None, yes, None, OptIn::Asked),
            (None, yes, no, OptIn::Asked),
            (None, no, yes, OptIn::OptedOut),
            (yes, None, None, OptIn::Asked),
            (yes, no, no, OptIn::Asked),
            (no, yes, yes, OptIn::OptedOut),
            (no, None, yes, OptIn::OptedOut),
        ] {
            let found = opt_in(&marks(annotation, label), &marks(None, namespace));
            assert_eq!(found, expected, "{annotation:?} {label:?} {namespace:?}");
        }
    }

    #[test]
    fn a_pod_that_says_neither_yes_nor_no_is_unclear_whatever_else_is_said() {
        for value in ["True", "yes", "enabled", ""] {
            let found = opt_in(&marks(Some(value), Some("true")), &marks(None, Some("true")));
            assert_eq!(found, OptIn::Unclear { place: "annotation", value: value.to_owned() });
        }
        let found = opt_in(&marks(None, Some("on")), &Marks::default());
        assert_eq!(found, OptIn::Unclear { place: "label", value: "on".to_owned() });
    }

    #[test]
    fn an_annotation_of_a_namespace_opts_nobody_in() {
        let found = opt_in(&Marks::default(), &marks(Some("true"), None));
        assert_eq!(found, OptIn::NotAsked);
    }
}
