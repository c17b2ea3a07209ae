//! Distributions as written → as drawn from.

use super::super::place::{At, Draft};
use super::raw;
use crate::simulator::basin::draw::{Draw, Kind};

/// Which of its figures make a distribution.
pub(super) fn compile(draft: &Draft<'_>, at: &At<'_>, written: &raw::Draw) -> Draw {
    let shape = &written.0;
    let kinds = kinds(shape);
    let kind = match kinds.as_slice() {
        [kind] => *kind,
        [] => {
            draft.error(
                at,
                "no distribution: write a number, `median` (and `sigma`), `mean`, \
                             `from` and `to`, `least` and `exponent`, or `zipf`",
            );
            Kind::Constant(1.0)
        }
        _ => {
            draft.error(at, "two distributions in one");
            Kind::Constant(1.0)
        }
    };
    check(draft, at, kind, shape);
    let number = |quantity: Option<raw::Quantity>| quantity.map(|it| it.0);
    let tail = shape.tail.map(|tail| {
        if tail.share.is_none() || tail.size.is_none() {
            draft.error(&at.key("tail"), "a tail has a `share` and a `size`");
        }
        (tail.share.map_or(0.0, |share| share.0), number(tail.size).unwrap_or(0.0))
    });
    Draw {
        kind,
        min: number(shape.min).unwrap_or(0.0),
        max: number(shape.max).unwrap_or(f64::INFINITY),
        tail,
    }
}

fn kinds(shape: &raw::Shape) -> Vec<Kind> {
    let number = |quantity: Option<raw::Quantity>| quantity.map(|it| it.0);
    let exponent = shape.exponent.unwrap_or(2.0);
    let sigma = shape.sigma.unwrap_or(1.0);
    [
        number(shape.value).map(Kind::Constant),
        number(shape.from).or_else(|| number(shape.to)).map(|one| {
            Kind::Uniform(number(shape.from).unwrap_or(0.0), number(shape.to).unwrap_or(one))
        }),
        number(shape.mean).map(Kind::Exponential),
        number(shape.median).map(|median| Kind::LogNormal { median, sigma }),
        number(shape.least).map(|least| Kind::Pareto { least, exponent }),
        shape.zipf.map(|exponent| Kind::Zipf { exponent }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn check(draft: &Draft<'_>, at: &At<'_>, kind: Kind, shape: &raw::Shape) {
    let sensible = |field: &str, number: f64, least: f64| {
        // An exponent of a thousand is no mistake of the eye; a million is.
        if !(number > least && number <= 1_000.0) {
            draft.error(&at.key(field), format!("must be more than {least}, and no absurd number"));
        }
    };
    match kind {
        Kind::LogNormal { sigma, .. }
            if shape.sigma.is_some() && !(0.0..=10.0).contains(&sigma) =>
        {
            draft.error(&at.key("sigma"), "must be between 0 and 10");
        }
        Kind::Pareto { exponent, .. } => sensible("exponent", exponent, 1.0),
        Kind::Zipf { exponent } => {
            sensible("zipf", exponent, 1.0);
            if shape.max.is_none() {
                draft.error(at, "`zipf` needs a `max`");
            }
        }
        Kind::Uniform(low, high) if low > high => {
            draft.error(&at.key("to"), "less than `from`");
        }
        Kind::Constant(_) | Kind::Uniform(..) | Kind::Exponential(_) | Kind::LogNormal { .. } => {}
    }
    if let (Some(min), Some(max)) = (shape.min, shape.max)
        && min.0 > max.0
    {
        draft.error(&at.key("max"), "less than `min`");
    }
}
