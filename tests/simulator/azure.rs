use serde_json::json;

use crate::http::{AZURE, Ask, all, limited, post, start};
use keyweir::simulator::Limits;

const PATH: &str = "/openai/deployments/my-gpt4o/chat/completions?api-version=2024-10-21";

fn chat(path: &str) -> Ask {
    let body = json!({"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 400});
    post(path, &body).header("api-key", AZURE)
}

#[tokio::test]
async fn a_deployment_answers_under_a_version() {
    let simulator = start(all());
    let answer = chat(PATH).to(&simulator).await;
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "You said: Hello");
    assert!(answer.header("apim-request-id").is_some());
    let versionless = chat("/openai/deployments/my-gpt4o/chat/completions").to(&simulator).await;
    assert_eq!(versionless.status, 404);
    let unknown =
        chat("/openai/deployments/other/chat/completions?api-version=1").to(&simulator).await;
    assert_eq!(unknown.json()["error"]["code"], "DeploymentNotFound");
    let wrong = chat(PATH).header("api-key", "azure-wrong").to(&simulator).await;
    assert_eq!((wrong.status, &wrong.json()["error"]["code"]), (401, &json!("401")));
}

#[tokio::test]
async fn resets_are_bare_seconds_and_waits_come_in_milliseconds() {
    let limits = Limits { tokens_per_minute: Some(500), ..Limits::NONE };
    let simulator = start(limited(limits));
    let first = chat(PATH).to(&simulator).await;
    let reset: u64 = first.header("x-ratelimit-reset-tokens").unwrap().parse().unwrap();
    assert!((59..=60).contains(&reset));
    let second = chat(PATH).to(&simulator).await;
    assert_eq!(second.status, 429);
    let wait: u64 = second.header("retry-after-ms").unwrap().parse().unwrap();
    assert!((55_000..=60_000).contains(&wait));
}
