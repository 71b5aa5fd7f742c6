//! What the document has of one plugin.
use std::fs;

use schemars::{JsonSchema, schema_for};
use tollgate::plugin::{AuthPlugin, Plugin, Stage};

use super::prose;
use super::table::{Row, rows};

/// One plugin.
pub(crate) struct Page {
    pub(crate) name: &'static str,
    pub(crate) stage: Stage,
    pub(crate) priority: i32,
    /// What its source says of it.
    pub(crate) prose: String,
    tables: Vec<(&'static str, Vec<Row>)>,
}

/// A plugin as routes have it.
pub(crate) fn plain<P: Plugin>() -> Page
where
    P::Config: JsonSchema,
{
    let page =
        Page { name: P::NAME, stage: P::STAGE, priority: P::PRIORITY, prose: prose::of(P::NAME), tables: Vec::new() };
    page.with::<P::Config>("Fields")
}

/// A plugin that identifies consumers.
pub(crate) fn auth<P: AuthPlugin>() -> Page
where
    P::Config: JsonSchema,
    P::Credential: JsonSchema,
{
    plain::<P>().with::<P::Credential>("Fields on a consumer or credential")
}

impl Page {
    pub(crate) fn metadata<T: JsonSchema>(self) -> Self {
        self.with::<T>("Metadata (`plugin_metadata`)")
    }

    pub(crate) fn attr<T: JsonSchema>(self) -> Self {
        self.with::<T>("Attributes (`tollgate.plugin_attr`)")
    }

    fn with<T: JsonSchema>(mut self, title: &'static str) -> Self {
        self.tables.push((title, rows(schema_for!(T).as_value())));
        self
    }

    pub(crate) fn text(&self) -> String {
        let (name, priority, prose) = (self.name, self.priority, &self.prose);
        let stage = format!("{:?}", self.stage).to_lowercase();
        let feature = prose::feature(name).map(|feature| format!(", feature `{feature}`")).unwrap_or_default();
        let mut text = format!("\n## {name}\n\nStage {stage}, priority {priority}{feature}.\n\n{prose}\n");
        for (title, rows) in &self.tables {
            text.push_str(&format!("\n**{title}**\n\n"));
            if rows.is_empty() {
                text.push_str("None: the block is `{}`.\n");
                continue;
            }
            text.push_str("| field | type | |\n|---|---|---|\n");
            rows.iter().for_each(|row| text.push_str(&row.line()));
        }
        let path = format!("{}/docs/plugins/examples/{}.yaml", env!("CARGO_MANIFEST_DIR"), self.name);
        if let Ok(example) = fs::read_to_string(path) {
            text.push_str(&format!(
                "\n**Example** ([file](plugins/examples/{}.yaml))\n\n```yaml\n{example}```\n",
                self.name
            ));
        }
        text
    }

    /// Fields that have no description.
    pub(crate) fn silent_fields(&self) -> Vec<String> {
        let silent = self.tables.iter().flat_map(|(_, rows)| rows).filter(|row| row.says.is_empty());
        silent.map(|row| format!("{}: {}", self.name, row.path)).collect()
    }
}
