//! The OpenAPI document, checked in so that a change of the interface is seen in review; and its test by machine.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{Verdict, generated::Files, places};

pub(crate) fn files(told: &Value) -> Files {
    Files::from([("openapi/freehold.json".to_owned(), format!("{:#}\n", told["openapi"]))])
}

/// Sends to every operation what its description allows and what it does not, and expects no fault and no answer that
/// the document does not know.
pub(crate) fn fuzz(examples: u32) -> Result<Verdict> {
    let script = places::root().join("bench/fuzz.sh");
    let mut command = Command::new(script);
    command.current_dir(places::root()).arg(places::cache()?).arg(examples.to_string());
    let good = command.status().context("cannot run bench/fuzz.sh")?.success();
    Ok(if good { Verdict::Good } else { Verdict::Bad })
}
