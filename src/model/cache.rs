//! [`CacheZoneSpec`]: where answers are kept, the settings' `cache_zones`.
use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::check::shape::{Field, List, Rule, Shape, Struct, Text};
use super::check::walk::Walk;
use super::{Finding, Kind};

/// A zone that plugins such as `proxy-cache` keep answers in: on disk if it has a `disk_path`, else in memory.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CacheZoneSpec {
    /// The name that blocks call it by, 1–100 characters. Required.
    pub name: String,
    /// How much a zone in memory holds, bodies, fields and own upkeep together: `50m`, `1G`; at least 1 MiB. Of a zone on disk
    /// how much its table takes, in which each answer counts as 112 bytes: by `50m` it keeps some 450,000. Default `50m`.
    #[serde(default = "memory_size")]
    pub memory_size: ByteSize,
    /// How much a zone on disk holds, in whole blocks of 4 KiB for each file; at least 1 MiB. Default `1G`.
    #[serde(default = "disk_size")]
    pub disk_size: ByteSize,
    /// The folder of a zone on disk, which is this gateway's alone. It is made when the zone is first used. Unset: the zone
    /// is in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub disk_path: Option<PathBuf>,
    /// Folders in the folder: for up to three levels how many hexadecimal digits name one, 1 or 2. Default `1:2`.
    #[serde(default = "levels")]
    pub cache_levels: String,
    /// How long a zone on disk keeps an answer fresh that does not say so itself, in seconds, where a block does not say so
    /// either; 1 and up. Default 10.
    #[serde(default = "ttl")]
    pub cache_ttl: u32,
}

impl CacheZoneSpec {
    /// A zone in memory.
    pub fn memory(name: impl Into<String>, size: ByteSize) -> Self {
        Self {
            name: name.into(),
            memory_size: size,
            disk_size: disk_size(),
            disk_path: None,
            cache_levels: levels(),
            cache_ttl: ttl(),
        }
    }

    /// A zone on disk, in a folder of its own.
    pub fn disk(name: impl Into<String>, folder: impl Into<PathBuf>, size: ByteSize) -> Self {
        Self { disk_size: size, disk_path: Some(folder.into()), ..Self::memory(name, memory_size()) }
    }

    /// The zones that are there unasked: `disk_cache_one`, 1 GiB in `/var/tmp/tollgate/disk_cache_one`, and `memory_cache`,
    /// 50 MiB.
    pub fn standard() -> [Self; 2] {
        [
            Self::disk("disk_cache_one", "/var/tmp/tollgate/disk_cache_one", disk_size()),
            Self::memory("memory_cache", memory_size()),
        ]
    }

    /// The digits of each level of folders.
    pub fn levels(&self) -> Vec<usize> {
        self.cache_levels.split(':').filter_map(|digits| digits.parse().ok()).collect()
    }
}

/// A number of bytes, written with `k`, `m` or `g` (KiB, MiB, GiB) or without: `50m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// The text is no number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no number of bytes: write one such as 512k, 50m or 1g")]
pub struct NotASize;

impl FromStr for ByteSize {
    type Err = NotASize;

    fn from_str(text: &str) -> Result<Self, NotASize> {
        let digits = text.trim_end_matches(|last: char| last.is_ascii_alphabetic());
        let factor = match text.strip_prefix(digits).unwrap_or_default().to_ascii_lowercase().as_str() {
            "" => 1,
            "k" => 1 << 10,
            "m" => 1 << 20,
            "g" => 1 << 30,
            _ => return Err(NotASize),
        };
        digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).map(Self).ok_or(NotASize)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1 << 30, "g"), (1 << 20, "m"), (1 << 10, "k")];
        match units.iter().find(|(unit, _)| self.0 > 0 && self.0.is_multiple_of(*unit)) {
            Some((unit, name)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}", self.0),
        }
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for ByteSize {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^[0-9]+[kKmMgG]?$"})
    }

    fn inline_schema() -> bool {
        true
    }
}

