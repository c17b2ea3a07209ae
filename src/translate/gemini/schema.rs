//! Google's own dialect of schemas, made JSON schema.

use crate::translate::json::{Json, Object};

/// What Google's `Schema` says, as JSON schema: types in lower case, `nullable` as a type of its own.
/// Fields that JSON schema lacks are left out.
pub(crate) fn plain(schema: Json<'_>) -> Json<'_> {
    match schema {
        Json::Object(fields) => Json::Object(object(fields)),
        Json::Array(items) => Json::Array(items.into_iter().map(plain).collect()),
        other => other,
    }
}

fn object(fields: Object<'_>) -> Object<'_> {
    let nullable =
        fields.iter().any(|(name, value)| name == "nullable" && value.as_bool() == Some(true));
    let mut plain_fields = Object::with_capacity(fields.len());
    for (name, value) in fields {
        let value = match (&*name, value) {
            ("nullable" | "propertyOrdering" | "property_ordering", _) => continue,
            ("type", Json::Text(kind)) => {
                let kind: Json<'_> = kind.to_ascii_lowercase().into();
                if nullable { Json::Array(vec![kind, "null".into()]) } else { kind }
            }
            // Names of properties are no fields of a schema.
            ("properties" | "$defs" | "defs", Json::Object(properties)) => {
                Json::Object(properties.into_iter().map(|(n, it)| (n, plain(it))).collect())
            }
            ("enum" | "required" | "default" | "example" | "const", value) => value,
            ("format", Json::Text(format)) if format == "enum" => continue,
            // Protocol buffers write 64-bit numbers as strings.
            ("minItems" | "maxItems" | "minLength" | "maxLength", Json::Text(text)) => {
                text.parse::<u64>().map_or(Json::Text(text), Into::into)
            }
            (_, value) => plain(value),
        };
        plain_fields.push((name, value));
    }
    plain_fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn google_s_words_become_json_schema_s() {
        let google = r#"{"type":"OBJECT","properties":{"type":{"type":"STRING","nullable":true},"n":{"type":"ARRAY","minItems":"2","items":{"type":"INTEGER"}}},"propertyOrdering":["n"],"required":["type"]}"#;
        let schema = r#"{"type":"object","properties":{"type":{"type":["string","null"]},"n":{"type":"array","minItems":2,"items":{"type":"integer"}}},"required":["type"]}"#;
        assert_eq!(plain(Json::read(google.as_bytes()).unwrap()).to_text(), schema);
        assert_eq!(plain(Json::read(schema.as_bytes()).unwrap()).to_text(), schema);
    }
}
