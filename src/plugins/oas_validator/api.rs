//! A document as requests are judged by it.
use std::sync::Arc;

use http::Method;

use super::body::BodyRule;
use super::parameter::{Parameter, Place};
use super::paths::{Captures, Paths};
use super::sent::Sent;
use crate::plugin::bodies::Bodies;

/// All operations.
#[derive(Debug)]
pub(super) struct Api {
    /// To places in `items`: a path may be there with and without the path of a server, for all its operations or for some.
    pub(super) paths: Paths<usize>,
    pub(super) items: Vec<Vec<(Method, Arc<Operation>)>>,
}

/// One operation.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Option<BodyRule>,
}

/// What is not looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Skipped {
    pub(super) path: bool,
    pub(super) query: bool,
    pub(super) headers: bool,
    pub(super) body: bool,
}

impl Skipped {
    fn covers(self, place: &Place) -> bool {
        match place {
            Place::Path => self.path,
            Place::Query => self.query,
            Place::Header(_) | Place::Cookie => self.headers,
        }
    }
}

impl Api {
    /// Adds a path.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn add(
        &mut self,
        template: &str,
        operations: impl IntoIterator<Item = (Method, Arc<Operation>)>,
    ) -> Result<(), &'static str> {
        self.paths.insert(template, self.items.len())?;
        self.items.push(operations.into_iter().collect());
        Ok(())
    }

    /// The operation of a request.
    ///
    /// # Errors
    /// That there is none, in words.
    pub(super) fn operation<'a, 'p>(
        &'a self,
        method: &Method,
        path: &'p str,
    ) -> Result<(&'a Operation, Captures<'a, 'p>), String> {
        let none = || Err("the document has no such path".to_owned());
        let Some((at, captures)) = self.paths.find(path) else { return none() };
        let Some(operations) = self.items.get(*at) else { return none() };
        let of = |wanted: &Method| operations.iter().find(|(method, _)| method == wanted);
        let get = || of(&Method::GET).filter(|_| *method == Method::HEAD);
        match of(method).or_else(get) {
            Some((_, operation)) => Ok((operation, captures)),
            None => Err("the document has no such method of this path".to_owned()),
        }
    }
}

impl Operation {
    /// Judges everything but the body.
    ///
    /// # Errors
    /// The first thing that does not fit, in words.
    pub(super) fn judge(&self, sent: &Sent<'_, '_>, skipped: Skipped, bodies: &Bodies) -> Result<(), String> {
        let judged = self.parameters.iter().filter(|parameter| !skipped.covers(&parameter.place));
        judged.into_iter().try_for_each(|parameter| parameter.judge(sent, bodies, &self.parameters))
    }
}
