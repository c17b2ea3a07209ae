//! The little of `multipart/form-data` (RFC 7578) that uploads need.

use bytes::Bytes;
use memchr::memmem;

/// One part of a form.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) filename: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) content: Bytes,
}

/// A form's parts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form(Vec<Part>);

impl Form {
    /// Reads a body whose content type is `content_type`; `None` if it is no form or not whole.
    pub(crate) fn read(content_type: &str, body: &Bytes) -> Option<Self> {
        let (kind, parameters) = content_type.split_once(';')?;
        if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
            return None;
        }
        let boundary = parameter(parameters, "boundary")?;
        let delimiter = format!("\r\n--{boundary}");
        let mut parts = Vec::new();
        let mut rest = body.slice_ref(body.strip_prefix(delimiter.trim_start().as_bytes())?);
        while !rest.starts_with(b"--") {
            let end = memmem::find(&rest, delimiter.as_bytes())?;
            parts.push(Part::read(&rest.slice(..end))?);
            rest = rest.slice(end + delimiter.len()..);
        }
        Some(Self(parts))
    }

    pub(crate) fn part(&self, name: &str) -> Option<&Part> {
        self.0.iter().find(|part| part.name == name)
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.part(name).map(|part| String::from_utf8_lossy(&part.content).into_owned())
    }
}

impl Part {
    fn read(bytes: &Bytes) -> Option<Self> {
        let split = memmem::find(bytes, b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(bytes.get(..split)?).into_owned();
        let header = |name: &str| {
            head.split("\r\n").find_map(|line| {
                let (found, value) = line.split_once(':')?;
                found.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        let disposition = header("content-disposition")?;
        Some(Self {
            name: parameter(&disposition, "name")?,
            filename: parameter(&disposition, "filename"),
            content_type: header("content-type"),
            content: bytes.slice(split + 4..),
        })
    }
}

/// The value of `name=value` or `name="value"` among parameters separated by semicolons.
fn parameter(parameters: &str, name: &str) -> Option<String> {
    parameters.split(';').find_map(|parameter| {
        let (found, value) = parameter.split_once('=')?;
        found.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "--b0\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n\
        --b0\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\
        Content-Type: application/jsonl\r\n\r\nline one\r\n--not the end\r\n--b0--\r\n";

    #[test]
    fn fields_and_files_are_read() {
        let body = Bytes::from_static(FORM.as_bytes());
        let form = Form::read("multipart/form-data; boundary=b0", &body).unwrap();
        assert_eq!(form.text("purpose").as_deref(), Some("batch"));
        let file = form.part("file").unwrap();
        assert_eq!(file.filename.as_deref(), Some("a.jsonl"));
        assert_eq!(file.content_type.as_deref(), Some("application/jsonl"));
        assert_eq!(file.content, "line one\r\n--not the end");
    }

    #[test]
    fn what_is_no_whole_form_is_none() {
        let whole = Bytes::from_static(FORM.as_bytes());
        assert!(Form::read("application/json", &whole).is_none());
        assert!(Form::read("multipart/form-data; boundary=other", &whole).is_none());
        for cut in 0..whole.len() - 8 {
            let form = Form::read("multipart/form-data; boundary=b0", &whole.slice(..cut));
            assert!(form.is_none(), "cut after {cut} bytes");
        }
    }
}
