//! `docs/write-a-plugin.md`, followed literally: its files in an empty project, and its command. It compiles the crate once
//! more, so it runs with the long tests.
#![cfg(test)]
#![cfg(feature = "real-servers")]
use std::fs;
use std::path::Path;
use std::process::Command;

const TEXT: &str = include_str!("../docs/write-a-plugin.md");

/// The code block behind the mention of a file.
fn file(name: &str) -> String {
    let mention = format!("`{name}`:\n\n```");
    let at = TEXT.find(&mention).unwrap_or_else(|| panic!("no {name} in the text")) + mention.len();
    let block = TEXT[at..].split_once('\n').unwrap().1;
    block.split_once("\n```").unwrap().0.to_owned() + "\n"
}

#[test]
fn ten_minutes_lead_to_a_tested_plugin() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let project = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tenant");
    let _ = fs::remove_dir_all(&project);
    for name in ["Cargo.toml", "src/lib.rs", "tests/tenant.rs"] {
        let path = project.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file(name)).unwrap();
    }
    // The crate as it is here, and the versions that it is tested with.
    let patch = format!("\n[patch.crates-io]\ntollgate = {{ path = {:?} }}\n\n[workspace]\n", root.to_str().unwrap());
    let manifest = project.join("Cargo.toml");
    fs::write(&manifest, fs::read_to_string(&manifest).unwrap() + &*patch).unwrap();
    fs::copy(root.join("Cargo.lock"), project.join("Cargo.lock")).unwrap();
    let mut command = Command::new(env!("CARGO"));
    command.arg("test").current_dir(&project).env("CARGO_TARGET_DIR", project.with_file_name("tenant-target"));
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &*String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("test result: ok. 3 passed"), "{told}");
}
