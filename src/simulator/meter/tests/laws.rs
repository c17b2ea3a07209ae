//! No provider model ever grants more than its bucket and what refills, whoever asks how and when.

use proptest::prelude::*;

use super::*;

const TARIFFS: [Tariff; 7] = [
    Tariff::OpenAi,
    Tariff::Azure,
    Tariff::Anthropic,
    Tariff::Gemini,
    Tariff::Bedrock { burndown: 5 },
    Tariff::AsUsed,
    Tariff::Uncached,
];

proptest! {
    /// In any window no more than B + r·w is granted (for counters: two windows' worth across a
    /// boundary), and a refused request that waits as long as it is told is let through.
    #[test]
    fn nothing_is_granted_that_was_not_there(
        tariff in prop::sample::select(TARIFFS.as_slice()),
        amount in 1_u64..200,
        rejections in prop::sample::select([Rejections::Free, Rejections::Count].as_slice()),
        quantum in prop::option::of(1_u64..60),
        steps in prop::collection::vec((0_u64..5_000, 0_u64..40, prop::option::of(0_u64..40)), 1..200),
    ) {
        // Nobody is granted less than a request in each of Azure's windows.
        prop_assume!(tariff != Tariff::Azure || amount * quantum.unwrap_or(10) >= 60);
        let of_input = matches!(tariff, Tariff::Gemini | Tariff::Anthropic);
        let dimension = if of_input { Dimension::InputTokens } else { Dimension::Tokens };
        let grants = [
            Grant { dimension: Dimension::Requests, window: MINUTE, amount },
            Grant { dimension, window: MINUTE, amount: amount * 10 },
        ];
        let quantum = quantum.map(Duration::from_secs);
        let terms = Terms { quantum, rejections, ..Terms::default() };
        let mut meter = Meter::of(tariff, &grants, &terms, at(0));
        let depth: Vec<u64> = meter.grants().map(|(_, depth)| depth).collect();
        let mut granted: Vec<(u64, [u64; 2])> = Vec::new();
        let mut millis = 0;
        for (gap, input, max_output) in steps {
            millis += gap;
            let ask = Ask { input, max_output, ..Ask::default() };
            if meter.admit(ask, at(millis)).is_ok() {
                let took = [Dimension::Requests, dimension].map(|it| tariff.upfront(it, ask));
                granted.push((millis, took));
            }
        }
        for (first, (from, _)) in granted.iter().enumerate() {
            let mut sums = [0_u64; 2];
            for (until, took) in &granted[first..] {
                let passed = until - from;
                for (index, sum) in sums.iter_mut().enumerate() {
                    *sum += took[index];
                    let refilled = grants[index].amount * passed / 60_000 + 1;
                    // A counter is a bucket twice as deep, seen from any moment.
                    let counters = matches!(tariff, Tariff::Azure | Tariff::Gemini);
                    let deep = if counters { depth[index] * 2 } else { depth[index] };
                    prop_assert!(*sum <= deep + refilled, "{sum} in {passed} ms");
                }
            }
        }
    }

    #[test]
    fn whoever_waits_as_long_as_told_is_let_through(
        tariff in prop::sample::select(TARIFFS.as_slice()),
        rejections in prop::sample::select([Rejections::Free, Rejections::Count].as_slice()),
        asks in prop::collection::vec((0_u64..2_000, 1_u64..60), 1..100),
    ) {
        let grants = [
            Grant { dimension: Dimension::Requests, window: MINUTE, amount: 60 },
            Grant { dimension: Dimension::Tokens, window: MINUTE, amount: 600 },
        ];
        let terms = Terms { rejections, ..Terms::default() };
        let mut meter = Meter::of(tariff, &grants, &terms, at(0));
        let mut now = Moment::ZERO;
        for (gap, input) in asks {
            now = now + Duration::from_millis(gap);
            let ask = Ask { input, max_output: Some(1), ..Ask::default() };
            let wall = at(0).wall;
            if let Err(refusal) = meter.admit(ask, Now { at: now, wall }) {
                now = now + refusal.retry_after;
                prop_assert_eq!(meter.admit(ask, Now { at: now, wall }), Ok(()));
            }
        }
    }

    #[test]
    fn what_is_given_back_is_never_more_than_was_taken(
        steps in prop::collection::vec((0_u64..3_000, 0_u64..500, 0_u64..500, 0_u64..100), 1..100),
    ) {
        let grant = Grant { dimension: Dimension::Tokens, window: MINUTE, amount: 1_000 };
        let tariff = Tariff::Bedrock { burndown: 5 };
        let mut meter = Meter::of(tariff, &[grant], &Terms::default(), at(0));
        let (mut millis, mut charged) = (0, 0_u64);
        for (gap, input, max_output, output) in steps {
            millis += gap;
            let ask = tokens(input, max_output);
            if meter.admit(ask, at(millis)).is_ok() {
                meter.finish(ask, output, at(millis));
                charged += input + output * 5;
            }
            let room = 1_000 + 1_000 * millis / 60_000 + 1;
            // One request may run into debt by what it produced beyond its reservation.
            prop_assert!(charged <= room + 500 * 5 + 500, "{charged} of {room}");
        }
    }
}
