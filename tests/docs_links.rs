//! Documents lead somewhere: every link between them, every file and every command option that they name.
#![cfg(test)]
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn documents() -> Vec<PathBuf> {
    fn gather(folder: &Path, found: &mut Vec<PathBuf>) {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                gather(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    let mut found = ["README.md", "CHANGELOG.md", "SECURITY.md"].map(|name| root().join(name)).to_vec();
    gather(&root().join("docs"), &mut found);
    assert!(found.len() > 8, "only {found:?}");
    found
}

/// The text without blocks of code.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// The targets of `[text](target)`.
fn links(text: &str) -> Vec<&str> {
    text.match_indices("](").filter_map(|(at, _)| text[at + 2..].split(')').next()).collect()
}

/// What a heading is called in a link.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let slug = |heading: &str| -> String {
        let kept = heading.to_lowercase().replace(' ', "-");
        kept.chars().filter(|letter| letter.is_alphanumeric() || "-_".contains(*letter)).collect()
    };
    headings.map(slug).collect()
}

#[test]
fn every_link_between_documents_resolves() {
    let mut broken = Vec::new();
    for document in documents() {
        let text = prose(&fs::read_to_string(&document).unwrap());
        for link in links(&text).into_iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { document.clone() } else { document.parent().unwrap().join(file) };
            let sound = match anchor {
                "" => target.exists(),
                anchor => fs::read_to_string(&target).is_ok_and(|text| anchors(&prose(&text)).contains(anchor)),
            };
            if !sound {
                broken.push(format!("{}: {link}", document.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
}

#[test]
fn every_file_that_the_architecture_names_is_there() {
    let text = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let is_path = |word: &&str| word.ends_with(".rs") || word.ends_with('/');
    let letter = |letter: char| letter.is_ascii_alphanumeric() || "_./".contains(letter);
    let named: BTreeSet<&str> = text.split(|c| !letter(c)).filter(is_path).filter(|word| word.len() > 3).collect();
    let missing: Vec<_> =
        named.iter().filter(|path| !root().join("src").join(path).exists() && !root().join(path).exists()).collect();
    assert!(named.len() > 12, "only {named:?}");
    assert!(missing.is_empty(), "not in the tree: {missing:?}");
    for folder in fs::read_dir(root().join("src")).unwrap().map(|entry| entry.unwrap()) {
        let name = folder.file_name().to_string_lossy().into_owned();
        let named = folder.path().is_file() || text.contains(&format!("| `{name}/`"));
        assert!(named, "src/{name} has no row in docs/architecture.md");
    }
}

#[test]
fn documents_speak_of_files_and_features_that_there_are() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let features = manifest.split("[features]").nth(1).and_then(|rest| rest.split("\n[").next()).unwrap();
    let features = features.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(" = "));
    for (feature, _) in features.filter(|(name, _)| !["default", "real-servers"].contains(name)) {
        assert!(readme.contains(&format!("| `{feature}`")), "README.md has no row for the feature {feature}");
    }
    let library = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    for row in readme.lines().filter(|line| line.starts_with("| `")) {
        let feature = row.split('`').nth(1).unwrap();
        assert!(library.contains(&format!("`{feature}`")), "src/lib.rs does not name the feature {feature}");
    }
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        let words = text.split(|c: char| c.is_whitespace() || "`()'\"".contains(c));
        let kept = ["examples/", "tests/", "benches/", "docs/", "src/"];
        for path in words.filter(|word| kept.iter().any(|folder| word.starts_with(folder))) {
            let path = path.trim_end_matches(['.', ',', ':', ';', ')']).split('#').next().unwrap();
            let pattern = path.contains(['*', '<', '{', '…']);
            // A file of the reader's, which the document itself holds.
            let shown = text.contains(&format!("`{path}`:\n\n```"));
            assert!(pattern || shown || root().join(path).exists(), "{}: {path} is not there", document.display());
        }
    }
}
