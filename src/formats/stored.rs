//! Ids of what a provider stores for one organisation: files, batches, responses, vector stores,
//! conversations, containers, cached contents, and uploads that are under way. Whoever names one must meet the quota group that
//! made it.

use http::HeaderMap;
use smallvec::SmallVec;

/// The longest id that is kept, in bytes; the providers' own stay under 100.
pub const MAX_ID_BYTES: usize = 256;

/// How many ids of one request or answer are kept; the first ones decide.
pub const MAX_IDS: usize = 32;

/// Whether an id of something stored begins like that, up to and with its first `_`, `-` or `/`:
/// OpenAI's and Anthropic's prefixes, Gemini's resource names; `assistant-` is a file of Azure's.
/// `chatcmpl-` and `msg_` are left out: every chat has one and hardly any is stored.
fn is_stored_kind(prefix: &str) -> bool {
    matches!(
        prefix,
        "resp_"
            | "rs_"
            | "conv_"
            | "file-"
            | "file_"
            | "upload_"
            | "batch_"
            | "msgbatch_"
            | "vs_"
            | "vsfb_"
            | "cntr_"
            | "container_"
            | "cfile_"
            | "ftjob-"
            | "ftckpt_"
            | "asst_"
            | "assistant-"
            | "thread_"
            | "run_"
            | "eval_"
            | "evalrun_"
            | "video_"
            | "skill_"
            | "files/"
            | "cachedContents/"
            | "batches/"
            | "fileSearchStores/"
            | "tunedModels/"
            | "interactions/"
    )
}

/// What names something stored in a query: the upload that a piece is sent to (Gemini), or the item
/// of a list behind or before which it goes on (OpenAI, Anthropic).
const QUERY_NAMES: [&str; 5] = [UPLOAD, "after", "before", "after_id", "before_id"];

/// The name of an upload, in the URL that pieces of it are sent to.
const UPLOAD: &str = "upload_id";

/// The name a provider gave to something that it keeps for one organisation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoredId(Box<str>);

