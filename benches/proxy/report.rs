//! Medians, and one Markdown table that can be read as it is.

use std::fmt::Write as _;

/// One line of the result.
#[derive(Debug)]
pub(crate) struct Row {
    /// What was measured, with its unit.
    pub(crate) what: String,
    pub(crate) nginx: Option<f64>,
    pub(crate) keyweir: f64,
    /// The figure that the goal is about, with its spread where there were rounds.
    pub(crate) verdict: Verdict,
}

/// What a row is judged by.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Keyweir's cost over nginx's in each round, and the most it may be.
    Ratio { rounds: Vec<f64>, goal: f64 },
    /// An amount that may be so large.
    AtMost { amount: f64, goal: f64 },
}

/// The middle of some figures; NaN of none.
pub(crate) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len() / 2, sorted.len() % 2) {
        (0, 0) => f64::NAN,
        (half, 1) => sorted[half],
        (half, _) => f64::midpoint(sorted[half - 1], sorted[half]),
    }
}

/// All rows as a Markdown table.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| measured | nginx | keyweir | figure | goal | |\n|---|---:|---:|---:|---:|---|\n",
    );
    for Row { what, nginx, keyweir, verdict } in rows {
        let nginx = nginx.map_or_else(String::new, number);
        let (figure, goal, met) = match verdict {
            Verdict::Ratio { rounds, goal } => ratio(rounds, *goal),
            Verdict::AtMost { amount, goal } => {
                (number(*amount), format!("≤ {}", number(*goal)), mark(amount <= goal))
            }
        };
        let _infallible = writeln!(
            text,
            "| {what} | {nginx} | {} | {figure} | {goal} | {met} |",
            number(*keyweir)
        );
    }
    text
}

fn ratio(rounds: &[f64], goal: f64) -> (String, String, &'static str) {
    let least = rounds.iter().copied().fold(f64::INFINITY, f64::min);
    let most = rounds.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let figure = median(rounds);
    (format!("× {figure:.2} ({least:.2}–{most:.2})"), format!("≤ × {goal}"), mark(figure <= goal))
}

fn mark(met: bool) -> &'static str {
    if met { "met" } else { "**missed**" }
}

fn number(figure: f64) -> String {
    if figure.abs() < 100.0 { format!("{figure:.2}") } else { format!("{figure:.0}") }
}
