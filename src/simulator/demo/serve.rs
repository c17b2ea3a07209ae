//! What to type while proxy and providers stay up.

use std::io::{self, Write};

use super::ProxyAddress;
use super::cast::{ANTHROPIC_MODEL, GEMINI_MODEL, OPENAI_MODEL, value};
use crate::simulator::server::Simulator;

/// Writes lines for `curl` and the SDKs: through the proxy without a key, and straight to the
/// simulated providers with one.
pub(super) fn write<W: Write>(
    out: &mut W,
    proxy: ProxyAddress,
    simulator: &Simulator,
) -> io::Result<()> {
    let through = format!("http://{}", proxy.data);
    writeln!(out, "\nThrough Keyweir, with no key that matters:\n")?;
    curl(out, &through, ["none", "none", "none"])?;
    sdks(out, &through, ["none", "none", "none"])?;
    writeln!(out, "\nStraight to the simulated providers, each with a key of its own:\n")?;
    let keys = [value("main-1"), value("claude-1"), value("gemini-1")];
    let keys = [keys[0].as_str(), keys[1].as_str(), keys[2].as_str()];
    curl(out, &simulator.url(), keys)?;
    sdks(out, &simulator.url(), keys)?;
    let admin = proxy.admin;
    writeln!(
        out,
        "\nWhat Keyweir knows:  http://{admin}/  http://{admin}/status  http://{admin}/metrics"
    )?;
    writeln!(out, "What the providers saw:  {}/_sim/tally", simulator.url())?;
    writeln!(out, "\nCtrl-C ends both.")?;
    out.flush()
}

fn curl<W: Write>(
    out: &mut W,
    base: &str,
    [openai, anthropic, gemini]: [&str; 3],
) -> io::Result<()> {
    let say = r#"{"role":"user","content":"Hello"}"#;
    writeln!(
        out,
        "  curl {base}/v1/chat/completions -H 'authorization: Bearer {openai}' \
         -H 'content-type: application/json' \\\n    -d '{{\"model\":\"{OPENAI_MODEL}\",\"messages\":[{say}]}}'"
    )?;
    writeln!(
        out,
        "  curl {base}/v1/messages -H 'x-api-key: {anthropic}' -H 'anthropic-version: 2023-06-01' \
         -H 'content-type: application/json' \\\n    -d '{{\"model\":\"{ANTHROPIC_MODEL}\",\"max_tokens\":100,\
         \"messages\":[{say}]}}'"
    )?;
    writeln!(
        out,
        "  curl {base}/v1beta/models/{GEMINI_MODEL}:generateContent -H 'x-goog-api-key: {gemini}' \
         -H 'content-type: application/json' \\\n    -d '{{\"contents\":[{{\"parts\":[{{\"text\":\"Hello\"}}]}}]}}'"
    )
}

fn sdks<W: Write>(
    out: &mut W,
    base: &str,
    [openai, anthropic, gemini]: [&str; 3],
) -> io::Result<()> {
    writeln!(out, "  Python")?;
    writeln!(out, "    openai.OpenAI(base_url=\"{base}/v1\", api_key=\"{openai}\")")?;
    writeln!(out, "    anthropic.Anthropic(base_url=\"{base}\", api_key=\"{anthropic}\")")?;
    writeln!(
        out,
        "    genai.Client(api_key=\"{gemini}\", http_options={{\"base_url\": \"{base}\"}})"
    )?;
    writeln!(out, "  Node")?;
    writeln!(out, "    new OpenAI({{ baseURL: \"{base}/v1\", apiKey: \"{openai}\" }})")?;
    writeln!(out, "    new Anthropic({{ baseURL: \"{base}\", apiKey: \"{anthropic}\" }})")?;
    writeln!(
        out,
        "    new GoogleGenAI({{ apiKey: \"{gemini}\", httpOptions: {{ baseUrl: \"{base}\" }} }})"
    )
}

/// Until Ctrl-C, or whatever else ends processes here.
pub(super) async fn until_told() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        told = tokio::signal::ctrl_c() => told,
        _ = terminated.recv() => Ok(()),
    }
}
