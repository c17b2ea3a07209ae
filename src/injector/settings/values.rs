//! How the values of annotations are written.

use super::super::quantity;
use crate::config::{bad_secret_name, closest, shown};

/// The entry of the ConfigMap of certificate authorities.
const DEFAULT_CA_ENTRY: &str = "ca.crt";
/// Below it, ports ask for a privilege that the sidecar does not have.
const LOWEST_PORT: u16 = 1024;
/// The longest name of an image.
const LONGEST_IMAGE: usize = 1_024;

/// What is wrong with a value, and what was probably meant.
#[derive(Debug)]
pub(super) struct Wrong {
    what: String,
    meant: Option<String>,
}

impl Wrong {
    pub(super) fn new(what: String) -> Self {
        Self { what, meant: None }
    }

    /// A word that may be a slip of one of `words`.
    pub(super) fn slip<'a>(what: String, word: &str, words: impl Iterator<Item = &'a str>) -> Self {
        Self { what, meant: closest(word, words) }
    }

    /// The sentence that ends in `instead`.
    pub(super) fn sentence(&self, instead: &str) -> String {
        let Self { what, meant } = self;
        match meant {
            Some(meant) => format!("{what}{instead}; did you mean `{meant}`?"),
            None => format!("{what}{instead}"),
        }
    }
}

pub(super) fn one_of(text: &str, words: &[&str]) -> Result<String, Wrong> {
    if words.contains(&text) {
        return Ok(text.to_owned());
    }
    let what = format!("`{}` is none of {}", shown(text), words.join(", "));
    Err(Wrong::slip(what, text, words.iter().copied()))
}

pub(super) fn object_name(text: &str) -> Result<String, Wrong> {
    match bad_secret_name(text) {
        None => Ok(text.to_owned()),
        Some(_) => Err(Wrong::new(format!("`{}` is no object's name", shown(text)))),
    }
}

/// A name of a container or of a volume.
pub(super) fn part_name(text: &str) -> Result<String, Wrong> {
    if text.len() <= 63 && !text.contains('.') && bad_secret_name(text).is_none() {
        Ok(text.to_owned())
    } else {
        Err(Wrong::new(format!("`{}` is no name of a container or volume", shown(text))))
    }
}

pub(super) fn secret_volume(text: &str) -> Result<(String, String), Wrong> {
    let (volume, secret) = text.split_once(':').unwrap_or((text, text));
    Ok((part_name(volume)?, object_name(secret)?))
}

pub(super) fn ca(text: &str) -> Result<(String, String), Wrong> {
    let (name, entry) = text.split_once('/').unwrap_or((text, DEFAULT_CA_ENTRY));
    let entry_is_good = (1..=253).contains(&entry.len())
        && !entry.starts_with('.')
        && entry.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if !entry_is_good {
        return Err(Wrong::new(format!("`{}` is no entry's name", shown(entry))));
    }
    Ok((object_name(name)?, entry.to_owned()))
}

pub(super) fn port(text: &str) -> Result<u16, Wrong> {
    let port = text.parse().ok().filter(|port| *port >= LOWEST_PORT);
    let wrong = || Wrong::new(format!("`{}` is no port from {LOWEST_PORT} to 65535", shown(text)));
    port.ok_or_else(wrong)
}

pub(super) fn image(text: &str) -> Result<String, Wrong> {
    let is_good = text.len() <= LONGEST_IMAGE && text.chars().all(|c| c.is_ascii_graphic());
    if is_good { Ok(text.to_owned()) } else { Err(Wrong::new("that is no image".to_owned())) }
}

pub(super) fn amount(text: &str) -> Result<String, Wrong> {
    match quantity::parse(text) {
        Some(amount) if amount > 0.0 => Ok(text.to_owned()),
        _ => Err(Wrong::new(format!("`{}` is no quantity like `10m` or `64Mi`", shown(text)))),
    }
}

/// A limit that is asked for.
#[derive(Debug)]
pub(super) enum Limit {
    /// This much.
    At(String),
    /// None.
    Off,
}

pub(super) fn limit(text: &str) -> Result<Limit, Wrong> {
    if text == "none" { Ok(Limit::Off) } else { amount(text).map(Limit::At) }
}
