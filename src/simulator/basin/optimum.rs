//! What could be done at best, fluids assumed: capacity is a linear programme, not a sum.
//!
//! `max Σ xⱼₖ · tokensⱼ`, where of each kind of request no more is served than was asked for, and of
//! each limit no more is used than its bucket held at the beginning and what has refilled since.

use super::number::{float, float_len};
use super::world::Run;

/// The most tokens that could have been served while requests came.
pub(super) fn tokens(run: &Run) -> f64 {
    let programme = Programme::of(run);
    maximise(&programme.worth, &programme.rows, &programme.bounds)
}

/// Columns are ways that a kind of request may go.
struct Programme {
    worth: Vec<f64>,
    rows: Vec<Vec<f64>>,
    bounds: Vec<f64>,
}

impl Programme {
    fn of(run: &Run) -> Self {
        let mut columns: Vec<(usize, usize, [f64; 4], f64)> = Vec::new();
        let mut bounds = Vec::new();
        for (nth, (name, asked)) in run.site.names.iter().zip(&run.score.asked).enumerate() {
            bounds.push(float(asked.requests));
            let each = |sum: u64| float(sum) / float(asked.requests.max(1));
            for (target, charges) in name.targets.iter().zip(&asked.charges) {
                let (provider, model) = (usize::from(target.provider), usize::from(target.model));
                let own = run.plant.cells().iter().enumerate();
                let own = own.filter(|(_, it)| it.provider == provider && it.model == model);
                columns.extend(
                    own.map(|(cell, _)| (nth, cell, charges.map(each), each(asked.tokens))),
                );
            }
        }
        let mut rows: Vec<Vec<f64>> = (0..bounds.len())
            .map(|name| columns.iter().map(|it| if it.0 == name { 1.0 } else { 0.0 }).collect())
            .collect();
        for (nth, cell) in run.plant.cells().iter().enumerate() {
            for line in &cell.books.dimensions {
                let charge = |charges: &[f64; 4]| {
                    charges.get(line.grant.dimension as usize).copied().unwrap_or(0.0)
                };
                let row = columns.iter().map(|it| if it.1 == nth { charge(&it.2) } else { 0.0 });
                rows.push(row.collect());
                bounds.push(line.capacity);
            }
        }
        Self { worth: columns.iter().map(|it| it.3).collect(), rows, bounds }
    }
}

/// The simplex method: the largest `worth · x` with `rows · x ≤ bounds` and `x ≥ 0`, all bounds at
/// least 0. Columns are chosen by Bland's rule, so that it ends.
fn maximise(worth: &[f64], rows: &[Vec<f64>], bounds: &[f64]) -> f64 {
    const NOTHING: f64 = 1e-9;
    let mut table: Vec<Vec<f64>> = Vec::with_capacity(rows.len() + 1);
    for (nth, (row, bound)) in rows.iter().zip(bounds).enumerate() {
        let slack = (0..rows.len()).map(|other| if other == nth { 1.0 } else { 0.0 });
        table.push(row.iter().copied().chain(slack).chain([*bound]).collect());
    }
    let padding = std::iter::repeat_n(0.0, rows.len() + 1);
    let mut goal: Vec<f64> = worth.iter().map(|worth| -worth).chain(padding).collect();
    let mut basis: Vec<usize> = (0..rows.len()).map(|nth| worth.len() + nth).collect();
    let width = worth.len() + rows.len();
    for _ in 0..10 * (width + 1) {
        let Some(column) = (0..width).find(|at| goal.get(*at).is_some_and(|it| *it < -NOTHING))
        else {
            break;
        };
        let ratio = |row: &Vec<f64>| {
            let pivot = *row.get(column)?;
            (pivot > NOTHING).then(|| row.last().copied().unwrap_or(0.0) / pivot)
        };
        let candidates = table.iter().zip(&basis).enumerate();
        let candidates =
            candidates.filter_map(|(at, (row, basic))| Some((ratio(row)?, *basic, at)));
        let Some((_, _, at)) =
            candidates.min_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)))
        else {
            return f64::INFINITY;
        };
        pivot(&mut table, &mut goal, at, column);
        if let Some(basic) = basis.get_mut(at) {
            *basic = column;
        }
    }
    goal.last().copied().unwrap_or(0.0)
}

fn pivot(table: &mut [Vec<f64>], goal: &mut [f64], at: usize, column: usize) {
    let Some(row) = table.get_mut(at) else { return };
    let pivot = row.get(column).copied().unwrap_or(1.0);
    for value in row.iter_mut() {
        *value /= pivot;
    }
    let row = row.clone();
    let others = table.iter_mut().enumerate().filter(|(nth, _)| *nth != at);
    for other in others.map(|(_, other)| other.as_mut_slice()).chain([goal]) {
        let factor = other.get(column).copied().unwrap_or(0.0);
        if factor.abs() > 0.0 {
            for (value, by) in other.iter_mut().zip(&row) {
                *value -= factor * by;
            }
        }
    }
}

/// How evenly something is shared: 1 if all have the same, 1/n if one has all (Jain).
pub(super) fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    if squares <= 0.0 { 1.0 } else { sum * sum / (float_len(shares.len()) * squares) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) -> bool {
        (found - expected).abs() < 1e-6
    }

    #[test]
    fn the_simplex_method_finds_the_corner() {
        // Dantzig's: 3x + 5y with x ≤ 4, 2y ≤ 12, 3x + 2y ≤ 18.
        let rows = [vec![1.0, 0.0], vec![0.0, 2.0], vec![3.0, 2.0]];
        assert!(near(maximise(&[3.0, 5.0], &rows, &[4.0, 12.0, 18.0]), 36.0));
        // One kind may go two ways, the other only one: it takes that, and the first the rest.
        let rows =
            [vec![1.0, 1.0, 0.0], vec![0.0, 0.0, 1.0], vec![1.0, 0.0, 1.0], vec![0.0, 1.0, 0.0]];
        assert!(near(maximise(&[1.0, 1.0, 1.0], &rows, &[10.0, 10.0, 8.0, 6.0]), 14.0));
        assert!(near(maximise(&[1.0], &[vec![1.0]], &[0.0]), 0.0));
        assert!(maximise(&[1.0], &[], &[]).is_infinite(), "nothing bounds it");
    }

    #[test]
    fn a_degenerate_programme_ends() {
        // Beale's cycle.
        let rows =
            [vec![0.25, -60.0, -0.04, 9.0], vec![0.5, -90.0, -0.02, 3.0], vec![0.0, 0.0, 1.0, 0.0]];
        let found = maximise(&[0.75, -150.0, 0.02, -6.0], &rows, &[0.0, 0.0, 1.0]);
        assert!(near(found, 0.05), "{found}");
    }

    #[test]
    fn jain_tells_an_even_share_from_a_greedy_one() {
        assert!(near(jain(&[2.0, 2.0, 2.0]), 1.0));
        assert!(near(jain(&[6.0, 0.0, 0.0]), 1.0 / 3.0));
        assert!(near(jain(&[]), 1.0));
    }
}
