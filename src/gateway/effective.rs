//! Which plugins run for a route and a consumer, in which order, and where each block comes from.
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::Gateway;
use super::blocks::Blocks;
use super::chain::Place;
use super::fork::{Fate, Own, fate, gives_way};
use super::master::Levels;
use crate::model::{ConsumerSpec, Id, Kind, RouteSpec};
use crate::plugin::Stage;

/// What runs for the requests of a route, as [`Gateway::effective`] tells it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Effective {
    /// The blocks that run, outermost first: in the order that requests pass them, and answers the other way round.
    pub blocks: Vec<EffectiveBlock>,
    /// The blocks that are configured for it and do not run.
    pub hidden: Vec<HiddenBlock>,
    /// Why every request is answered with a fault: what the route refers to does not exist.
    pub broken: Option<String>,
}

/// A block that runs.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EffectiveBlock {
    /// The plugin.
    pub plugin: &'static str,
    /// Where it stands.
    pub stage: Stage,
    /// The order inside the stage, behind global rules.
    pub priority: i64,
    /// What it is configured on.
    pub from: (Kind, Id),
    /// The block as written, secrets included.
    pub config: Map<String, Value>,
}

/// A block that does not run.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct HiddenBlock {
    /// The plugin.
    pub plugin: String,
    /// What it is configured on.
    pub from: (Kind, Id),
    /// Why it does not run.
    pub why: String,
}

/// Why there is nothing to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoEffect {
    /// No configured route has that id, or it is disabled.
    #[error("no route of that id is in force")]
    Route,
    /// No consumer has that name.
    #[error("there is no consumer of that name")]
    Consumer,
}

impl Gateway {
    /// Which plugins run for a route of the configuration in force, when nobody is identified or `consumer` is: in their
    /// order, and where each block comes from (plugins/index.md, "From phases to stages"). What depends on the request,
    /// `_meta.filter`, is not looked at.
    ///
    /// # Errors
    /// [`NoEffect`] when there is no such route or consumer.
    pub fn effective(&self, route: &str, consumer: Option<&str>) -> Result<Effective, NoEffect> {
        let master = self.lock();
        let snapshot = master.snapshot();
        let route = snapshot.routes.find(route).ok_or(NoEffect::Route)?;
        let consumer = consumer.map(|name| snapshot.consumers.find(name).ok_or(NoEffect::Consumer)).transpose()?;
        let levels = master.levels(route).ok_or(NoEffect::Route)?;
        Ok(Look::default().of(route, consumer.map(|consumer| &**consumer), &levels))
    }
}

/// One block with where it stands and where it comes from.
struct Block<'a> {
    place: Place,
    from: (Kind, Id),
    config: &'a Map<String, Value>,
}

#[derive(Default)]
struct Look<'a> {
    blocks: Vec<Block<'a>>,
    hidden: Vec<HiddenBlock>,
    broken: Option<String>,
}

impl<'a> Look<'a> {
    fn of(mut self, route: &RouteSpec, consumer: Option<&ConsumerSpec>, levels: &Levels<'a>) -> Effective {
        self.of_route(route, levels);
        self.globals(levels);
        if let Some(consumer) = consumer.filter(|_| self.broken.is_none()) {
            self.of_caller(consumer, levels);
        }
        self.blocks.sort_by(|a, b| a.place.cmp(&b.place));
        let blocks = self.blocks.into_iter().map(|block| EffectiveBlock {
            plugin: block.place.name(),
            stage: block.place.stage(),
            priority: block.place.priority(),
            from: block.from,
            config: block.config.clone(),
        });
        Effective { blocks: blocks.collect(), hidden: self.hidden, broken: self.broken }
    }

    /// The route's own blocks, its plugin config's and its service's: of each plugin the first.
    fn of_route(&mut self, route: &RouteSpec, levels: &Levels<'a>) {
        let config = levels.plugin_config.zip(route.plugin_config_id.clone());
        let service = levels.service.zip(route.service_id.clone());
        for (what, missing) in [
            (Kind::PluginConfig, config.as_ref().filter(|(blocks, _)| blocks.is_none())),
            (Kind::Service, service.as_ref().filter(|(blocks, _)| blocks.is_none())),
        ] {
            if let Some((_, id)) = missing {
                self.broken =
                    Some(format!("{what} `{id}` does not exist: global rules run, and the answer is a fault"));
            }
        }
        if self.broken.is_some() {
            return;
        }
        let own = Some((levels.route, (Kind::Route, route.id.clone())));
        let config = config.and_then(|(blocks, id)| Some((blocks?, (Kind::PluginConfig, id))));
        let service = service.and_then(|(blocks, id)| Some((blocks?, (Kind::Service, id))));
        self.first_of([own, config, service].into_iter().flatten());
    }

