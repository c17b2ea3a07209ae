//! Every metric of the proxy, registered once for the process.

use prometheus::{
    CounterVec, Encoder, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use super::sheet::Would;

/// The process's metrics. Cheap to clone: every handle is shared.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    /// Requests, by how they ended for the application.
    pub requests: IntCounterVec,
    /// Requests that Keyweir itself refused.
    pub refusals: IntCounterVec,
    /// What would have been done to requests if limits were enforced.
    pub would: IntCounterVec,
    /// Requests that a limit of a provider kept from being sent in time.
    pub unmet: IntCounterVec,
    /// Upstream answers, judged.
    pub upstream_responses: IntCounterVec,
    /// Failures the application never saw.
    pub absorbed: IntCounterVec,
    /// Tokens, as the provider counted them.
    pub tokens: IntCounterVec,
    /// What they cost, in US dollars.
    pub cost: CounterVec,
    /// From the request's head to the end of its answer.
    pub request_duration: Histogram,
    /// From the request's head to the first byte of its answer.
    pub time_to_first_token: Histogram,
    /// Time that was ours: neither the client's, nor the provider's, nor waiting for capacity.
    pub overhead: Histogram,
    /// Requests waiting for capacity.
    pub queue_depth: IntGaugeVec,
    /// How long requests waited that had to.
    pub queue_wait: Histogram,
    /// How full a limit is: 1 whole, 0 used up, below 0 in debt.
    pub limit_level: GaugeVec,
    /// How much of a limit is used: 0 none, 1 all.
    pub limit_used: GaugeVec,
    /// A limit as configured.
    pub limit_configured: GaugeVec,
    /// A limit as learned from the provider.
    pub limit_learned: GaugeVec,
    /// When a limit is used up if nothing changes, in seconds.
    pub limit_exhaustion: GaugeVec,
    /// How much of a caller's limit is used.
    pub caller_limit_used: GaugeVec,
    /// Limits that were used to the share at which somebody wants to know.
    pub limit_warnings: IntCounterVec,
    /// The state of each quota group.
    pub quota_group_state: IntGaugeVec,
    /// The state of each key.
    pub key_state: IntGaugeVec,
    /// The state of each breaker.
    pub breaker_state: IntGaugeVec,
    /// Requests sent again to a quota group they had already tried.
    pub retries: IntCounter,
    /// Requests moved from one provider to another.
    pub failovers: IntCounterVec,
    /// Configurations and Secrets taken or refused.
    pub config_reloads: IntCounterVec,
    /// Whether a source can be read.
    pub source_up: IntGaugeVec,
    /// How often the configuration in force has changed.
    pub config_generation: IntGauge,
    /// When the last good configuration was taken.
    pub config_last_success: IntGauge,
}

/// Time of our own: 10 µs to 100 ms.
const OVERHEAD: &[f64] =
    &[1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 1e-1];

/// Waiting: 1 ms to 300 s.
const WAITS: &[f64] =
    &[1e-3, 5e-3, 2e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0];

/// Whole answers: 5 ms to 10 minutes, which is how long the SDKs wait.
const ANSWERS: &[f64] =
    &[5e-3, 2e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 600.0];

