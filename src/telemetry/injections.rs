//! Every metric of the injector.

use prometheus::{Histogram, IntCounterVec, IntGauge};

use super::metrics::Book;

/// The injector's metrics. Cheap to clone: every handle is shared.
#[derive(Clone, Debug)]
pub struct Injections {
    book: Book,
    /// Pods, by what became of them and why.
    pub injections: IntCounterVec,
    /// How long an admission took, from the whole request to the answer.
    pub admission_duration: Histogram,
    /// Until when the certificate is valid that the webhook shows.
    pub certificate_expiry: IntGauge,
}

/// Admissions: 100 µs to 10 s, which is how long the API server waits.
const ADMISSIONS: &[f64] =
    &[1e-4, 2.5e-4, 5e-4, 1e-3, 2e-3, 3e-3, 5e-3, 1e-2, 2.5e-2, 0.1, 0.5, 2.0, 10.0];

impl Injections {
    /// Registers every metric.
    pub fn new() -> Result<Self, prometheus::Error> {
        let book = Book::new();
        let metrics = Self {
            injections: book.counters(
                "injections_total",
                "Pods, by what became of them and why",
                &["result", "reason"],
            )?,
            admission_duration: book.histogram(
                "admission_duration_seconds",
                "From a whole admission request to its answer",
                ADMISSIONS,
            )?,
            certificate_expiry: book.gauge(
                "certificate_expiry_timestamp_seconds",
                "Until when the certificate is valid that the webhook shows",
            )?,
            book,
        };
        metrics.book.build_info()?;
        Ok(metrics)
    }

    /// Everything, in Prometheus' text format.
    pub fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        self.book.render()
    }
}
