//! `freehold backup` and `freehold restore`: one cut of an installation while it runs, with its keys apart.
//!
//! The data is worth nothing without the keys, and the keys tell nothing without the data: keep them in different places.
//! The keys are backed up as they are now, over those of the last time, so that what was erased is erased in every older
//! backup too. A restore learns which keys were destroyed since (from the installation that it replaces, or from a list),
//! destroys them again, and only then lets anyone in.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail, ensure};
use kernel::{TenantId, UserId};
use serde::{Deserialize, Serialize};
use sqlite::{
    HOMES, STORE,
    backup::{self, StoreDigest},
};

use crate::config::Config;

const FACTS: &str = "facts.sqlite";
const KEYS: &str = "keys.sqlite";
const KEYRING: &str = "keyring";
const MANIFEST: &str = "manifest.json";
/// Of the manifest. The one before knew no files of tenants, and is read as it is.
const VERSION: u32 = 2;
/// The names of destroyed keys: ids, which lead nowhere.
const ERASURES: &str = "erasures.json";

/// Copies the installation as it stands now, also while it runs
#[derive(clap::Args)]
pub(crate) struct Backup {
    /// A new folder for the data
    folder: PathBuf,
    /// A folder for the keys, apart from the data; those of the last backup are replaced
    #[arg(long)]
    keys: PathBuf,
}

/// Puts a backup in the place of the data, and proves that all of it is there
#[derive(clap::Args)]
pub(crate) struct Restore {
    /// The folder of the data
    folder: PathBuf,
    /// The folder of the keys
    #[arg(long)]
    keys: PathBuf,
    /// A list of erasures that is newer than the keys (`erasures.json` of a later backup of the keys)
    #[arg(long)]
    erasures: Option<PathBuf>,
    /// Moves an installation that is there aside
    #[arg(long)]
    replace: bool,
}

/// What a backup says of itself.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    version: u32,
    made: jiff::Timestamp,
    release: String,
    store: StoreDigest,
    /// SHA-256 of each file.
    files: BTreeMap<String, String>,
    /// Files of tenants that could not be copied, and why.
    #[serde(default)]
    left_out: BTreeMap<String, String>,
}

fn sha256(file: &Path) -> Result<String> {
    let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
    let mut opened = fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut piece = vec![0; 1 << 16];
    loop {
        let read = std::io::Read::read(&mut opened, &mut piece)?;
        if read == 0 {
            return Ok(data_encoding::HEXLOWER.encode(digest.finish().as_ref()));
        }
        digest.update(piece.get(..read).unwrap_or_default());
    }
}

/// Nobody but its owner can look into what is made here.
fn private(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?)
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

fn write_synced(file: &Path, text: &[u8]) -> Result<()> {
    let mut options = fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(options.write(true).create(true).truncate(true), 0o600);
    let mut opened = options.open(file).with_context(|| format!("cannot write {}", file.display()))?;
    std::io::Write::write_all(&mut opened, text)?;
    Ok(opened.sync_all()?)
}

