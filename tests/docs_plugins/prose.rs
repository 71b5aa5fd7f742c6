//! The documentation of a plugin's module, for readers who configure and do not program.
use std::fs;
use std::path::Path;

/// What the module of that plugin says first, without Rust examples and without links into the code.
pub(crate) fn of(plugin: &str) -> String {
    let file = plugin.replace('-', "_");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/plugins");
    let source = fs::read_to_string(folder.join(format!("{file}.rs")))
        .or_else(|_| fs::read_to_string(folder.join(file).join("mod.rs")))
        .unwrap_or_else(|error| panic!("{plugin}: {error}"));
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    let lines: Vec<_> = lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    let text = unlinked(&without_rust(&lines).join("\n"));
    let paragraphs: Vec<_> =
        text.split("\n\n").filter(|text| !text.trim().is_empty()).map(|text| text.trim_matches('\n')).collect();
    paragraphs.join("\n\n")
}

/// The feature that the plugin needs, as the list of the standard plugins has it.
pub(crate) fn feature(plugin: &str) -> Option<String> {
    let list = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/plugins/standard.rs")).unwrap();
    let lines: Vec<_> = list.lines().map(str::trim).collect();
    let entry = format!("super::{}::", plugin.replace('-', "_"));
    let at =
        lines.iter().position(|line| line.contains(&entry)).unwrap_or_else(|| panic!("{plugin} is not in the list"));
    let condition = lines[at - 1].strip_prefix("#[cfg(feature = \"")?;
    Some(condition.split('"').next().unwrap().to_owned())
}

/// Leaves out fenced blocks of Rust, which are those without a language, and definitions of links.
fn without_rust<'l>(lines: &[&'l str]) -> Vec<&'l str> {
    let (mut kept, mut fence) = (Vec::new(), None);
    for line in lines {
        match fence {
            None => match line.trim_start().strip_prefix("```") {
                Some(language) => {
                    let rust = language.is_empty() || language.starts_with("rust") || language.starts_with("no_run");
                    fence = Some(rust);
                    if !rust {
                        kept.push(*line);
                    }
                }
                None if line.starts_with("[`") && line.contains("]: ") => {}
                None => kept.push(*line),
            },
            Some(rust) => {
                if !rust {
                    kept.push(*line);
                }
                if line.trim() == "```" {
                    fence = None;
                }
            }
        }
    }
    kept
}

/// Turns ``[`Name`](path)`` and ``[`Name`]`` into `` `Name` ``. Links to pages stay.
pub(crate) fn unlinked(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("[`") {
        let (before, from) = rest.split_at(at);
        let Some(end) = from.find("`]") else { break };
        out.push_str(before);
        out.push_str(&from[1..=end]);
        rest = &from[end + 2..];
        if let Some(link) = rest.strip_prefix('(')
            && let Some(close) = link.find(')')
        {
            rest = &link[close + 1..];
        }
    }
    out + rest
}

#[test]
fn links_into_code_become_names() {
    assert_eq!(unlinked("a [`B`](crate::B) c [`D::e`] f [g](h.md)"), "a `B` c `D::e` f [g](h.md)");
    let lines = ["a", "```", "rust", "```", "b", "```json", "{}", "```", "[`B`]: crate::B"];
    assert_eq!(without_rust(&lines), ["a", "b", "```json", "{}", "```"]);
}
