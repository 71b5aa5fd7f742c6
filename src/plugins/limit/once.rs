//! A limiter that ran as an action of a workflow does not run again where it stands by itself.
use http::Request;
use smallvec::SmallVec;

/// Request extension: the plugins that a workflow ran.
#[derive(Clone, Default)]
struct Ran(SmallVec<[&'static str; 2]>);

/// Whether a workflow ran the plugin for this request.
pub(crate) fn by_workflow<B>(request: &Request<B>, plugin: &str) -> bool {
    request.extensions().get::<Ran>().is_some_and(|ran| ran.0.contains(&plugin))
}

/// Notes that a workflow runs the plugin for this request.
pub(crate) fn set_by_workflow<B>(request: &mut Request<B>, plugin: &'static str) {
    let mut ran = request.extensions_mut().remove::<Ran>().unwrap_or_default();
    ran.0.push(plugin);
    request.extensions_mut().insert(ran);
}