/// Takes the backup.
pub(crate) fn take(config: &Config, asked: &Backup) -> Result<ExitCode> {
    let data = &config.data;
    ensure!(
        config.store.is_none(),
        "aggregates and events are in the database that `store` names: copy it with its own tools (pg_dump), and the data \
         folder, with keys and facts, while freehold is stopped"
    );
    let (to, keys) = (&asked.folder, &asked.keys);
    ensure!(data.join(STORE).is_file(), "{} holds no installation: name it with --data", data.display());
    ensure!(!to.exists() || is_empty(to), "{} is not empty: a backup gets a folder of its own", to.display());
    private(to)?;
    private(keys)?;
    let (real_to, real_keys) = (to.canonicalize()?, keys.canonicalize()?);
    let nested = real_to.starts_with(&real_keys) || real_keys.starts_with(&real_to);
    ensure!(!nested, "the keys must not lie beside the data: name another folder with --keys");

    let fresh = keys.join("keys.sqlite.new");
    drop(fs::remove_file(&fresh));
    let others = [(FACTS, to.join(FACTS)), (KEYS, fresh.clone())];
    let others: Vec<_> =
        others.into_iter().map(|(name, to)| (data.join(name), to)).filter(|it| it.0.exists()).collect();
    let backup::Copied { homes, left_out } = backup::copy_together(data, to, &others)?;
    if to.join(HOMES).exists() {
        private(&to.join(HOMES))?;
    }
    let keyring = fs::read(data.join(KEYRING)).context("cannot read the keyring")?;
    write_synced(&keys.join(KEYRING), &keyring)?;
    let erasures = backup::destroyed(&fresh)?;
    write_synced(&keys.join(ERASURES), &serde_json::to_vec_pretty(&erasures)?)?;
    fs::rename(&fresh, keys.join(KEYS))?;

    backup::check(&to.join(STORE))?;
    let store = backup::digest(to, &homes)?;
    let names = [STORE, FACTS].into_iter().filter(|name| to.join(name).exists()).map(str::to_owned).chain(homes);
    let files = names.map(|name| Ok((name.clone(), sha256(&to.join(&name))?))).collect::<Result<_>>()?;
    let left_out: BTreeMap<_, _> = left_out.into_iter().map(|(name, error)| (name, error.to_string())).collect();
    let made = kernel::Clock::now(&kernel::time::SystemClock);
    let release = env!("CARGO_PKG_VERSION").to_owned();
    let manifest = Manifest { version: VERSION, made, release, store, files, left_out };
    // Last: without it the folder is no backup.
    write_synced(&to.join(MANIFEST), &serde_json::to_vec_pretty(&manifest)?)?;
    let StoreDigest { aggregates, events, sha256 } = &manifest.store;
    println!("backed up {aggregates} aggregates and {events} events to {}", to.display());
    println!("  digest     {sha256}");
    println!("  keys       {} (keep them apart from the data)", keys.display());
    for why in manifest.left_out.values() {
        println!("  LEFT OUT   {why}");
    }
    // The backup is good for all others; but somebody has to look.
    Ok(if manifest.left_out.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What was erased, by all that is known here: the keys of the backup, the list, the installation that is replaced.
fn erasures(asked: &Restore, data: &Path) -> Result<Vec<String>> {
    let mut all = backup::destroyed(&asked.keys.join(KEYS)).context("the keys of the backup")?;
    let beside = asked.keys.join(ERASURES);
    for list in asked.erasures.iter().chain(beside.exists().then_some(&beside)) {
        let text = fs::read(list).with_context(|| format!("cannot read {}", list.display()))?;
        all.extend(serde_json::from_slice::<Vec<String>>(&text).with_context(|| format!("{}", list.display()))?);
    }
    if data.join(KEYS).exists() {
        all.extend(backup::destroyed(&data.join(KEYS)).context("the keys of the installation that is replaced")?);
    }
    all.sort();
    all.dedup();
    Ok(all)
}

/// Copies the files of a backup into a folder, and checks each of them.
fn place(asked: &Restore, manifest: &Manifest, into: &Path) -> Result<()> {
    private(into)?;
    let homes: Vec<_> = manifest.files.keys().filter(|name| backup::is_home(name)).cloned().collect();
    if !homes.is_empty() {
        private(&into.join(HOMES))?;
    }
    for (name, expected) in &manifest.files {
        let known = [STORE, FACTS].contains(&name.as_str()) || backup::is_home(name);
        ensure!(known, "the manifest names a file that no backup has: {name}");
        let (from, to) = (asked.folder.join(name), into.join(name));
        fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        let found = sha256(&to)?;
        ensure!(found == *expected, "{name} is not what was backed up: SHA-256 {found}, expected {expected}");
    }
    for name in [KEYS, KEYRING] {
        let from = asked.keys.join(name);
        fs::copy(&from, into.join(name)).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    fs::set_permissions(into.join(KEYRING), fs::Permissions::from_mode(0o600))?;
    backup::check(&into.join(STORE))?;
    let found = backup::digest(into, &homes)?;
    ensure!(found == manifest.store, "the store is not what was backed up: {found:?}, expected {:?}", manifest.store);
    Ok(())
}

/// Restores a backup.
pub(crate) fn restore(config: &Config, asked: &Restore) -> Result<ExitCode> {
    let data = &config.data;
    ensure!(config.store.is_none(), "a backup is restored to a data folder: take `store` out of the configuration");
    let manifest = asked.folder.join(MANIFEST);
    let text = fs::read(&manifest).with_context(|| format!("{} is no backup", asked.folder.display()))?;
    let manifest: Manifest = serde_json::from_slice(&text).context("the manifest")?;
    ensure!(
        (1..=VERSION).contains(&manifest.version),
        "a backup of version {}: use the release {}",
        manifest.version,
        manifest.release
    );
    // Whoever runs on this data now would go on writing to files that are moved away.
    let lock = data.exists().then(|| crate::parts::lock(config)).transpose()?;
    let there = data.join(STORE).exists();
    if there && !asked.replace {
        bail!(
            "{} holds an installation: move it aside with --replace, or name another folder with --data",
            data.display()
        );
    }
    let erased = erasures(asked, data)?;
    let made = kernel::Clock::now(&kernel::time::SystemClock).as_second();
    let name =
        |what: &str| data.with_file_name(format!("{}.{what}-{made}", data.file_name().unwrap_or_default().display()));
    let fresh = name("restoring");
    place(asked, &manifest, &fresh)?;
    backup::destroy(&fresh.join(KEYS), &erased)?;
    // Read at the next start, before anyone is let in.
    write_synced(&fresh.join(ERASURES), &serde_json::to_vec_pretty(&erased)?)?;
    let aside = name("before");
    if data.exists() {
        fs::rename(data, &aside)?;
    }
    fs::rename(&fresh, data)?;
    drop(lock);
    let StoreDigest { aggregates, events, sha256 } = &manifest.store;
    println!("restored {aggregates} aggregates and {events} events of {} to {}", manifest.made, data.display());
    println!("  digest     {sha256}, as backed up");
    println!("  erased     {} keys that were destroyed stay destroyed", erased.len());
    if there {
        println!("  before     {}", aside.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// What a restore has to erase again.
#[derive(Default)]
pub(crate) struct ToErase {
    pub(crate) tenants: Vec<TenantId>,
    pub(crate) people: Vec<(TenantId, UserId)>,
}

/// What a restore has to erase again, by the names of the keys that were destroyed.
pub(crate) fn to_erase(config: &Config) -> Result<ToErase> {
    let list = config.data.join(ERASURES);
    let mut all = ToErase::default();
    if !list.exists() {
        return Ok(all);
    }
    let names: Vec<String> = serde_json::from_slice(&fs::read(&list)?).context("the list of erasures")?;
    for name in names {
        match name.split_once('/').map(|(tenant, person)| (tenant.parse(), person.parse())) {
            Some((Ok(tenant), Ok(person))) => all.people.push((tenant, person)),
            Some(_) => {}
            None => all.tenants.extend(name.parse::<TenantId>()),
        }
    }
    all.people.retain(|(tenant, _)| !all.tenants.contains(tenant));
    Ok(all)
}

/// Forgets the list of a restore, once all of it is done.
pub(crate) fn erased_again(config: &Config) -> Result<()> {
    match fs::remove_file(config.data.join(ERASURES)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
