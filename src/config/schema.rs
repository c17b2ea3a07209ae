//! The JSON Schema of the configuration, for editors.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::transform_subschemas;
use serde_json::{Value, json};

use super::raw::Raw;

/// The schema as it is shipped: draft 7, which editors understand best.
pub fn json() -> String {
    let settings = SchemaSettings::draft07().for_deserialize().with_transform(as_it_is_read);
    let schema = settings.into_generator().into_root_schema_for::<Raw>();
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

/// Maps and lists may be empty values, and a description's line breaks are those of its source.
fn as_it_is_read(schema: &mut Schema) {
    if let Some(kind) = schema.get_mut("type")
        && matches!(kind.as_str(), Some("object" | "array"))
    {
        *kind = json!([kind.take(), "null"]);
    }
    if let Some(Value::String(text)) = schema.get_mut("description") {
        let paragraphs: Vec<String> =
            text.split("\n\n").map(|text| text.replace('\n', " ")).collect();
        *text = paragraphs.join("\n\n");
    }
    transform_subschemas(&mut as_it_is_read, schema);
}