    /// Of each plugin the first block among `levels`, most specific first.
    fn first_of(&mut self, levels: impl Iterator<Item = (&'a Blocks, (Kind, Id))>) -> BTreeSet<&'a str> {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        for (blocks, from) in levels {
            for (name, config, block) in blocks.written() {
                let why = match block {
                    _ if !seen.insert(name) => "a block of the same plugin is more specific",
                    None => "it is disabled by `_meta.disable`, and hides less specific blocks of the plugin",
                    Some(block) => {
                        self.blocks.push(Block { place: block.place.clone(), from: from.clone(), config });
                        continue;
                    }
                };
                self.hide(name, from.clone(), why);
            }
        }
        seen
    }

    fn globals(&mut self, levels: &Levels<'a>) {
        for (id, blocks) in &levels.globals {
            for (name, config, block) in blocks.written() {
                let from = (Kind::GlobalRule, (*id).clone());
                let Some(block) = block else {
                    self.hide(name, from, "it is disabled by `_meta.disable`");
                    continue;
                };
                let has = |one: &Block<'_>| one.place.is_of_route() && one.place.name() == name;
                if block.yields && self.blocks.iter().any(has) {
                    self.hide(name, from, "it gives way to the route's block of the plugin");
                } else {
                    self.blocks.push(Block { place: block.place.clone(), from, config });
                }
            }
        }
    }

    /// What joins or replaces the route's blocks once the caller is known.
    fn of_caller(&mut self, consumer: &ConsumerSpec, levels: &Levels<'a>) {
        let (own, group) = levels.callers.blocks_of(consumer);
        let Ok(group) = group else {
            self.broken =
                Some("the consumer's group does not exist: every request of the consumer is a fault".to_owned());
            return;
        };
        let own = own.map(|blocks| (blocks, (Kind::Consumer, consumer.username.clone())));
        let group = group.zip(consumer.group_id.clone());
        let group = group.map(|(blocks, id)| (blocks, (Kind::ConsumerGroup, id)));
        let route = std::mem::take(&mut self.blocks);
        let brought = self.first_of(own.into_iter().chain(group));
        let caller = std::mem::replace(&mut self.blocks, route);
        let identifies = |block: &Block<'_>| matches!(block.place.stage(), Stage::Edge | Stage::Authenticate);
        if !self.blocks.iter().any(identifies) {
            for block in caller {
                self.hide(block.place.name(), block.from, "no block of the route identifies its callers");
            }
            return;
        }
        let of_route = |block: &&Block<'_>| block.place.is_of_route();
        let is_before = |block: &&Block<'_>| block.place.stage() <= Stage::Authenticate;
        let stand = |block: &Block<'a>| (block.place.name(), block.place.stage());
        let before: Vec<_> = self.blocks.iter().filter(of_route).filter(is_before).map(stand).collect();
        let behind: Vec<_> = self.blocks.iter().filter(of_route).filter(|block| !is_before(block)).map(stand).collect();
        let own = |name: &str| match caller.iter().find(|block| block.place.name() == name) {
            Some(block) => Own::In(block.place.stage()),
            None if brought.contains(name) => Own::Off,
            None => Own::Nothing,
        };
        let (gone, stay): (Vec<_>, Vec<_>) = std::mem::take(&mut self.blocks)
            .into_iter()
            .partition(|block| gives_way(&block.place, own(block.place.name())));
        self.blocks = stay;
        for block in gone {
            self.hide(
                block.place.name(),
                block.from,
                "the consumer's or its group's block of the plugin takes its place",
            );
        }
        for block in caller {
            if fate(&block.place, &before, |stage, name| behind.contains(&(name, stage))) == Fate::Hidden {
                let why = "the route's block of the plugin has acted before the caller is known";
                self.hide(block.place.name(), block.from, why);
            } else {
                self.blocks.push(block);
            }
        }
    }

    fn hide(&mut self, plugin: &str, from: (Kind, Id), why: &str) {
        self.hidden.push(HiddenBlock { plugin: plugin.to_owned(), from, why: why.to_owned() });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{ReadOptions, read};

    fn gateway() -> Gateway {
        let document = json!({
            "global_rules": [
                {"id": "g", "plugins": {"real-ip": {"source": "http_x"}, "ip-restriction": {"blacklist": ["10.0.0.1"]}}},
                {"id": "off", "plugins": {"cors": {"_meta": {"disable": true}}}},
            ],
            "services": [{"id": "s", "plugins": {
                "key-auth": {"header": "of-service"}, "cors": {"allow_origins": "http://a.test"},
                "limit-req": {"rate": 1, "burst": 0, "key": "remote_addr"},
            }}],
            "plugin_configs": [{"id": "c", "plugins": {"key-auth": {}, "uri-blocker": {"block_rules": ["x"]}}}],
            "consumer_groups": [{"id": "gold", "plugins": {
                "limit-count": {"count": 1, "time_window": 1}, "response-rewrite": {"body": "gold"},
            }}],
            "consumers": [
                {"username": "jack", "group_id": "gold", "plugins": {
                    "key-auth": {"key": "of-jack-000"},
                    "limit-req": {"rate": 9, "burst": 0, "key": "remote_addr"},
                    "uri-blocker": {"block_rules": ["y"]},
                    "limit-count": {"_meta": {"disable": true}, "count": 2, "time_window": 2},
                }},
                {"username": "lost", "group_id": "none"},
            ],
            "routes": [
                {"id": "1", "uri": "/a", "service_id": "s", "plugin_config_id": "c", "plugins": {
                    "limit-count": {"count": 5, "time_window": 60, "_meta": {"priority": 7}},
                    "response-rewrite": {"body": "route"},
                }},
                {"id": "2", "uri": "/b", "plugin_config_id": "none", "plugins": {"cors": {}}},
                {"id": "3", "uri": "/c", "status": 0, "plugins": {}},
            ],
        });
        let gateway = Gateway::builder().build().unwrap();
        let read = read(&document, &ReadOptions::default());
        assert!(read.snapshot.rejected.is_empty(), "{:?}", read.snapshot.rejected);
        gateway.apply(read.snapshot).unwrap();
        gateway
    }

    fn told(effective: &Effective) -> Vec<String> {
        effective.blocks.iter().map(|block| format!("{} {} {}", block.plugin, block.from.0, block.from.1)).collect()
    }

    fn hidden(effective: &Effective) -> Vec<String> {
        effective.hidden.iter().map(|block| format!("{} {} {}", block.plugin, block.from.0, block.from.1)).collect()
    }

    #[test]
    fn blocks_stand_in_order_with_what_they_come_from() {
        let effective = gateway().effective("1", None).unwrap();
        assert_eq!(
            told(&effective),
            [
                "response-rewrite route 1",
                "real-ip global rule g",
                "cors service s",
                "uri-blocker plugin config c",
                "key-auth plugin config c",
                "ip-restriction global rule g",
                "limit-req service s",
                "limit-count route 1",
            ]
            .map(|text| text.to_owned())
        );
        assert_eq!(hidden(&effective), ["key-auth service s", "cors global rule off"]);
        let limit = effective.blocks.last().unwrap();
        assert_eq!((limit.stage, limit.priority), (Stage::Access, 7));
        assert_eq!(limit.config["count"], json!(5));
        assert_eq!(effective.broken, None);
    }

    #[test]
    fn a_consumer_replaces_and_joins_and_is_hidden() {
        let effective = gateway().effective("1", Some("jack")).unwrap();
        let told = told(&effective);
        assert!(told.contains(&"limit-req consumer jack".to_owned()), "{told:?}");
        assert!(told.contains(&"response-rewrite consumer group gold".to_owned()), "{told:?}");
        assert!(!told.iter().any(|block| block.starts_with("limit-count")), "switched off: {told:?}");
        let hidden = hidden(&effective);
        for expected in [
            "limit-req service s",
            "response-rewrite route 1",
            "limit-count route 1",
            "limit-count consumer jack",
            "limit-count consumer group gold",
            "uri-blocker consumer jack",
        ] {
            assert!(hidden.contains(&expected.to_owned()), "{expected} is not in {hidden:?}");
        }
    }

    #[test]
    fn what_does_not_exist_is_told() {
        let gateway = gateway();
        assert!(gateway.effective("2", None).unwrap().broken.unwrap().contains("plugin config `none`"));
        assert!(gateway.effective("1", Some("lost")).unwrap().broken.unwrap().contains("group"));
        assert_eq!(gateway.effective("3", None), Err(NoEffect::Route));
        assert_eq!(gateway.effective("4", None), Err(NoEffect::Route));
        assert_eq!(gateway.effective("1", Some("nobody")), Err(NoEffect::Consumer));
    }
}
