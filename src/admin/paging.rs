//! Which items of a list are asked for: pages, cursors, filters.
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::answer::Answer;
use super::query::Query;
use crate::model::Kind;

/// Where in a list: when an item was created, and its key.
pub(super) type Place = (u64, String);

/// Which part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Paging {
    /// All of it.
    All,
    /// The page of a number, from 1.
    Page {
        /// From 1.
        number: usize,
        /// Items on it.
        size: usize,
    },
    /// What follows a place.
    After {
        /// `None`: from the beginning.
        place: Option<Place>,
        /// Items at most.
        size: usize,
    },
}

/// Items that one may have at once by a cursor, unless told otherwise.
const BY_CURSOR: usize = 100;

impl Paging {
    /// What a query asks for. `cursor` (empty for the beginning) goes before `page`, which needs `page_size` beside it.
    ///
    /// # Errors
    /// 400 for a page size outside 10–500, and a cursor that is none of ours.
    pub(super) fn of(query: &Query) -> Result<Self, Answer> {
        let number = |name: &str| query.get(name).and_then(|text| text.trim().parse::<f64>().ok());
        let size = |size: f64| match (10.0..=500.0).contains(&size) {
            // In range, so that nothing is lost.
            true => Ok(size as usize),
            false => Err(Answer::bad("page_size must be between 10 and 500")),
        };
        if let Some(cursor) = query.get("cursor") {
            let place = match cursor {
                "" => None,
                cursor => Some(place(cursor).ok_or_else(|| Answer::bad("invalid argument cursor"))?),
            };
            let size = number("page_size").map_or(Ok(BY_CURSOR), size)?;
            return Ok(Self::After { place, size });
        }
        match (number("page"), number("page_size")) {
            // Saturates far behind any last page.
            (Some(page), Some(per_page)) => Ok(Self::Page { number: page.max(1.0) as usize, size: size(per_page)? }),
            _ => Ok(Self::All),
        }
    }

    /// The part of a list in order, and the cursor of what follows it.
    pub(super) fn of_list<T>(&self, mut list: Vec<T>, place_of: impl Fn(&T) -> Place) -> (Vec<T>, Option<String>) {
        match self {
            Self::All => (list, None),
            Self::Page { number, size } => {
                let start = (number - 1).saturating_mul(*size);
                (list.into_iter().skip(start).take(*size).collect(), None)
            }
            Self::After { place, size } => {
                if let Some(place) = place {
                    list.retain(|item| place_of(item) > *place);
                }
                let more = list.len() > *size;
                list.truncate(*size);
                let next = list.last().filter(|_| more).map(|last| cursor(&place_of(last)));
                (list, next)
            }
        }
    }
}

fn cursor((created, key): &Place) -> String {
    URL_SAFE_NO_PAD.encode(format!("{created} {key}"))
}

fn place(cursor: &str) -> Option<Place> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (created, key) = text.split_once(' ')?;
    Some((created.parse().ok()?, key.to_owned()))
}

/// Which items of a list are shown. All conditions have to hold.
#[derive(Debug, Default)]
pub(super) struct Filters {
    name: Option<Regex>,
    uri: Option<Regex>,
    label: Option<(String, Option<String>)>,
    /// Field and value, compared as text.
    fields: Vec<(String, String)>,
}