fn memory_size() -> ByteSize {
    ByteSize(50 << 20)
}

fn disk_size() -> ByteSize {
    ByteSize(1 << 30)
}

fn levels() -> String {
    "1:2".to_owned()
}

fn ttl() -> u32 {
    10
}

const SIZE: Rule = Rule {
    holds: |text| text.parse::<ByteSize>().is_ok_and(|size| size.0 >= 1 << 20),
    expects: "a number of bytes of at least 1m, such as 50m or 1g",
};

const FOLDER: Rule = Rule {
    holds: |text| text.starts_with('/') && !text.split('/').any(|part| part == ".."),
    expects: "the whole path of a folder, without ..",
};

const LEVELS: Rule = Rule {
    holds: |text| text.split(':').count() <= 3 && text.split(':').all(|digits| matches!(digits, "1" | "2")),
    expects: "up to three numbers, each 1 or 2, with colons between them, such as 1:2",
};

const ZONE: Struct = Struct::new(&[
    Field::required("name", Shape::Text(Text { min: 1, max: 100, rule: None })),
    Field::new("memory_size", Shape::Text(Text { min: 1, max: 20, rule: Some(&SIZE) })),
    Field::new("disk_size", Shape::Text(Text { min: 1, max: 20, rule: Some(&SIZE) })),
    Field::new("disk_path", Shape::Text(Text { min: 1, max: 4096, rule: Some(&FOLDER) })),
    Field::new("cache_levels", Shape::Text(Text { min: 1, max: 5, rule: Some(&LEVELS) })),
    Field::new("cache_ttl", Shape::Int(1, 2_147_483_647)),
]);

pub(crate) const CACHE_ZONES: Shape = Shape::List(&List { of: Shape::Struct(&ZONE), min: 0, max: 1000, unique: true });

/// Names and folders of zones are theirs alone. Of two of one name or folder the later is at fault, of two folders the inner.
pub(crate) fn apart<'v>(settings: &'v Map<String, Value>, walk: &mut Walk<'_, 'v>) {
    let zones = settings.get("cache_zones").and_then(Value::as_array);
    let told = |zone: &'v Value, field| zone.get(field).and_then(Value::as_str);
    let mut fault = |index: usize, field: &'static str, problem: String| {
        let judge = |walk: &mut Walk<'_, 'v>| walk.error(problem, "give each zone its own");
        walk.under("cache_zones", |walk| walk.at(index, |walk| walk.under(field, judge)));
    };
    let mut names = HashSet::new();
    let mut folders = Vec::new();
    for (index, zone) in zones.into_iter().flatten().enumerate() {
        if let Some(name) = told(zone, "name").filter(|name| !names.insert(*name)) {
            fault(index, "name", format!("is {name}, the name of an earlier zone"));
        }
        if let Some(path) = told(zone, "disk_path") {
            folders.push((Some(index), path.to_owned(), whole(path)));
        }
    }
    // A zone that is there unasked has its folder as well.
    for zone in CacheZoneSpec::standard().into_iter().filter(|zone| !names.contains(&*zone.name)) {
        folders.extend(zone.disk_path.map(|path| (None, path.display().to_string(), path)));
    }
    for (place, (index, text, folder)) in folders.iter().enumerate() {
        let around = folders.iter().enumerate().find(|(other, (_, _, around))| match folder == around {
            true => *other < place,
            false => folder.starts_with(around),
        });
        match around {
            None => {}
            Some((_, (Some(outer), around, _))) if index.is_none() => {
                fault(*outer, "disk_path", format!("is {around}, around {text}, which is another zone's"));
            }
            Some((_, (_, around, _))) => {
                let index = index.unwrap_or_default();
                fault(index, "disk_path", format!("is {text}, in {around}, which is another zone's"));
            }
        }
    }
}

