//! Where things are: the checkout, the cache, and what the environment says of them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cargo_metadata::{Metadata, MetadataCommand};

/// The target that the platform is shipped for: duplicates that only other systems see cost nobody anything.
const SHIPPED_TARGET: &str = "x86_64-unknown-linux-gnu";

/// A variable of the environment, if set and not empty.
#[expect(clippy::disallowed_methods, reason = "a developer's tool has no configuration but its environment")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether a missing server is a failure here, not a skip.
pub(crate) fn strict() -> bool {
    variable("CI").is_some_and(|value| value != "false" && value != "0")
}

/// The root of the checkout.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Where everything that is not source lives.
pub(crate) fn cache() -> Result<PathBuf> {
    if let Some(dir) = variable("FREEHOLD_CACHE") {
        return Ok(PathBuf::from(dir));
    }
    let home = variable("HOME").context("neither FREEHOLD_CACHE nor HOME is set")?;
    Ok(Path::new(&home).join(".cache/freehold"))
}

/// Where the installed servers and clients are.
pub(crate) fn backends() -> Result<PathBuf> {
    Ok(cache()?.join("backends"))
}

/// A program on the PATH.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// Whether the packages of the system may be installed, and other users be spoken for.
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|it| std::os::unix::fs::MetadataExt::uid(&it) == 0)
}

/// The workspace as cargo resolves it, on every platform.
pub(crate) fn metadata() -> Result<Metadata> {
    Ok(MetadataCommand::new().current_dir(root()).other_options(["--locked".to_owned()]).exec()?)
}

/// The workspace as cargo resolves it for the platform that it is shipped on.
pub(crate) fn shipped_metadata() -> Result<Metadata> {
    let options = ["--locked".to_owned(), format!("--filter-platform={SHIPPED_TARGET}")];
    Ok(MetadataCommand::new().current_dir(root()).other_options(options).exec()?)
}

/// The folder of a workspace member, relative to the root: `crates/kernel`.
pub(crate) fn folder(package: &cargo_metadata::Package) -> String {
    let dir = package.manifest_path.parent().map(cargo_metadata::camino::Utf8Path::as_std_path).unwrap_or(root());
    dir.strip_prefix(root()).unwrap_or(dir).to_string_lossy().into_owned()
}
