use crate::formats::Wire;

use super::*;

const DEMAND: Demand = Demand {
    input: 1_000,
    cached: 800,
    output: 200,
    output_high: 700,
    max_output: Some(900),
    choices: 1,
};

const USAGE: Usage =
    Usage { input: 1_000, cached_input: 900, cache_write: 0, output: 50, reasoning: 0 };

fn reserved(charging: Charging) -> (u64, u64, u64) {
    let cost = charging.reserve("m", &DEMAND);
    (cost.tokens, cost.input, cost.output)
}

fn settled(charging: Charging, model: &str) -> (u64, u64, u64) {
    let cost = charging.settle(model, &charging.reserve(model, &DEMAND), &USAGE);
    (cost.tokens, cost.input, cost.output)
}

#[test]
fn every_way_has_one_row_and_one_word() {
    for charging in Charging::ALL {
        assert_eq!(TABLE.iter().filter(|row| row.charging == charging).count(), 1);
        assert_eq!(Charging::named(charging.as_str()), Some(charging));
    }
    assert_eq!(Charging::named("nobody"), None);
}

#[test]
fn a_provider_charges_by_its_own_row_and_an_unknown_one_by_what_is_used() {
    assert_eq!(Charging::of(Dialect::Azure), Charging::Azure);
    assert_eq!(Charging::of(Dialect::Vllm), Charging::Metered);
    for wire in Wire::ALL {
        assert!(Charging::named(wire.as_str()).is_none_or(|named| named != Charging::Metered));
    }
}

#[test]
fn openai_takes_the_larger_of_max_tokens_and_the_text_and_gives_nothing_back() {
    assert_eq!(reserved(Charging::OpenAi), (1_000, 1_000, 200));
    let long = Demand { max_output: Some(900), choices: 2, ..DEMAND };
    let cost = Charging::OpenAi.reserve("m", &long);
    assert_eq!(cost.tokens, 1_800);
    assert_eq!(Charging::OpenAi.settle("m", &cost, &USAGE).tokens, 1_800);
}

#[test]
fn azure_takes_the_prompt_and_max_tokens_for_every_answer() {
    let three = Demand { choices: 3, ..DEMAND };
    assert_eq!(Charging::Azure.reserve("m", &three).tokens, 1_000 + 3 * 900);
    let unset = Demand { max_output: None, ..DEMAND };
    assert_eq!(Charging::Azure.reserve("m", &unset).tokens, 1_700, "what is likely");
}

#[test]
fn what_anthropic_has_cached_costs_no_input_but_of_an_old_model() {
    assert_eq!(reserved(Charging::Anthropic), (400, 200, 200), "max_tokens plays no part");
    assert_eq!(settled(Charging::Anthropic, "claude-opus-5"), (150, 100, 50));
    assert_eq!(settled(Charging::Anthropic, "claude-3-5-haiku-20241022"), (1_050, 1_000, 50));
}

#[test]
fn gemini_counts_input_alone() {
    assert_eq!(reserved(Charging::Gemini), (1_000, 1_000, 200));
    assert_eq!(settled(Charging::Gemini, "m").0, 1_000);
}

#[test]
fn bedrock_takes_all_up_front_and_gives_back_what_was_not_used() {
    assert_eq!(reserved(Charging::Bedrock).0, 1_900);
    assert_eq!(settled(Charging::Bedrock, "amazon.nova-pro-v1:0").0, 150);
    let five = ["us.anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic.claude-3-7-sonnet"];
    for model in five {
        assert_eq!(settled(Charging::Bedrock, model).0, 100 + 5 * 50, "{model}");
    }
    let once = ["anthropic.claude-3-5-sonnet-20241022-v2:0", "anthropic.claude-3-haiku"];
    for model in once {
        assert_eq!(settled(Charging::Bedrock, model).0, 150, "{model}");
    }
}

#[test]
fn no_rule_takes_more_output_than_the_request_allows() {
    let short = Demand { max_output: Some(10), choices: 2, ..DEMAND };
    for charging in Charging::ALL {
        assert_eq!(charging.reserve("m", &short).output, 20);
    }
}

#[test]
fn output_beyond_its_reservation_is_counted_where_the_provider_counts_it() {
    let flowed = |charging: Charging| {
        let reserved = charging.reserve("m", &DEMAND);
        charging.flowed("m", &reserved, 5_000).tokens
    };
    assert_eq!(flowed(Charging::Anthropic), 5_200);
    assert_eq!(flowed(Charging::OpenAi), 1_000, "it has been paid");
    assert_eq!(flowed(Charging::Gemini), 1_000);
}

#[test]
fn a_caller_pays_for_what_it_may_use_whatever_the_provider_charges() {
    let price = Price { input: 2.5, cached_input: 1.25, cache_write: 2.5, output: 10.0 };
    let cost = DEMAND.of_caller(Some(&price));
    assert_eq!((cost.tokens, cost.input, cost.output), (1_900, 1_000, 900));
    assert_eq!(cost.money, 2_500 + 9_000, "millionths of a dollar");
    let unset = Demand { max_output: None, choices: 2, ..DEMAND };
    assert_eq!(unset.of_caller(None).output, 1_400);
    assert_eq!(unset.of_caller(None).money, 0);
    let used = charged_to_caller(&USAGE, Some(&price));
    assert_eq!((used.tokens, used.money), (1_050, 250 + 1_125 + 500));
}

#[test]
fn absurd_prices_and_amounts_are_bounded() {
    let absurd = Demand {
        input: u64::MAX,
        cached: u64::MAX,
        output: u64::MAX,
        output_high: u64::MAX,
        max_output: None,
        choices: u32::MAX,
    };
    let lies = Usage { input: u64::MAX, output: u64::MAX, ..USAGE };
    for charging in Charging::ALL {
        let cost = charging.reserve("anthropic.claude-opus-5", &absurd);
        assert!(cost.tokens <= MOST * 2);
        assert!(charging.settle("anthropic.claude-opus-5", &cost, &lies).tokens <= MOST * 6);
    }
    for dollars in [f64::NAN, f64::NEG_INFINITY, -1.0] {
        assert_eq!(micro_dollars(dollars), 0);
    }
    assert_eq!(micro_dollars(f64::INFINITY), 1_000_000_000_000_000);
    assert_eq!(micro_dollars(100.0), 100_000_000);
}

#[test]
fn windows_are_as_each_provider_has_them() {
    let requests = Measure::Of(Dimension::Requests);
    let tokens = Measure::Of(Dimension::Tokens);
    assert_eq!(Charging::OpenAi.window(tokens, DAY), Window::Refill(DAY));
    assert_eq!(Charging::Azure.window(tokens, MINUTE), Window::Fixed(MINUTE));
    let slice = Duration::from_secs(10);
    assert_eq!(Charging::Azure.window(requests, MINUTE), Window::Sliced { window: MINUTE, slice });
    assert_eq!(Charging::Gemini.window(requests, MINUTE), Window::Rolling(MINUTE));
    assert!(matches!(
        Charging::Gemini.window(requests, DAY),
        Window::Calendar(Period::Day, zone) if zone.iana_name() == Some(PACIFIC)
    ));
}
