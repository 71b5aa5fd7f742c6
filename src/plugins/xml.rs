//! XML as plain data.
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use serde_json::{Map, Value};

use crate::plugin::bodies::{Bodies, Misread};

/// An element that is not closed yet.
struct Element {
    name: String,
    attributes: Map<String, Value>,
    children: Map<String, Value>,
    text: String,
}

/// The data of a document: its root element by name.
///
/// # Errors
/// What is no XML, more than the limits allow, a document type (which could define entities without end), an entity
/// that XML does not know by itself.
pub(super) fn decode(bodies: &Bodies, text: &[u8]) -> Result<Value, Misread> {
    let text = std::str::from_utf8(text).map_err(|error| Misread::Malformed(error.to_string()))?;
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let mut open: Vec<Element> = Vec::new();
    let mut root = Map::new();
    let mut nodes = 0;
    loop {
        let event = reader.read_event();
        let at = reader.buffer_position();
        let malformed = |reason: String| Misread::Malformed(format!("{reason} (at byte {at})"));
        let event = event.map_err(|error| malformed(error.to_string()))?;
        let element = |tag: &BytesStart<'_>, depth: usize, nodes: &mut usize| {
            if depth >= bodies.most_depth() {
                return Err(Misread::TooDeep(bodies.most_depth()));
            }
            Element::new(tag, nodes, bodies.most_values()).map_err(|fault| match fault {
                Misread::Malformed(reason) => malformed(reason),
                other => other,
            })
        };
        match event {
            Event::Start(tag) | Event::Empty(tag) if open.is_empty() && !root.is_empty() => {
                return Err(malformed(format!("<{}> stands behind the root element", tag.local_name().as_ref())));
            }
            Event::Start(tag) => {
                open.push(element(&tag, open.len(), &mut nodes)?);
            }
            Event::Empty(tag) => {
                let element = element(&tag, open.len(), &mut nodes)?;
                close(element, &mut open, &mut root);
            }
            Event::End(_) => match open.pop() {
                Some(element) => close(element, &mut open, &mut root),
                None => return Err(malformed("an element is closed that was not opened".to_owned())),
            },
            Event::Text(part) => push(&mut open, &part.xml10_content()).map_err(malformed)?,
            Event::CData(part) => push(&mut open, &part.xml10_content()).map_err(malformed)?,
            Event::GeneralRef(reference) => {
                let character = match &*reference {
                    "lt" => Some('<'),
                    "gt" => Some('>'),
                    "amp" => Some('&'),
                    "quot" => Some('"'),
                    "apos" => Some('\''),
                    _ => reference.resolve_char_ref().map_err(|error| malformed(error.to_string()))?,
                };
                let Some(character) = character else {
                    return Err(malformed(format!("the entity &{}; is not known", &*reference)));
                };
                push(&mut open, character.encode_utf8(&mut [0; 4])).map_err(malformed)?;
            }
            Event::DocType(_) => return Err(malformed("a document type is not taken".to_owned())),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof if !open.is_empty() || root.is_empty() => {
                return Err(malformed("the document ends too early".to_owned()));
            }
            Event::Eof => return Ok(root.into()),
        }
    }
}

/// Counts a value before it is kept.
fn count(nodes: &mut usize, most: usize) -> Result<(), Misread> {
    *nodes += 1;
    if *nodes > most { Err(Misread::TooMany(most)) } else { Ok(()) }
}

impl Element {
    /// One tag may have as many attributes as a document: they are counted one by one, declarations of namespaces as
    /// well.
    fn new(tag: &BytesStart<'_>, nodes: &mut usize, most: usize) -> Result<Self, Misread> {
        let malformed = |error: &dyn std::fmt::Display| Misread::Malformed(error.to_string());
        count(nodes, most)?;
        let mut attributes = Map::new();
        for attribute in tag.attributes() {
            count(nodes, most)?;
            let attribute = attribute.map_err(|error| malformed(&error))?;
            if attribute.key.as_namespace_binding().is_some() {
                continue;
            }
            let value = attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0);
            let value = value.map_err(|error| malformed(&error))?.into_owned();
            let name = attribute.key.local_name().as_ref().to_owned();
            // Without their prefixes two names can be one, and readers would differ in which of them counts.
            if attributes.contains_key(&name) {
                return Err(malformed(&format_args!("the attribute {name} stands twice in one element")));
            }
            attributes.insert(name, value.into());
        }
        let name = tag.local_name().as_ref().to_owned();
        Ok(Self { name, attributes, children: Map::new(), text: String::new() })
    }

    fn value(mut self) -> (String, Value) {
        let text = self.text.trim();
        // No element poses as what only the gateway says.
        for reserved in ["_text", "_attr"] {
            self.children.remove(reserved);
        }
        if self.attributes.is_empty() && self.children.is_empty() {
            return (self.name, text.into());
        }
        let mut value = self.children;
        if !text.is_empty() {
            value.insert("_text".to_owned(), text.into());
        }
        if !self.attributes.is_empty() {
            value.insert("_attr".to_owned(), self.attributes.into());
        }
        (self.name, value.into())
    }
}

