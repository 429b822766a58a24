//! Running: the platform on its parts, behind a socket, until it is told to stop.

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use axum::{Router, routing::get};
use gateway::Metrics;
use kernel::Context;
use tokio::net::TcpListener;

use crate::{config::Config, failure::Failure, parts::Parts, platform::Platform};

/// Serves what is counted to whoever asks, at an address that is not for the open network.
async fn serve_metrics(at: std::net::SocketAddr, metrics: Arc<Metrics>) -> Result<()> {
    let listener = TcpListener::bind(at).await.with_context(|| format!("cannot listen on {at} (metrics_listen)"))?;
    let text = move || {
        let text = metrics.text();
        async move { ([(http::header::CONTENT_TYPE, "text/plain; version=0.0.4")], text) }
    };
    let router = Router::new().route("/metrics", get(text));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(())
}

async fn told_to_stop() {
    let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => {
            tracing::error!(%error, "SIGTERM cannot be heard");
            return;
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

async fn serve(config: Config) -> Result<ExitCode> {
    telemetry::logs(&config.log, config.log_json);
    // The port first: a second process says so before it looks at the data.
    let listener = TcpListener::bind(config.listen).await;
    let listener = listener.map_err(|error| {
        let what = format!("cannot listen on {} ({error}): choose another with --listen", config.listen);
        anyhow::Error::new(Failure::Address).context(what)
    })?;
    let (parts, hold) = Parts::open(&config).await?;
    let platform = Platform::compose(parts, &config)?;
    // First: nothing that was erased is reacted to, or fires, or is shown once more.
    platform.erase_again(&config).await?;
    let _following = platform.follow().await?;
    platform.greet(&config).await?;
    if let Some(at) = config.metrics_listen {
        serve_metrics(at, platform.metrics()).await?;
    }
    let taken_over = AtomicBool::new(false);
    let stop = async {
        tokio::select! {
            () = told_to_stop() => {}
            () = hold.lost() => taken_over.store(true, Ordering::Relaxed),
        }
        println!("stopping");
    };
    if !platform.serve(listener, stop).await {
        tracing::warn!("requests that still ran were cut off");
    }
    if taken_over.into_inner() {
        return Err(anyhow::Error::new(Failure::InUse).context("another process took the database over"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs until it is told to stop.
pub(crate) fn run(config: Config) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(serve(config));
    runtime.shutdown_timeout(Duration::from_millis(500));
    outcome
}

/// Opens an installation that keeps nothing, and prints what `tell` says of it.
pub(crate) fn print(mut config: Config, tell: impl Fn(&[Context]) -> serde_json::Value) -> Result<ExitCode> {
    let folder = std::env::temp_dir().join(format!("freehold-told-{}", std::process::id()));
    config.data.clone_from(&folder);
    let opened = Parts::embedded(&config, kernel::cx::Ambient::system())
        .and_then(|(parts, _lock)| Platform::compose(parts, &config));
    let printed = opened.map(|platform| println!("{:#}", tell(platform.contexts())));
    drop(std::fs::remove_dir_all(folder));
    printed.map(|()| ExitCode::SUCCESS)
}
