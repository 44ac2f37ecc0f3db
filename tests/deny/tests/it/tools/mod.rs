//! Every tool, through the public API, with real workers: one row of a table for each.
//!
//! A row says how a tool is called. From it [`walk`] tries, for each tool, that good arguments are accepted and wrong
//! ones refused by field, that nothing happens without the capability or a person's approval, that a dry run changes
//! nothing, that a change is undone exactly, and that each of this is in the audit log. [`silence`] tries what becomes
//! of calls whose time is over.

mod entry;
mod fs;
mod host;
mod network;
mod os;
mod pkg;
mod process;
mod record;
mod scene;
mod schema;
mod sec;
mod service;
mod silence;
mod walk;

use aios_harness::client;
use aios_harness::{Options, Service, Who, as_root};
use aios_proto::tools::v1::ListRequest;
use aios_tests_deny::start;
use anyhow::{Result, ensure};
use entry::Entry;
use scene::{Tree, options};
use std::collections::BTreeSet;

/// Every row.
const TABLES: [&[Entry]; 9] = [
    fs::TABLE,
    host::TABLE,
    network::FIREWALL,
    network::NET,
    os::TABLE,
    pkg::TABLE,
    process::TABLE,
    sec::TABLE,
    service::TABLE,
];

#[tokio::test]
async fn the_table_has_one_row_for_each_tool() -> Result<()> {
    let Some(aios) = start(Options {
        services: vec![Service::Guard, Service::Tools],
        ..Options::default()
    })?
    else {
        return Ok(());
    };
    let mut client = client::tools(&aios, Who::Person)?;
    let tools = client.list(ListRequest::default()).await?.into_inner().tools;
    let known: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
    let mut rows: Vec<&str> = TABLES
        .iter()
        .flat_map(|table| table.iter())
        .map(|row| row.tool)
        .collect();
    rows.sort_unstable();
    let (known_set, rows_set) = (BTreeSet::from_iter(&known), BTreeSet::from_iter(&rows));
    ensure!(
        known == rows,
        "no row: {:?}; no such tool: {:?}; or two rows of one: {rows:?}",
        known_set.difference(&rows_set),
        rows_set.difference(&known_set),
    );
    Ok(())
}

#[tokio::test]
async fn every_fs_tool() -> Result<()> {
    let Some(aios) = start(options(Service::WorkerFs))? else {
        return Ok(());
    };
    let mut scene = Tree::new(aios, fs::FILES)?;
    walk::walk(&mut scene, fs::TABLE).await?;
    silence::ends_in_time(&mut scene, fs::LATE).await?;
    silence::frozen(&mut scene, Service::WorkerFs, fs::TABLE).await
}

#[tokio::test]
async fn every_hw_and_monitor_tool() -> Result<()> {
    let Some(aios) = start(options(Service::WorkerHost))? else {
        return Ok(());
    };
    let mut scene = Tree::new(aios, &[])?;
    walk::walk(&mut scene, host::TABLE).await?;
    silence::ends_in_time(&mut scene, host::LATE).await?;
    silence::frozen(&mut scene, Service::WorkerHost, host::TABLE).await
}

#[tokio::test]
async fn every_process_tool() -> Result<()> {
    let Some(aios) = start(options(Service::WorkerProcess))? else {
        return Ok(());
    };
    let mut scene = process::Sleeping::new(aios)?;
    walk::walk(&mut scene, process::TABLE).await?;
    silence::frozen_midway(&mut scene, Service::WorkerProcess, &process::MIDWAY).await?;
    silence::frozen(&mut scene, Service::WorkerProcess, process::TABLE).await
}

#[tokio::test]
async fn every_sec_tool() -> Result<()> {
    let Some(aios) = start(options(Service::WorkerSec))? else {
        return Ok(());
    };
    let mut scene = sec::Watched::new(aios)?;
    walk::walk(&mut scene, sec::TABLE).await?;
    silence::ends_in_time(&mut scene, sec::LATE).await?;
    silence::frozen(&mut scene, Service::WorkerSec, sec::TABLE).await
}

#[tokio::test]
async fn every_service_tool() -> Result<()> {
    if !as_root()? {
        return Ok(());
    }
    let mut scene = service::Supervised::new().await?;
    walk::walk(&mut scene, service::TABLE).await?;
    silence::ends_in_time(&mut scene, service::LATE).await?;
    silence::frozen(&mut scene, Service::WorkerService, service::TABLE).await
}

#[tokio::test]
async fn every_net_tool() -> Result<()> {
    if !as_root()? {
        return Ok(());
    }
    let mut scene = network::Network::new()?;
    walk::walk(&mut scene, network::NET).await?;
    silence::ends_in_time(&mut scene, network::LATE).await?;
    silence::frozen(&mut scene, Service::WorkerNet, network::NET).await
}

#[tokio::test]
async fn every_firewall_tool() -> Result<()> {
    if !as_root()? {
        return Ok(());
    }
    let mut scene = network::Network::new()?;
    walk::walk(&mut scene, network::FIREWALL).await?;
    silence::frozen(&mut scene, Service::WorkerNet, network::FIREWALL).await
}

#[tokio::test]
async fn every_os_tool() -> Result<()> {
    if !as_root()? {
        return Ok(());
    }
    let mut scene = os::Images::new()?;
    walk::walk(&mut scene, os::TABLE).await?;
    scene.slow()?;
    silence::ends_in_time(&mut scene, os::LATE).await?;
    silence::frozen(&mut scene, Service::WorkerOs, os::TABLE).await
}

#[tokio::test]
async fn every_pkg_tool() -> Result<()> {
    if !as_root()? {
        return Ok(());
    }
    let mut scene = pkg::Packages::new()?;
    walk::walk(&mut scene, pkg::TABLE).await?;
    silence::ends_in_time(&mut scene, pkg::LATE).await?;
    silence::frozen(&mut scene, Service::WorkerPkg, pkg::TABLE).await
}
