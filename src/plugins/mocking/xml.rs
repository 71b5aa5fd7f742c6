//! JSON values as XML.
use serde_json::Value;

/// The value inside of `<data>`.
pub(super) fn document(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Array(items) => wrap("data", &mut out, |out| items.iter().for_each(|item| element("item", item, out))),
        value => element("data", value, &mut out),
    }
    out
}

/// One element; of an array, one for each item.
fn element(name: &str, value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| element(name, item, out)),
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            wrap(name, out, |out| members.into_iter().for_each(|(name, value)| element(name, value, out)));
        }
        Value::Null => wrap(name, out, |_| {}),
        Value::String(text) => wrap(name, out, |out| escape(text, out)),
        plain => wrap(name, out, |out| out.push_str(&plain.to_string())),
    }
}

fn wrap(name: &str, out: &mut String, content: impl FnOnce(&mut String)) {
    let name = tag(name);
    out.push('<');
    out.push_str(&name);
    out.push('>');
    content(out);
    out.push_str("</");
    out.push_str(&name);
    out.push('>');
}

/// A name that XML takes: what it does not allow becomes `_`.
fn tag(name: &str) -> String {
    let is_fine = |character: char| character.is_ascii_alphanumeric() || "_-.".contains(character);
    let mut tag: String = name.chars().map(|character| if is_fine(character) { character } else { '_' }).collect();
    if !tag.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') {
        tag.insert(0, '_');
    }
    tag
}

fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            character => out.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_become_elements() {
        for (value, wanted) in [
            (json!("a<b&c>"), "<data>a&lt;b&amp;c&gt;</data>"),
            (json!({"n": 1.5, "t": true, "z": null}), "<data><n>1.5</n><t>true</t><z></z></data>"),
            (json!({"a": [1, {"b": 2}]}), "<data><a>1</a><a><b>2</b></a></data>"),
            (json!({"data": [1, 2]}), "<data><data>1</data><data>2</data></data>"),
            (json!([1, 2]), "<data><item>1</item><item>2</item></data>"),
            (json!({"1 x/": "", "": 1}), "<data><_>1</_><_1_x_></_1_x_></data>"),
        ] {
            assert_eq!(document(&value), wanted, "{value}");
        }
    }
}
