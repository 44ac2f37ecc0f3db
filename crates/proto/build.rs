//! Compiles `proto/` with protox, so that no `protoc` is needed.

use std::path::PathBuf;
use std::{env, fs, io};

const FILES: &[&str] = &[
    "aios/common/v1/common.proto",
    "aios/guard/v1/guard.proto",
    "aios/worker/v1/worker.proto",
    "aios/tools/v1/tools.proto",
    "aios/agent/v1/agent.proto",
    "aios/orchestrator/v1/orchestrator.proto",
    "aios/memory/v1/memory.proto",
    "aios/init/v1/init.proto",
    "aios/sandbox/v1/sandbox.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo::rerun-if-changed={}", root.display());
    let descriptors = protox::compile(FILES, [&root])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(
        out.join("descriptors.bin"),
        prost::Message::encode_to_vec(&descriptors),
    )?;
    // Clients are made from `aios_core::rpc::channel`; a generated `connect` would clash with the rpc of that name.
    tonic_prost_build::configure()
        .build_transport(false)
        .compile_fds(descriptors)
        .map_err(|error| io::Error::other(format!("generating gRPC code: {error}")))?;
    Ok(())
}
