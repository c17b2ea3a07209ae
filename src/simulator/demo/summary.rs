//! What the application saw against what the providers refused.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use crate::simulator::tally::Tally;

/// The outcome of the storm.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Answers that came whole.
    pub answers: usize,
    /// Failures that the application saw, by what they were.
    pub failures: BTreeMap<String, usize>,
    /// What the providers served and refused.
    pub tally: Tally,
    /// From the first request to the last answer.
    pub took: Duration,
    waits: Vec<Duration>,
}

impl Summary {
    /// Whether the application saw no failure.
    pub fn is_clean(&self) -> bool {
        self.failures.is_empty()
    }

    /// How many failures it saw.
    pub fn failed(&self) -> usize {
        self.failures.values().sum()
    }

    /// The time within which this share (in thousandths) of the answers came.
    pub fn within(&self, permille: usize) -> Duration {
        let mut waits = self.waits.clone();
        waits.sort_unstable();
        let place = (waits.len() * permille).div_ceil(1_000).saturating_sub(1);
        waits.get(place).copied().unwrap_or_default()
    }

    pub(super) fn count(&mut self, took: Duration, result: Result<(), String>) {
        self.waits.push(took);
        match result {
            Ok(()) => self.answers += 1,
            Err(failure) => *self.failures.entry(failure).or_insert(0) += 1,
        }
    }

    pub(super) fn finish(&mut self, tally: Tally, took: Duration) {
        self.tally = tally;
        self.took = took;
    }

    pub(super) fn write<W: Write>(&self, out: &mut W) -> io::Result<()> {
        let mut saw = vec![
            ("answers".to_owned(), self.answers.to_string()),
            ("failures".to_owned(), self.failed().to_string()),
        ];
        saw.extend(
            self.failures.iter().map(|(what, count)| (format!("  {what}"), count.to_string())),
        );
        saw.push(("half of them within".to_owned(), seconds(self.within(500))));
        saw.push(("99 % within".to_owned(), seconds(self.within(990))));
        saw.push(("the slowest".to_owned(), seconds(self.within(1_000))));
        let mut refused: Vec<(String, String)> = Vec::new();
        let mut total = 0;
        for (kind, count) in self.tally.refused() {
            refused.push((in_words(kind).to_owned(), count.to_string()));
            total += count;
        }
        refused.push(("together".to_owned(), total.to_string()));
        writeln!(out)?;
        writeln!(out, "{:<40}  What the providers refused", "What the application saw")?;
        for line in 0..saw.len().max(refused.len()) {
            let cell = |cells: &[(String, String)], width: usize| match cells.get(line) {
                Some((name, value)) => format!("  {name:<width$}{value:>10}"),
                None => " ".repeat(width + 12),
            };
            let line = format!("{}  {}", cell(&saw, 28), cell(&refused, 28));
            writeln!(out, "{}", line.trim_end())?;
        }
        writeln!(out)?;
        let verdict = match (self.failed(), total) {
            (0, 0) => {
                "The application saw no failure, and the providers refused nothing.".to_owned()
            }
            (0, total) => format!(
                "The providers refused {total} requests. The application saw none of it: Keyweir \
                 absorbed them all."
            ),
            (failed, total) => format!(
                "The providers refused {total} requests, and the application saw failures: {failed}."
            ),
        };
        writeln!(out, "{verdict}")
    }
}

/// A refusal's word in words.
pub(super) fn in_words(kind: &str) -> &str {
    match kind {
        "rateLimited" => "429 rate limit",
        "quotaExhausted" => "429 quota exhausted",
        "creditGone" => "credit gone",
        "keyInvalid" => "401 wrong key",
        "suspended" => "account suspended",
        "forbidden" => "403 forbidden",
        "overloaded" => "503 overloaded",
        "serverError" => "500 server error",
        "notFound" => "404 not found",
        "badRequest" => "400 bad request",
        "broken" => "connection broken",
        other => other,
    }
}

fn seconds(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        return format!("{} ms", duration.as_millis());
    }
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(millis: impl IntoIterator<Item = u64>) -> Summary {
        let mut summary = Summary::default();
        for millis in millis {
            summary.count(Duration::from_millis(millis), Ok(()));
        }
        summary
    }

    #[test]
    fn shares_of_the_answers_come_within_their_time() {
        let hundred = summary((1..=100).rev());
        assert_eq!(hundred.within(500), Duration::from_millis(50));
        assert_eq!(hundred.within(990), Duration::from_millis(99));
        assert_eq!(hundred.within(1_000), Duration::from_millis(100));
        assert_eq!(summary([]).within(500), Duration::ZERO);
    }

    #[test]
    fn one_failure_is_one_too_many() {
        let mut summary = summary([5]);
        assert!(summary.is_clean());
        summary.count(Duration::ZERO, Err("status 429".to_owned()));
        assert!(!summary.is_clean());
        let mut text = Vec::new();
        summary.write(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("status 429"), "{text}");
        assert!(text.contains("the application saw failures: 1"), "{text}");
    }
}