impl StoredId {
    /// An id that a request names; `None` for text that cannot be one.
    pub fn named(text: &str) -> Option<Self> {
        let id = text.trim_start_matches('/');
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:".contains(&byte);
        let fits = (1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(plain);
        fits.then(|| Self(id.into()))
    }

    /// An id that an answer tells; `None` unless it begins as the ids of stored things do.
    pub fn made(text: &str) -> Option<Self> {
        let end = text.bytes().position(|byte| b"_-/".contains(&byte))? + 1;
        text.get(..end).filter(|prefix| is_stored_kind(prefix)).and_then(|_| Self::named(text))
    }

    /// The file behind a Gemini file URI (`https://…/v1beta/files/abc` is `files/abc`); `None` for
    /// what Google does not store for the project (public pages, videos, buckets).
    pub fn of_uri(uri: &str) -> Option<Self> {
        let at = uri.rfind("files/")?;
        let (before, id) = uri.split_at_checked(at)?;
        let stored = ["/v1/", "/v1beta/"].iter().any(|version| before.ends_with(version));
        let stored = stored || before.is_empty();
        stored.then(|| Self::named(id)).flatten()
    }

    /// The ids that a query names.
    pub fn of_query(query: &str) -> impl Iterator<Item = Self> {
        pairs(query)
            .filter_map(|(name, id)| QUERY_NAMES.contains(&name).then(|| Self::named(id))?)
    }

    /// The upload that an answer has begun; Gemini's tells the URL to which its pieces are sent
    /// (Gemini API reference, "resumable upload").
    pub fn of_headers(headers: &HeaderMap) -> Option<Self> {
        let url = headers.get("x-goog-upload-url")?.to_str().ok()?;
        let (_, query) = url.split_once('?')?;
        let (_, id) = pairs(query).find(|(name, _)| *name == UPLOAD)?;
        Self::named(id)
    }

    /// The id as the provider writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The ids of one request or answer: each once, at most [`MAX_IDS`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredIds(SmallVec<[StoredId; 1]>);

impl StoredIds {
    /// Adds an id, unless it is there already or the bound is reached.
    pub fn push(&mut self, id: StoredId) {
        if self.0.len() < MAX_IDS && !self.0.contains(&id) {
            self.0.push(id);
        }
    }

    /// The ids, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &StoredId> {
        self.0.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl Extend<StoredId> for StoredIds {
    fn extend<I: IntoIterator<Item = StoredId>>(&mut self, ids: I) {
        for id in ids {
            self.push(id);
        }
    }
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter_map(|pair| pair.split_once('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(id: Option<StoredId>) -> Option<String> {
        id.map(|id| id.as_str().to_owned())
    }

    #[test]
    fn text_that_cannot_be_an_id_is_none() {
        for not_an_id in ["", "two words", "ümlaut", "line\nbreak", &"x".repeat(MAX_ID_BYTES + 1)]
        {
            assert_eq!(StoredId::named(not_an_id), None, "{not_an_id}");
        }
        assert_eq!(text(StoredId::named("file-1")).as_deref(), Some("file-1"));
    }

    #[test]
    fn an_answers_id_counts_only_if_it_is_of_something_stored() {
        assert!(StoredId::made("resp_1").is_some());
        assert!(StoredId::made("cachedContents/1").is_some());
        assert!(StoredId::made("chatcmpl-1").is_none());
        assert!(StoredId::made("msg_1").is_none());
    }

    #[test]
    fn only_googles_own_files_are_stored_files() {
        let stored = "https://generativelanguage.googleapis.com/v1beta/files/abc";
        assert_eq!(text(StoredId::of_uri(stored)).as_deref(), Some("files/abc"));
        assert_eq!(text(StoredId::of_uri("files/abc")).as_deref(), Some("files/abc"));
        assert_eq!(StoredId::of_uri("https://example.com/files/abc"), None);
        assert_eq!(StoredId::of_uri("https://youtu.be/abc"), None);
        assert_eq!(StoredId::of_uri("gs://bucket/abc"), None);
    }

    #[test]
    fn a_query_names_an_upload_or_the_place_in_a_list() {
        let named = |query| StoredId::of_query(query).filter_map(|id| text(Some(id))).collect();
        let ids: Vec<_> = named("upload_id=AbC-_9&upload_protocol=resumable");
        assert_eq!(ids, ["AbC-_9"]);
        let ids: Vec<_> = named("limit=2&after=file-1");
        assert_eq!(ids, ["file-1"]);
        let ids: Vec<_> = named("after_id=msgbatch_1&before_id=");
        assert_eq!(ids, ["msgbatch_1"]);
        let ids: Vec<_> = named("alt=media&after&upload_id=a%20b&order=asc");
        assert!(ids.is_empty(), "{ids:?}");
    }

    #[test]
    fn an_answer_tells_the_upload_that_it_has_begun() {
        let headers = |url: &str| {
            let name = http::HeaderName::from_static("x-goog-upload-url");
            HeaderMap::from_iter([(name, http::HeaderValue::from_str(url).unwrap())])
        };
        let url = "https://generativelanguage.googleapis.com/upload/v1beta/files";
        let begun = headers(&format!("{url}?upload_protocol=resumable&upload_id=AbC-_9"));
        assert_eq!(text(StoredId::of_headers(&begun)).as_deref(), Some("AbC-_9"));
        assert_eq!(StoredId::of_headers(&headers(url)), None);
        assert_eq!(StoredId::of_headers(&HeaderMap::new()), None);
    }

    #[test]
    fn ids_are_kept_once_and_within_the_bound() {
        let mut ids = StoredIds::default();
        ids.extend((0..100).filter_map(|n| StoredId::named(&format!("file-{}", n / 2))));
        assert_eq!(ids.len(), MAX_IDS);
        assert_eq!(ids.iter().next().map(StoredId::as_str), Some("file-0"));
    }
}