impl Metrics {
    /// Registers every metric.
    #[expect(clippy::too_many_lines, reason = "a table, a metric a row")]
    pub fn new() -> Result<Self, prometheus::Error> {
        let book = Book { registry: Registry::new() };
        let by_limit = &["provider", "quota_group", "model", "limit"];
        let metrics = Self {
            requests: book.counters(
                "requests_total",
                "Requests, by how they ended for the application",
                &["provider", "model", "caller", "outcome"],
            )?,
            refusals: book.counters("refusals_total", "Requests refused by Keyweir", &["code"])?,
            would: book.counters(
                "would_total",
                "What would have been done to requests if limits were enforced",
                &["action"],
            )?,
            unmet: book.counters(
                "unmet_total",
                "Requests that a limit kept from being sent in time",
                &["provider", "model", "limit"],
            )?,
            upstream_responses: book.counters(
                "upstream_responses_total",
                "Upstream answers, judged",
                &["provider", "key", "model", "verdict"],
            )?,
            absorbed: book.counters(
                "absorbed_total",
                "Upstream failures that the application never saw",
                &["provider", "verdict"],
            )?,
            tokens: book.counters(
                "tokens_total",
                "Tokens as the provider counted them",
                &["provider", "key", "model", "caller", "kind"],
            )?,
            cost: book.sums(
                "cost_usd_total",
                "What the tokens cost, in US dollars",
                &["provider", "model", "caller"],
            )?,
            request_duration: book.histogram(
                "request_duration_seconds",
                "From the head of a request to the end of its answer",
                ANSWERS,
            )?,
            time_to_first_token: book.histogram(
                "time_to_first_token_seconds",
                "From the head of a request to the first byte of its answer",
                ANSWERS,
            )?,
            overhead: book.histogram(
                "overhead_seconds",
                "Time that was Keyweir's own",
                OVERHEAD,
            )?,
            queue_depth: book.gauges(
                "queue_depth",
                "Requests waiting for capacity",
                &["priority"],
            )?,
            queue_wait: book.histogram(
                "queue_wait_seconds",
                "How long requests waited for capacity that had to",
                WAITS,
            )?,
            limit_level: book.ratios("limit_level_ratio", "How full a limit is", by_limit)?,
            limit_used: book.ratios("limit_used_ratio", "How much of a limit is used", by_limit)?,
            limit_configured: book.ratios("limit_configured", "A limit as configured", by_limit)?,
            limit_learned: book.ratios("limit_learned", "A limit as learned", by_limit)?,
            limit_exhaustion: book.ratios(
                "limit_exhaustion_seconds",
                "When a limit is used up if nothing changes",
                by_limit,
            )?,
            caller_limit_used: book.ratios(
                "caller_limit_used_ratio",
                "How much of a caller's limit is used",
                &["caller", "limit"],
            )?,
            limit_warnings: book.counters(
                "limit_warnings_total",
                "Limits that were used to the share at which somebody wants to know",
                &["owner", "limit"],
            )?,
            quota_group_state: book.gauges(
                "quota_group_state",
                "The state of a quota group: 1 for the present one",
                &["provider", "quota_group", "state"],
            )?,
            key_state: book.gauges(
                "key_state",
                "The state of a key: 1 for the present one",
                &["provider", "key", "state"],
            )?,
            breaker_state: book.gauges(
                "breaker_state",
                "The state of a breaker: 1 for the present one",
                &["provider", "model", "state"],
            )?,
            retries: book.counter(
                "retries_total",
                "Requests sent again to a quota group that they had already tried",
            )?,
            failovers: book.counters(
                "failovers_total",
                "Requests moved from one provider to another",
                &["from", "to"],
            )?,
            config_reloads: book.counters(
                "config_reloads_total",
                "Configurations and Secrets taken or refused",
                &["result"],
            )?,
            source_up: book.gauges("source_up", "Whether a source can be read", &["source"])?,
            config_generation: book
                .gauge("config_generation", "How often the configuration in force has changed")?,
            config_last_success: book.gauge(
                "config_last_success_timestamp_seconds",
                "When the last good configuration was taken",
            )?,
            registry: book.registry,
        };
        metrics.build_info()?;
        metrics.begin();
        Ok(metrics)
    }

    /// Series that alerts are written on are there from the start, or they would be silent until the
    /// first time and miss it.
    fn begin(&self) {
        for priority in ["high", "normal", "batch"] {
            self.queue_depth.with_label_values(&[priority]).set(0);
        }
        for action in Would::ALL {
            self.would.with_label_values(&[action.as_str()]).inc_by(0);
        }
        for result in ["success", "refused"] {
            self.config_reloads.with_label_values(&[result]).inc_by(0);
        }
    }

