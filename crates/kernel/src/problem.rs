//! Errors as part of the interface: RFC 9457 problem details with a stable code, the failing fields and a hint.

use std::{borrow::Cow, error::Error as StdError, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What sort of failure it is: decides the HTTP status and whether sending the same request again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// The request is malformed: it can never succeed as it is.
    Invalid,
    /// No credential, or one that is not valid (any more).
    Unauthenticated,
    /// The credential is valid and may not do this.
    Denied,
    /// Nothing with that name exists for this caller.
    NotFound,
    /// The method is not served on that path.
    MethodNotAllowed,
    /// The present state does not allow it, or someone else was faster.
    Conflict,
    /// It was there and is gone for good.
    Gone,
    /// `If-Match` names another version than the present one (RFC 9110, section 13.1.1).
    Precondition,
    /// More bytes than are taken.
    TooLarge,
    /// A media type that is not understood.
    Unsupported,
    /// Well formed, and a rule of the domain refuses it.
    Refused,
    /// A limit or quota is used up.
    Limited,
    /// A part that is needed cannot be reached; the same request may be sent again.
    Unavailable,
    /// It took longer than its deadline; the same request may be sent again.
    Timeout,
    /// A fault of ours.
    Internal,
}

impl ProblemKind {
    /// The HTTP status (RFC 9110, section 15).
    pub const fn status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Unauthenticated => 401,
            Self::Denied => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::Conflict => 409,
            Self::Gone => 410,
            Self::Precondition => 412,
            Self::TooLarge => 413,
            Self::Unsupported => 415,
            Self::Refused => 422,
            Self::Limited => 429,
            Self::Internal => 500,
            Self::Unavailable => 503,
            Self::Timeout => 504,
        }
    }

    /// Whether the same request may succeed later without being changed.
    pub const fn retryable(self) -> bool {
        matches!(self, Self::Limited | Self::Unavailable | Self::Timeout)
    }

    /// The short, human-readable summary of the kind (RFC 9457, section 3.1.3).
    pub const fn title(self) -> &'static str {
        match self {
            Self::Invalid => "Invalid request",
            Self::Unauthenticated => "Not signed in",
            Self::Denied => "Not permitted",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "Method not allowed",
            Self::Conflict => "Conflict",
            Self::Gone => "Gone",
            Self::Precondition => "Changed meanwhile",
            Self::TooLarge => "Too large",
            Self::Unsupported => "Media type not supported",
            Self::Refused => "Refused",
            Self::Limited => "Limit reached",
            Self::Unavailable => "Temporarily unavailable",
            Self::Timeout => "Took too long",
            Self::Internal => "Internal error",
        }
    }
}

/// One field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldProblem {
    /// Where: a JSON pointer (RFC 6901) into the request body.
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

/// A failure as callers see it. The cause is for the log alone and never leaves the process.
pub struct Problem(Box<Inner>);

struct Inner {
    kind: ProblemKind,
    code: Cow<'static, str>,
    detail: Cow<'static, str>,
    hint: Option<Cow<'static, str>>,
    fields: Vec<FieldProblem>,
    retry_after: Option<u32>,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

impl Problem {
    /// A problem with its stable `code` (`context.what_happened`, a page in `docs/problems.md`) and a sentence for people.
    pub fn new(kind: ProblemKind, code: impl Into<Cow<'static, str>>, detail: impl Into<Cow<'static, str>>) -> Self {
        let (code, detail) = (code.into(), detail.into());
        Self(Box::new(Inner { kind, code, detail, hint: None, fields: Vec::new(), retry_after: None, cause: None }))
    }

    /// Says what to do about it.
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Names a field that is wrong, by JSON pointer.
    pub fn field(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.0.fields.push(FieldProblem { pointer: pointer.into(), detail: detail.into() });
        self
    }

    /// Says after how many seconds it is worth trying again.
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// Keeps the cause for the log.
    pub fn cause(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// A fault of ours, with its cause for the log.
    pub fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(ProblemKind::Internal, "internal", "something went wrong on our side")
            .hint("try again; if it stays, report the trace id")
            .cause(cause)
    }

    /// Something of this kind does not exist, as far as this caller may know.
    pub fn not_found(what: &'static str) -> Self {
        Self::new(ProblemKind::NotFound, "not_found", format!("there is no such {what}"))
            .hint("check the id and the tenant of the request")
    }

    /// A malformed value of one field.
    pub fn invalid_field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::Invalid, "invalid_request", "a field of the request is not valid")
            .hint("correct the fields that are named and send the request again")
            .field(pointer, detail)
    }

    /// The kind.
    pub fn kind(&self) -> ProblemKind {
        self.0.kind
    }

    /// The stable code.
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// Seconds after which to try again.
    pub fn retry_seconds(&self) -> Option<u32> {
        self.0.retry_after
    }

    /// The cause, for the log.
    pub fn source_text(&self) -> Option<String> {
        self.0.cause.as_ref().map(|cause| format!("{cause:#}"))
    }

    /// The document to send, with the trace id of the request.
    pub fn document(&self, trace: Option<&str>) -> ProblemDocument {
        let inner = &self.0;
        ProblemDocument {
            r#type: format!("/problems/{}", inner.code),
            title: inner.kind.title().to_owned(),
            status: inner.kind.status(),
            detail: inner.detail.clone().into_owned(),
            code: inner.code.clone().into_owned(),
            kind: inner.kind,
            hint: inner.hint.clone().map(Cow::into_owned),
            errors: inner.fields.clone(),
            trace_id: trace.map(str::to_owned),
            retry_after: inner.retry_after,
        }
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?}): {} {:?}", self.0.code, self.0.kind, self.0.detail, self.0.fields)?;
        self.0.cause.as_ref().map_or(Ok(()), |cause| write!(f, ", because: {cause:#}"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.detail)
    }
}

impl StdError for Problem {}

/// The body of an `application/problem+json` answer (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProblemDocument {
    /// Identifies the problem; a relative reference to the page that explains it.
    pub r#type: String,
    /// Summary of the kind of problem.
    pub title: String,
    /// The HTTP status of the answer.
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// The stable code, the last part of `type`.
    pub code: String,
    /// The kind, for programs that decide whether to try again.
    pub kind: ProblemKind,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The fields that are wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
    /// The trace this request belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// Seconds after which it is worth trying again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
}

impl From<ProblemDocument> for Problem {
    fn from(document: ProblemDocument) -> Self {
        let mut problem = Self::new(document.kind, document.code, document.detail);
        problem.0.hint = document.hint.map(Cow::Owned);
        problem.0.fields = document.errors;
        problem.0.retry_after = document.retry_after;
        problem
    }
}
