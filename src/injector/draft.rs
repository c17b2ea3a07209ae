//! A pod on its way through the injector: what it is by now, and the operations that made it so.
//!
//! Things are only ever added to it, but for a value of `NO_PROXY`. What is there already stays as
//! it is, which is what makes a second pass change nothing.

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation, ReplaceOperation};
use serde_json::{Map, Value, json};

use super::json::{at, list, name_of};

/// A pod and the patch that leads to it.
#[derive(Debug)]
pub(super) struct Draft {
    pod: Value,
    patch: Vec<PatchOperation>,
}

/// Where in a pod its containers stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Row {
    /// `spec.initContainers`.
    Init,
    /// `spec.containers`.
    Main,
}

/// One container's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    pub(super) row: Row,
    pub(super) index: usize,
}

impl Row {
    const fn field(self) -> &'static str {
        match self {
            Self::Init => "initContainers",
            Self::Main => "containers",
        }
    }
}

impl Draft {
    pub(super) fn new(pod: &Value) -> Self {
        Self { pod: pod.clone(), patch: Vec::new() }
    }

    /// The operations, in the order in which they are to be applied.
    pub(super) fn into_patch(self) -> Patch {
        Patch(self.patch)
    }

    pub(super) fn metadata(&self) -> &Value {
        at(&self.pod, &["metadata"])
    }

    pub(super) fn spec(&self) -> &Value {
        at(&self.pod, &["spec"])
    }

    /// The containers of a row, with their places.
    pub(super) fn row(&self, row: Row) -> impl Iterator<Item = (Seat, &Value)> {
        let containers = list(self.spec(), row.field());
        containers
            .iter()
            .enumerate()
            .map(move |(index, container)| (Seat { row, index }, container))
    }

    /// All containers, those of the init row first, as they start.
    pub(super) fn containers(&self) -> impl Iterator<Item = (Seat, &Value)> {
        self.row(Row::Init).chain(self.row(Row::Main))
    }

    pub(super) fn container(&self, seat: Seat) -> &Value {
        list(self.spec(), seat.row.field()).get(seat.index).unwrap_or(&Value::Null)
    }

    /// The container of that name.
    pub(super) fn find(&self, name: &str) -> Option<Seat> {
        self.containers().find(|(_, container)| name_of(container) == name).map(|(seat, _)| seat)
    }

    /// Sets a label, an annotation, or another entry of a map in the metadata.
    pub(super) fn set_metadata(&mut self, map: &'static str, key: &str, value: &str) {
        let held = at(&self.pod, &["metadata", map]);
        if held.get(key).and_then(Value::as_str) == Some(value) {
            return;
        }
        if self.metadata().is_null() {
            self.add(&["metadata"], json!({}));
        }
        if at(&self.pod, &["metadata", map]).is_object() {
            self.add(&["metadata", map, key], value.into());
        } else {
            let entry = Map::from_iter([(key.to_owned(), value.into())]);
            self.add(&["metadata", map], Value::Object(entry));
        }
    }

    /// Puts a container first in its row.
    pub(super) fn add_first(&mut self, row: Row, container: Value) -> Seat {
        if at(self.spec(), &[row.field()]).is_array() {
            self.add(&["spec", row.field(), "0"], container);
        } else {
            self.add(&["spec", row.field()], json!([container]));
        }
        Seat { row, index: 0 }
    }

    /// Adds a volume unless one of its name is there.
    pub(super) fn add_volume(&mut self, volume: Value) {
        if list(self.spec(), "volumes").iter().any(|held| name_of(held) == name_of(&volume)) {
            return;
        }
        self.push(&["spec", "volumes"], volume);
    }

    /// Adds an item to a list of a container, unless it has one with the same value in `key`.
    pub(super) fn add_to_container(
        &mut self,
        seat: Seat,
        field: &'static str,
        key: &'static str,
        item: Value,
    ) {
        let held = list(self.container(seat), field);
        if held.iter().any(|held| held.get(key) == item.get(key)) {
            return;
        }
        self.push(&["spec", seat.row.field(), &seat.index.to_string(), field], item);
    }

    /// Replaces the value of a variable that a container has.
    pub(super) fn set_variable(&mut self, seat: Seat, index: usize, value: &str) {
        let path =
            ["spec", seat.row.field(), &seat.index.to_string(), "env", &index.to_string(), "value"];
        let path = PointerBuf::from_tokens(path);
        self.apply(PatchOperation::Replace(ReplaceOperation { path, value: value.into() }));
    }

    fn push(&mut self, list: &[&str], item: Value) {
        let path = PointerBuf::from_tokens(list.iter().copied());
        if self.pod.pointer(path.as_str()).is_some_and(Value::is_array) {
            let mut path = list.to_vec();
            path.push("-");
            self.add(&path, item);
        } else {
            self.add(list, json!([item]));
        }
    }

    fn add(&mut self, path: &[&str], value: Value) {
        let path = PointerBuf::from_tokens(path.iter().copied());
        self.apply(PatchOperation::Add(AddOperation { path, value }));
    }

    /// What cannot be applied is not said either, so that the patch always is one.
    fn apply(&mut self, operation: PatchOperation) {
        if json_patch::patch(&mut self.pod, std::slice::from_ref(&operation)).is_ok() {
            self.patch.push(operation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_on_the_way_is_made_and_what_is_there_stays() {
        let pod = json!({"spec": {"containers": [{"name": "app", "env": null}]}});
        let mut draft = Draft::new(&pod);
        draft.set_metadata("labels", "keyweir.dev/injected", "true");
        draft.set_metadata("labels", "b", "c");
        draft.add_first(Row::Init, json!({"name": "keyweir"}));
        draft.add_volume(json!({"name": "v"}));
        draft.add_volume(json!({"name": "v", "emptyDir": {}}));
        let app = draft.find("app").unwrap();
        draft.add_to_container(app, "env", "name", json!({"name": "A", "value": "1"}));
        draft.add_to_container(app, "env", "name", json!({"name": "A", "value": "2"}));
        draft.set_variable(app, 0, "3");
        let expected = json!({
            "metadata": {"labels": {"keyweir.dev/injected": "true", "b": "c"}},
            "spec": {
                "containers": [{"name": "app", "env": [{"name": "A", "value": "3"}]}],
                "initContainers": [{"name": "keyweir"}],
                "volumes": [{"name": "v"}],
            },
        });
        assert_eq!(draft.pod, expected);
        let mut patched = pod;
        json_patch::patch(&mut patched, &draft.into_patch()).unwrap();
        assert_eq!(patched, expected);
    }

    #[test]
    fn what_cannot_be_applied_is_not_in_the_patch() {
        let mut draft = Draft::new(&json!({"spec": "none"}));
        draft.add_volume(json!({"name": "v"}));
        draft.set_variable(Seat { row: Row::Main, index: 9 }, 9, "x");
        draft.add_first(Row::Init, json!({}));
        assert!(draft.into_patch().is_empty());
    }
}
