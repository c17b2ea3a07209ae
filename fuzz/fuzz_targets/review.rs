//! Any body as an admission review: it is refused, or answered; and a pod that is given the sidecar
//! is given it once.

#![no_main]

use keyweir::injector::{
    Answer, Defaults, Injection, Marks, Opening, Resources, Review, Surroundings, Workload, inject,
    open,
};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    // A pod alone is found sooner than one in its review.
    if let Ok(pod) = serde_json::from_slice(body) {
        admit(&pod);
    }
    let Ok(review) = Review::read(body) else { return };
    let answer = admit(&review.object);
    review.answered(&answer);
});

fn admit(pod: &Value) -> Answer {
    let resources = Resources {
        cpu_request: "10m".to_owned(),
        cpu_limit: None,
        memory_request: "32Mi".to_owned(),
        memory_limit: Some("256Mi".to_owned()),
    };
    let defaults = Defaults {
        image: "keyweir".to_owned(),
        image_pull_policy: None,
        resources,
        native_sidecars: true,
    };
    let mut namespace = Marks::default();
    namespace.labels.insert("keyweir.dev/inject".to_owned(), "true".to_owned());
    let (settings, mut warnings) = match open(pod, &namespace, &defaults) {
        Opening::Asked(settings, warnings) => (settings, warnings),
        Opening::Left(_, warnings) => return Answer::unchanged(warnings),
        Opening::Denied(message) => {
            return Answer { verdict: Err((403, message)), warnings: Vec::new() };
        }
    };
    let workload = Workload::default();
    let around = Surroundings { workload: &workload, configuration: None, defaults: &defaults };
    let Ok(Injection { patch, warnings: more }) = inject(pod, &settings, &around) else {
        return Answer::unchanged(warnings);
    };
    warnings.extend(more);
    let mut once = pod.clone();
    json_patch::patch(&mut once, &patch).expect("the patch fits the pod");
    let again = inject(&once, &settings, &around).expect("it was injected");
    assert!(again.patch.is_empty(), "{}", again.patch);
    Answer { verdict: Ok(patch), warnings }
}
