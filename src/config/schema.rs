//! The JSON Schema of the configuration, for editors.

use schemars::generate::SchemaSettings;

use super::raw::Raw;

/// The schema as it is shipped: draft 7, which editors understand best.
pub fn json() -> String {
    let schema =
        SchemaSettings::draft07().for_deserialize().into_generator().into_root_schema_for::<Raw>();
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}
