//! Quantities as Kubernetes writes them: `10m`, `32Mi`, `1.5`, `1e3`.

/// What a quantity amounts to; `None` for what is none, or is negative.
pub(super) fn parse(text: &str) -> Option<f64> {
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(digits)?;
    let number: f64 = number.parse().ok()?;
    Some(number * factor(suffix)?)
}

fn factor(suffix: &str) -> Option<f64> {
    const KIBI: f64 = 1024.0;
    Some(match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => KIBI,
        "Mi" => KIBI.powi(2),
        "Gi" => KIBI.powi(3),
        "Ti" => KIBI.powi(4),
        "Pi" => KIBI.powi(5),
        "Ei" => KIBI.powi(6),
        _ => {
            let exponent: i8 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            10_f64.powi(exponent.into())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        for (text, amount) in [
            ("0", 0.0),
            ("10m", 0.01),
            ("1.5", 1.5),
            (".5", 0.5),
            ("2", 2.0),
            ("1e3", 1_000.0),
            ("1E3", 1_000.0),
            ("32Mi", 33_554_432.0),
            ("32M", 32_000_000.0),
            ("1Gi", 1_073_741_824.0),
            ("1E", 1e18),
        ] {
            let found = parse(text).unwrap();
            assert!((found - amount).abs() <= amount * 1e-12, "{text}: {found}");
        }
        for text in ["", ".", "-1", "+1", "10 m", "32mi", "32MB", "x", "1.2.3", "1e", "∞"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