impl Filters {
    /// What a query asks for.
    ///
    /// # Errors
    /// 400 for an expression that is none.
    pub(super) fn of(query: &Query, kind: Kind) -> Result<Self, Answer> {
        let expression = |name: &str| match query.get(name).filter(|text| !text.is_empty()) {
            None => Ok(None),
            Some(text) => {
                let built = RegexBuilder::new(text).size_limit(1 << 20).build();
                built.map(Some).map_err(|_| Answer::bad(format!("invalid argument {name}: is no regular expression")))
            }
        };
        let label = query.get("label").filter(|label| !label.is_empty()).map(|label| match label.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (label.to_owned(), None),
        });
        let mut fields: Vec<(String, String)> = Vec::new();
        if matches!(kind, Kind::Route | Kind::StreamRoute) {
            let given = form_urlencoded::parse(query.get("filter").unwrap_or_default().as_bytes());
            for (name, value) in given.filter(|(name, _)| matches!(&**name, "service_id" | "upstream_id")) {
                fields.retain(|(known, _)| *known != name);
                fields.push((name.into_owned(), value.into_owned()));
            }
        }
        Ok(Self { name: expression("name")?, uri: expression("uri")?, label, fields })
    }

    /// Whether there is no condition.
    pub(super) fn is_empty(&self) -> bool {
        self.name.is_none() && self.uri.is_none() && self.label.is_none() && self.fields.is_empty()
    }

    /// Whether an item is shown.
    pub(super) fn hold(&self, item: &Value) -> bool {
        let text = |name: &str| item.get(name).and_then(Value::as_str);
        let name = self.name.as_ref().is_none_or(|name| text("name").is_some_and(|text| name.is_match(text)));
        let uri = self.uri.as_ref().is_none_or(|uri| {
            let several = item.get("uris").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
            text("uri").into_iter().chain(several).any(|text| uri.is_match(text))
        });
        let label = self.label.as_ref().is_none_or(|(key, value)| {
            let own = item.get("labels").and_then(|labels| labels.get(key));
            own.is_some_and(|own| value.as_ref().is_none_or(|value| own == value))
        });
        let fields = self.fields.iter().all(|(name, value)| match item.get(name) {
            Some(Value::String(own)) => own == value,
            Some(Value::Number(own)) => own.to_string() == *value,
            _ => false,
        });
        name && uri && label && fields
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paging(query: &str) -> Result<Paging, u16> {
        Paging::of(&Query::parse(query)).map_err(|answer| answer.status.as_u16())
    }

    #[test]
    fn pages() {
        let page = |number, size| Ok(Paging::Page { number, size });
        for (query, expected) in [
            ("", Ok(Paging::All)),
            ("page=2", Ok(Paging::All)),
            ("page_size=10", Ok(Paging::All)),
            ("page=x&page_size=10", Ok(Paging::All)),
            ("page=1&page_size=x", Ok(Paging::All)),
            ("page=2&page_size=10", page(2, 10)),
            ("page=0&page_size=500", page(1, 500)),
            ("page=-3&page_size=10", page(1, 10)),
            ("page=1&page_size=9", Err(400)),
            ("page=1&page_size=501", Err(400)),
            ("cursor=", Ok(Paging::After { place: None, size: 100 })),
            ("cursor=&page_size=20&page=3", Ok(Paging::After { place: None, size: 20 })),
            ("cursor=x", Err(400)),
            ("cursor=&page_size=5", Err(400)),
        ] {
            assert_eq!(paging(query), expected, "{query}");
        }
        let all: Vec<u64> = (0..25).collect();
        let of = |query: &str| paging(query).unwrap().of_list(all.clone(), |number| (*number, String::new())).0;
        assert_eq!(of("page=3&page_size=10"), [20, 21, 22, 23, 24]);
        assert!(of("page=4&page_size=10").is_empty());
        assert!(of("page=18446744073709551615&page_size=500").is_empty());
    }

    #[test]
    fn cursors_walk_through_all_whatever_changes_meanwhile() {
        let place = |number: &u64| (*number, format!("routes/{number}"));
        let mut all: Vec<u64> = (0..25).collect();
        let (first, next) = paging("cursor=&page_size=10").unwrap().of_list(all.clone(), place);
        assert_eq!(first, (0..10).collect::<Vec<_>>());
        all.retain(|number| *number != 9 && *number != 3);
        let query = format!("page_size=10&cursor={}", next.unwrap());
        let (second, next) = paging(&query).unwrap().of_list(all.clone(), place);
        assert_eq!(second, (10..20).collect::<Vec<_>>());
        let query = format!("page_size=10&cursor={}", next.unwrap());
        assert_eq!(paging(&query).unwrap().of_list(all, place), ((20..25).collect(), None));
    }

    #[test]
    fn filters() {
        let item = json!({
            "name": "orders-v2", "uris": ["/orders/*", "/cart"], "labels": {"team": "shop"}, "service_id": "1",
            "upstream_id": 2,
        });
        let holds = |kind, query: &str| match Filters::of(&Query::parse(query), kind) {
            Ok(filters) => Ok(filters.hold(&item)),
            Err(answer) => Err(answer.status.as_u16()),
        };
        for (query, expected) in [
            ("", Ok(true)),
            ("name=orders", Ok(true)),
            ("name=^v2", Ok(false)),
            ("name=(", Err(400)),
            ("uri=cart$", Ok(true)),
            ("uri=^cart", Ok(false)),
            ("label=team", Ok(true)),
            ("label=tea", Ok(false)),
            ("label=team%3Dshop", Ok(true)),
            ("label=team%3Dother", Ok(false)),
            ("name=orders&label=none", Ok(false)),
            ("filter=service_id%3D1", Ok(true)),
            ("filter=service_id%3D1%26upstream_id%3D2", Ok(true)),
            ("filter=service_id%3D1%26upstream_id%3D3", Ok(false)),
            ("filter=service_id%3D9%26service_id%3D1", Ok(true)),
            ("filter=other%3D9", Ok(true)),
        ] {
            assert_eq!(holds(Kind::Route, query), expected, "{query}");
        }
        assert_eq!(holds(Kind::Service, "filter=upstream_id%3D9"), Ok(true), "a filter of routes alone");
        let unnamed = Filters::of(&Query::parse("name=."), Kind::Route).unwrap();
        assert!(!unnamed.hold(&json!({})));
    }
}
