//! The official SDKs, unmodified, straight against the simulator. `tests/sdk/README.md` says how the
//! suites are told where to go.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests stop the test when they fail"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use keyweir::simulator::{Account, Habit, Model, ModelKind, Plan, Simulator};

const OPENAI: &str = "sk-sdk-openai-00000001";
const ANTHROPIC: &str = "sk-ant-sdk-00000001";
const GEMINI: &str = "AIza-sdk-00000001";

#[test]
fn the_python_sdks_are_content() {
    let simulator = Simulator::start(plan()).unwrap();
    let home = scratch("sdk-python");
    let python = virtual_environment(&home);
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk/python");
    let mut pytest = Command::new(python);
    pytest.args(["-B", "-m", "pytest", "-q", "any", "direct"]).current_dir(suite);
    run(pointed_at(&simulator, &mut pytest));
}

#[test]
fn the_node_sdks_are_content() {
    let simulator = Simulator::start(plan()).unwrap();
    let home = scratch("sdk-node");
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk/node");
    install_node(&suite, &home);
    let mut node = Command::new("node");
    // One file at a time: what one breaks would hit the others.
    node.args(["--test", "--test-concurrency=1", "any/", "direct/"]).current_dir(&home);
    run(pointed_at(&simulator, &mut node));
}

/// One account of each provider, with what `tests/sdk/README.md` names.
fn plan() -> Plan {
    Plan::of([
        Account::new(Habit::OpenAi, "openai")
            .key("one", OPENAI)
            .model(Model::chat("gpt-4o"))
            .model(Model::new(ModelKind::Reasoning, "o4-mini"))
            .model(Model::new(ModelKind::Embedding, "text-embedding-3-small"))
            .model(Model::new(ModelKind::Transcription, "whisper-1")),
        Account::new(Habit::Anthropic, "anthropic")
            .key("one", ANTHROPIC)
            .model(Model::chat("claude-sonnet-5-5")),
        Account::new(Habit::Gemini, "gemini")
            .key("one", GEMINI)
            .model(Model::chat("gemini-2.5-flash"))
            .model(Model::new(ModelKind::Embedding, "gemini-embedding-001")),
    ])
}

fn pointed_at<'a>(simulator: &Simulator, command: &'a mut Command) -> &'a mut Command {
    let url = simulator.url();
    command
        .env("KEYWEIR_OPENAI_BASE", format!("{url}/v1"))
        .env("KEYWEIR_ANTHROPIC_BASE", &url)
        .env("KEYWEIR_GEMINI_BASE", &url)
        .env("KEYWEIR_SIMULATOR", &url)
        .env("KEYWEIR_OPENAI_KEY", OPENAI)
        .env("KEYWEIR_ANTHROPIC_KEY", ANTHROPIC)
        .env("KEYWEIR_GEMINI_KEY", GEMINI)
        .env("NO_PROXY", "127.0.0.1,localhost")
}

/// The interpreter of an environment that holds the pinned SDKs; made once, and anew when they change.
fn virtual_environment(home: &Path) -> PathBuf {
    let requirements =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk/python/requirements.txt");
    let python = home.join("venv/bin/python");
    if is_done(home, &[&requirements]) {
        return python;
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(home.join("venv")));
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "-q", "--disable-pip-version-check", "-r"])
        .arg(&requirements);
    run(&mut pip);
    mark_done(home, &[&requirements]);
    python
}

/// The suite and the pinned SDKs side by side, away from the sources.
fn install_node(suite: &Path, home: &Path) {
    for folder in ["any", "direct"] {
        fs::create_dir_all(home.join(folder)).unwrap();
        for entry in fs::read_dir(suite.join(folder)).unwrap() {
            let file = entry.unwrap();
            fs::copy(file.path(), home.join(folder).join(file.file_name())).unwrap();
        }
    }
    for name in ["package.json", "package-lock.json", "clients.mjs"] {
        fs::copy(suite.join(name), home.join(name)).unwrap();
    }
    let lock = suite.join("package-lock.json");
    if is_done(home, &[&lock]) {
        return;
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(home);
    run(&mut npm);
    mark_done(home, &[&lock]);
}

fn scratch(name: &str) -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&home).unwrap();
    home
}

/// Whether what was installed is what these files ask for.
fn is_done(home: &Path, wanted: &[&Path]) -> bool {
    fs::read(home.join("installed")).is_ok_and(|done| done == contents(wanted))
}

fn mark_done(home: &Path, wanted: &[&Path]) {
    fs::write(home.join("installed"), contents(wanted)).unwrap();
}

fn contents(files: &[&Path]) -> Vec<u8> {
    files.iter().flat_map(|file| fs::read(file).unwrap()).collect()
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed:\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}
