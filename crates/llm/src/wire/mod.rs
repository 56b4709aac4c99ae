//! What goes over the wire. Only the fields in which servers agree have types of
//! their own; all others stay in `extra`, as they came, and are written back as
//! they came. Fields in which servers disagree (usage, finish reasons, where the
//! reasoning stands) are read through methods that accept every spelling seen.

mod content;
mod error_body;
mod request;
mod response;

pub(crate) use error_body::filtered_categories;

pub use content::Content;
pub use error_body::ServerError;
pub use request::{ChatRequest, Message, OutputLimit, Role};
pub use response::{ChatResponse, Choice, Finish, TokenLogprob, Usage};

/// The fields of an object that have no type here.
pub type Extra = serde_json::Map<String, serde_json::Value>;
