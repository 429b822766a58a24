//! Where things are in the checkout, and what cargo says of them.

use std::{
    path::{Path, PathBuf},
    sync::LazyLock,
};

use anyhow::Result;
use cargo_metadata::{Metadata, MetadataCommand};

/// The target that the platform is shipped for: duplicates that only other systems see cost nobody anything.
const SHIPPED_TARGET: &str = "x86_64-unknown-linux-gnu";

/// The root of the checkout that cargo runs in, which need not be the one that this was compiled in: checkouts can share
/// one target directory.
pub(crate) fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
        package.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
    });
    &ROOT
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
    let dir = package.manifest_path.parent().map_or(root(), cargo_metadata::camino::Utf8Path::as_std_path);
    dir.strip_prefix(root()).unwrap_or(dir).to_string_lossy().into_owned()
}

/// What a reader calls the place of a file, whatever crates its folder is made of: `contexts/identity`, `crates/store`,
/// `gateway`.
pub(crate) fn unit(path: &str) -> String {
    let deep = if ["contexts/", "crates/", "engines/"].iter().any(|layer| path.starts_with(layer)) { 2 } else { 1 };
    path.split('/').take(deep).collect::<Vec<_>>().join("/")
}

/// Where downloads of the tests' servers are kept between runs.
#[expect(clippy::disallowed_methods, reason = "a developer's command is configured by its environment")]
pub(crate) fn cache() -> Result<std::path::PathBuf> {
    let cache = std::env::var("FREEHOLD_CACHE").map(std::path::PathBuf::from);
    let home = || std::env::var("HOME").map(|home| Path::new(&home).join(".cache/freehold"));
    Ok(cache.or_else(|_| home())?)
}
