//! What is made up here is what the proxy's own readers make of the simulated providers' answers.

use http::{HeaderMap, Method, StatusCode};
use proptest::prelude::*;

use super::*;
use crate::formats::{Evidence, judge, levels};
use crate::simulator::call::Scene;
use crate::simulator::meter::{Ask, Habit, Limits, Meter};
use crate::simulator::problem::Problem;
use crate::simulator::reply::Content;
use crate::simulator::wires;

const HABITS: [(Habit, Dialect); 4] = [
    (Habit::OpenAi, Dialect::OpenAi),
    (Habit::Azure, Dialect::Azure),
    (Habit::Anthropic, Dialect::Anthropic),
    (Habit::Gemini, Dialect::Gemini),
];

fn scene(habit: Habit, now: Now) -> Scene {
    Scene {
        habit,
        method: Method::POST,
        path: "/v1beta/models/m:generateContent".into(),
        query: Vec::new(),
        headers: HeaderMap::new(),
        credential: None,
        account: "a".into(),
        request_id: "r".into(),
        now,
    }
}

fn by_dimension(mut samples: Samples) -> Samples {
    samples.sort_by_key(|sample| sample.dimension);
    samples
}

proptest! {
    #[test]
    fn samples_and_judgements_are_those_of_the_readers_of_http(
        which in 0..HABITS.len(),
        requests in 1_u64..50,
        tokens in 1_000_u64..20_000,
        daily in prop::option::of(1_u64..60),
        asks in prop::collection::vec((0_u64..2_000, 1_u64..8_000), 1..60),
    ) {
        let (habit, dialect) = HABITS[which];
        let limits = Limits {
            requests_per_minute: Some(requests),
            requests_per_day: daily,
            tokens_per_minute: Some(tokens),
            input_tokens_per_minute: Some(tokens),
            output_tokens_per_minute: Some(tokens),
            ..Limits::NONE
        };
        let wall: Timestamp = "2026-07-02T05:00:00.123Z".parse().unwrap();
        let mut now = Now { at: Moment::from_nanos(7), wall };
        let mut meter = Meter::new(habit, &limits, now);
        for (gap, input) in asks {
            let gap = Duration::from_millis(gap);
            now = Now { at: now.at + gap, wall: now.wall.saturating_add(gap).unwrap() };
            let outcome = meter.admit(Ask { input, ..Ask::default() }, now);
            let readings = meter.readings(now);
            let mut headers = HeaderMap::new();
            wires::limit_headers(habit, &readings, now, &mut headers);
            let made_up = samples((habit.tariff(), dialect), &readings, now);
            let read = levels(dialect, &headers, now);
            prop_assert_eq!(by_dimension(made_up), by_dimension(read));
            let Err(refusal) = outcome else { continue };
            let problem = Problem::RateLimited { model: "m".into(), refusal };
            let reply = wires::refusal(&scene(habit, now), &problem);
            let Content::Whole(body) = &reply.content else { panic!("an error is whole") };
            headers.extend(reply.headers.clone());
            let evidence = Evidence {
                status: StatusCode::TOO_MANY_REQUESTS,
                headers: &headers,
                body,
                model: Some("m"),
            };
            let read = Judgement { code: None, ..judge(dialect, &evidence, now) };
            let whose = (habit.tariff(), dialect);
            let told = samples(whose, &readings, now);
            prop_assert_eq!(refused(whose, &refusal, &told, now.at), read, "{:?}", refusal);
        }
    }
}