fn close(element: Element, open: &mut [Element], root: &mut Map<String, Value>) {
    let (name, value) = element.value();
    add(open.last_mut().map_or(root, |parent| &mut parent.children), name, value);
}

/// Adds a value; values of one name are a list.
pub(super) fn add(to: &mut Map<String, Value>, name: String, value: Value) {
    match to.get_mut(&name) {
        None => {
            to.insert(name, value);
        }
        Some(Value::Array(values)) => values.push(value),
        Some(first) => *first = Value::Array(vec![first.take(), value]),
    }
}

fn push(open: &mut [Element], text: &str) -> Result<(), String> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return Err("text stands outside of the root element".to_owned()),
    }
    Ok(())
}

#[cfg(test)]
mod unit {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<Value, Misread> {
        decode(&Bodies::default(), text.as_bytes())
    }

    #[test]
    fn elements_are_names_and_values() {
        for (text, data) in [
            ("<a/>", json!({"a": ""})),
            ("<a></a>", json!({"a": ""})),
            ("<?xml version=\"1.0\"?>\n<!-- c -->\n<a> 1 </a>\n", json!({"a": "1"})),
            ("<a><b>1</b><c/><b>2</b></a>", json!({"a": {"b": ["1", "2"], "c": ""}})),
            (
                "<s:Envelope xmlns:s=\"urn:s\"><s:Body><m:x xmlns:m=\"urn:m\">1</m:x></s:Body></s:Envelope>",
                json!({"Envelope": {"Body": {"x": "1"}}}),
            ),
            ("<a b=\"1\" x:c='&lt;2'>t</a>", json!({"a": {"_attr": {"b": "1", "c": "<2"}, "_text": "t"}})),
            ("<a>&lt;&#65;&amp;<![CDATA[<b>&]]></a>", json!({"a": "<A&<b>&"})),
            ("<a>x<b/>y</a>", json!({"a": {"b": "", "_text": "xy"}})),
            ("<a><_attr><role>admin</role></_attr><_text>x</_text></a>", json!({"a": ""})),
            ("\u{feff}<a>é</a>", json!({"a": "é"})),
        ] {
            assert_eq!(read(text), Ok(data), "{text}");
        }
    }

    #[test]
    fn what_is_no_xml_or_dangerous_is_refused() {
        for text in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<a>&unknown;</a>",
            "<a b=1/>",
            "<a b='1' b='2'/>",
            "</a>",
            "<a>&#0;</a>",
            "<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>",
            "<a/>text",
            "<a xmlns:x='x' x:role='admin' role='user'/>",
        ] {
            assert!(matches!(read(text), Err(Misread::Malformed(_))), "{text}: {:?}", read(text));
        }
        assert!(decode(&Bodies::default(), b"<a>\xff</a>").is_err());
    }

    #[test]
    fn sec_lim_15_depth_and_number_are_bounded() {
        let deep = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
        assert!(read(&deep(64)).is_ok());
        assert_eq!(read(&deep(65)), Err(Misread::TooDeep(64)));
        assert_eq!(read(&format!("<a>{}</a>", "<b/>".repeat(10_000))), Err(Misread::TooMany(10_000)));
        let empty = format!("{}<b/>{}", "<a>".repeat(64), "</a>".repeat(64));
        assert_eq!(read(&empty), Err(Misread::TooDeep(64)));
        for name in ["a", "xmlns:a"] {
            // What stands behind the last one that may be there is not even looked at.
            let attributes: String = (0..10_000).map(|number| format!(" {name}{number}='1'")).collect();
            assert_eq!(read(&format!("<a{attributes} ill-formed/>")), Err(Misread::TooMany(10_000)), "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "[<>/a-c&;!\\[\\]= '\"-]{0,60}") {
            let _ = read(&text);
        }
    }
}
