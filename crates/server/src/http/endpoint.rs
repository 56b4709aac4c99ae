//! Every request that is answered, in one table: the router and the `OpenAPI` document
//! are both made from it, so that neither has what the other lacks.

use std::sync::Arc;

use axum::handler::Handler;
use axum::routing::{MethodRouter, get, post};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use super::Shared;
use super::failure::ErrorShape;

/// One path with its method.
pub(crate) struct Endpoint {
    /// With parameters in braces.
    pub(super) path: &'static str,
    pub(super) verb: Verb,
    pub(super) handler: MethodRouter<Arc<Shared>>,
    /// The heading under which it stands in the document.
    pub(super) tag: &'static str,
    /// Its name in programs that are made from the document.
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Option<Body>,
    pub(super) answer: Content,
    pub(super) access: Access,
    pub(super) errors: ErrorShape,
    /// Codes that only some requests can get, beside those that all can.
    pub(super) codes: Vec<&'static str>,
}

/// A request's body.
pub(super) struct Body {
    pub(super) schema: MakeSchema,
    pub(super) example: Value,
}

pub(super) type MakeSchema = fn(&mut SchemaGenerator) -> Schema;

/// What an answer is.
#[derive(Clone, Copy)]
pub(super) enum Content {
    Json(MakeSchema),
    Text,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Post,
}

impl Verb {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
        }
    }
}

/// Whether a key must be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Key,
    Open,
}

/// Something that a request says outside its body.
#[derive(Debug, Clone)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    pub(crate) description: &'static str,
    pub(crate) values: Values,
}

/// What a parameter may be.
#[derive(Debug, Clone)]
pub(crate) enum Values {
    /// Visible ASCII, with spaces inside.
    Any,
    /// One of these.
    These(Vec<&'static str>),
    /// What this regular expression of ECMA 262 finds.
    Like(&'static str),
}

/// Where a parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Header,
    Path,
    Query,
}

impl Endpoint {
    pub(crate) fn get<H, T>(path: &'static str, handler: H) -> Self
    where
        H: Handler<T, Arc<Shared>>,
        T: 'static,
    {
        Self::new(path, Verb::Get, get(handler))
    }

    pub(crate) fn post<H, T>(path: &'static str, handler: H) -> Self
    where
        H: Handler<T, Arc<Shared>>,
        T: 'static,
    {
        Self::new(path, Verb::Post, post(handler))
    }

    fn new(path: &'static str, verb: Verb, handler: MethodRouter<Arc<Shared>>) -> Self {
        Self {
            path,
            verb,
            handler,
            tag: "",
            name: "",
            summary: "",
            parameters: Vec::new(),
            body: None,
            answer: Content::Text,
            access: Access::Key,
            errors: ErrorShape::Own,
            codes: Vec::new(),
        }
    }

    pub(crate) fn tagged(self, tag: &'static str) -> Self {
        Self { tag, ..self }
    }

    pub(crate) fn named(self, name: &'static str, summary: &'static str) -> Self {
        Self { name, summary, ..self }
    }

    /// It is answered without a key.
    pub(crate) fn without_key(self) -> Self {
        Self { access: Access::Open, ..self }
    }

    pub(crate) fn with(mut self, parameter: Parameter) -> Self {
        self.parameters.push(parameter);
        self
    }

    /// A body of this shape, with an example of it.
    pub(crate) fn takes<T: JsonSchema>(self, example: Value) -> Self {
        self.takes_schema(SchemaGenerator::subschema_for::<T>, example)
    }

    pub(super) fn takes_schema(self, schema: MakeSchema, example: Value) -> Self {
        Self { body: Some(Body { schema, example }), ..self }
    }

    pub(crate) fn answers<T: JsonSchema>(self) -> Self {
        self.answers_schema(SchemaGenerator::subschema_for::<T>)
    }

    pub(super) fn answers_schema(self, schema: MakeSchema) -> Self {
        Self { answer: Content::Json(schema), ..self }
    }

    /// Errors of a shape, and with these codes beside those that all requests can get.
    pub(crate) fn fails_as(self, errors: ErrorShape, codes: &[&'static str]) -> Self {
        Self { errors, codes: codes.to_vec(), ..self }
    }
}
