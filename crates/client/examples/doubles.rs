//! Serves the doubles as an instance in a directory, for trying `aiosctl` and the console by hand:
//! `cargo run --release -p aios-client --features doubles --example doubles DIR`.

use std::path::PathBuf;
use std::sync::Arc;

use aios_client::doubles::{ALL, Doubles};
use aios_core::clock::SystemClock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root: PathBuf = std::env::args_os().nth(1).ok_or("name a directory")?.into();
    let doubles = Doubles::start(&root.join("run"), &root.join("var"), Arc::new(SystemClock), &ALL).await?;
    tracing::info!(run = %doubles.run_dir().display(), "doubles are up");
    aios_core::tasks::termination().await?;
    doubles.stop().await;
    Ok(())
}