/// Which entry of `cache_zones` a fault of the settings is of.
fn faulty(fault: &Finding) -> Option<usize> {
    let (index, _) = fault.path.strip_prefix("cache_zones[")?.split_once(']')?;
    index.parse().ok().filter(|_| fault.kind == Kind::Settings)
}

/// The entries of `cache_zones` that errors of the settings are of; `None` if one is of something else. Zones are things of
/// their own: without these the settings are as good.
pub(crate) fn faulty_zones<'f>(findings: impl IntoIterator<Item = &'f Finding>) -> Option<HashSet<usize>> {
    findings.into_iter().filter(|finding| finding.is_error()).map(faulty).collect()
}

/// A list without these entries.
pub(crate) fn leave_out<T>(list: &mut Vec<T>, entries: &HashSet<usize>) {
    let mut places = 0..;
    list.retain(|_| places.next().is_some_and(|place| !entries.contains(&place)));
}

/// Has zones of `before` stand in for those that are missing, as far as their names and folders are free. Tells whether any
/// does.
pub(crate) fn stand_in(zones: &mut Vec<CacheZoneSpec>, before: &[CacheZoneSpec]) -> bool {
    let meet = |one: &CacheZoneSpec, other: &CacheZoneSpec| {
        let folders = one.disk_path.as_ref().zip(other.disk_path.as_ref());
        one.name == other.name || folders.is_some_and(|(one, other)| one.starts_with(other) || other.starts_with(one))
    };
    let missing: Vec<_> = before.iter().filter(|old| !zones.iter().any(|zone| meet(zone, old))).cloned().collect();
    let found = !missing.is_empty();
    zones.extend(missing);
    found
}

/// A path without what means nothing in it.
fn whole(path: &str) -> PathBuf {
    Path::new(path).components().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [("0", 0), ("7", 7), ("2k", 2048), ("50M", 50 << 20), ("1g", 1 << 30)] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for text in ["", "m", "1.5g", "1t", "-1", "1 m", "99999999999g"] {
            assert_eq!(text.parse::<ByteSize>(), Err(NotASize), "{text}");
        }
        for text in ["7", "2k", "50m", "1g", "1025m", "0"] {
            assert_eq!(text.parse::<ByteSize>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn faults_of_zones_are_told_from_others() {
        let fault = |path: &str| Finding::error(Kind::Settings, None, path, "is wrong");
        let zones = |paths: &[&str]| faulty_zones(&paths.iter().map(|path| fault(path)).collect::<Vec<_>>());
        assert_eq!(zones(&[]), Some(HashSet::new()));
        assert_eq!(zones(&["cache_zones[3].name", "cache_zones[12]"]), Some([3, 12].into()));
        for other in ["cache_zones", "workers", "cache_zones_of[1]", "cache_zones[x]", "limits.cache_zones[1]"] {
            assert_eq!(zones(&["cache_zones[3].name", other]), None, "{other}");
        }
        let mut list = vec!['a', 'b', 'c'];
        leave_out(&mut list, &[0, 2].into());
        assert_eq!(list, ['b']);
    }

    #[test]
    fn zones_of_before_stand_in_where_there_is_room() {
        let disk = |name: &str, folder: &str| CacheZoneSpec::disk(name, folder, disk_size());
        let mut zones = vec![disk("a", "/x"), CacheZoneSpec::memory("m", memory_size())];
        let before = [disk("a", "/y"), disk("b", "/x/b"), disk("c", "/"), disk("d", "/z"), disk("e", "/xx")];
        assert!(stand_in(&mut zones, &before));
        assert_eq!(zones.iter().map(|zone| &*zone.name).collect::<Vec<_>>(), ["a", "m", "d", "e"]);
        assert!(!stand_in(&mut zones, &before));
    }

    #[test]
    fn the_standard_zones_are_one_of_each_kind() {
        let [disk, memory] = CacheZoneSpec::standard();
        assert!(disk.disk_path.is_some() && memory.disk_path.is_none());
        assert_eq!(disk.levels(), [1, 2]);
    }
}