    /// Everything, in Prometheus' text format.
    pub fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::with_capacity(16 * 1024);
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }

    /// Counts one more that waits for capacity, for as long as the guard lives.
    pub fn waiting(&self, priority: &str) -> Waiting {
        let gauge = self.queue_depth.with_label_values(&[priority]);
        gauge.inc();
        Waiting(gauge)
    }

    /// Tells a key's state: `healthy`, `resting`, `disabled` or `forbidden`.
    pub fn key_is(&self, provider: &str, key: &str, state: &str) {
        const STATES: [&str; 4] = ["healthy", "resting", "disabled", "forbidden"];
        one_of(&self.key_state, [provider, key], &STATES, state);
    }

    /// Tells a quota group's state: `available`, `held`, `benched` or `off`.
    pub fn quota_group_is(&self, provider: &str, quota_group: &str, state: &str) {
        const STATES: [&str; 4] = ["available", "held", "benched", "off"];
        one_of(&self.quota_group_state, [provider, quota_group], &STATES, state);
    }

    /// Tells the state of a model's breaker: `closed`, `open` or `halfOpen`. Where groups differ,
    /// each state that any of them is in is told.
    pub fn breaker_is(&self, provider: &str, model: &str, state: &str) {
        const STATES: [&str; 3] = ["closed", "open", "halfOpen"];
        one_of(&self.breaker_state, [provider, model], &STATES, state);
    }

    fn build_info(&self) -> Result<(), prometheus::Error> {
        let opts = Opts::new("keyweir_build_info", "The build that runs");
        let info = IntGaugeVec::new(opts, &["version"])?;
        info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        self.registry.register(Box::new(info))
    }
}

/// One that waits for capacity.
#[derive(Debug)]
pub struct Waiting(IntGauge);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Registers metrics under the product's prefix.
struct Book {
    registry: Registry,
}

impl Book {
    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.register(IntCounter::with_opts(opts(name, help))?)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, prometheus::Error> {
        self.register(IntCounterVec::new(opts(name, help), labels)?)
    }

    fn sums(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<CounterVec, prometheus::Error> {
        self.register(CounterVec::new(opts(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.register(IntGauge::with_opts(opts(name, help))?)
    }

    fn gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntGaugeVec, prometheus::Error> {
        self.register(IntGaugeVec::new(opts(name, help), labels)?)
    }

    fn ratios(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<GaugeVec, prometheus::Error> {
        self.register(GaugeVec::new(opts(name, help), labels)?)
    }

    fn histogram(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
    ) -> Result<Histogram, prometheus::Error> {
        let opts = HistogramOpts::new(format!("keyweir_{name}"), help).buckets(buckets.to_vec());
        self.register(Histogram::with_opts(opts)?)
    }

    fn register<M>(&self, metric: M) -> Result<M, prometheus::Error>
    where
        M: prometheus::core::Collector + Clone + 'static,
    {
        self.registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}

/// Each state a series: 1 for the present one.
fn one_of(family: &IntGaugeVec, labels: [&str; 2], states: &[&str], present: &str) {
    let [first, second] = labels;
    for state in states {
        let gauge = family.with_label_values(&[first, second, state]);
        gauge.set(gauge.get().max(i64::from(*state == present)));
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("keyweir_{name}"), help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_rendered_under_the_prefix_once_it_has_a_value() {
        let metrics = Metrics::new().unwrap();
        metrics.refusals.with_label_values(&["keys_invalid"]).inc();
        let text = String::from_utf8(metrics.render().unwrap()).unwrap();
        assert!(text.contains("keyweir_refusals_total{code=\"keys_invalid\"} 1"), "{text}");
        assert!(text.contains("keyweir_build_info{version="), "{text}");
        let names = text.lines().filter(|line| line.starts_with("# TYPE"));
        assert!(names.clone().count() > 5, "{text}");
        assert!(names.clone().all(|line| line.contains(" keyweir_")), "{text}");
    }
}
