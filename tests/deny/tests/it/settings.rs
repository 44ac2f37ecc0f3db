//! What the administrator wrote into `config.toml` holds for a worker too, from which the rest of that directory is
//! hidden.

use aios_harness::client;
use aios_harness::{Options, Service};
use aios_tests_deny::{path_args, start};
use anyhow::Result;
use std::fs::File;
use std::io::Read;

#[tokio::test]
async fn what_does_not_fit_into_the_store_that_the_administrator_allows_is_not_deleted() -> Result<()> {
    let full = Options::with_full_autonomy();
    let roomy = full.config.clone();
    let Some(mut aios) = start(Options {
        config: format!("{roomy}[tools]\nsnapshot_bytes = 4096\n"),
        ..full
    })?
    else {
        return Ok(());
    };
    // What is kept is compressed, and this is not smaller then.
    let mut noise = vec![0; 64 << 10];
    File::open("/dev/urandom")?.read_exact(&mut noise)?;
    let file = aios.file("big", &noise)?;
    let task = client::mint_full(&aios, &["fs:*:/**"]).await?;
    let answer = client::call(&aios, &task, 1, "fs.delete", &path_args(&file)).await;
    assert_eq!(
        client::refusal(&answer).as_deref(),
        Some("AIOS-TOOLS-0046"),
        "{answer:?}"
    );
    assert!(std::fs::exists(&file)?);
    // What a person changes there holds from the next start on.
    std::fs::write(aios.paths().etc.join("config.toml"), roomy)?;
    aios.kill(Service::WorkerFs)?;
    aios.restart(Service::WorkerFs)?;
    let codes = (Some("AIOS-AUTH-0425"), None);
    let args = path_args(&file);
    aios_tests_deny::call_until(&aios, &task, 2, ("fs.delete", &args), codes).await?;
    assert!(!std::fs::exists(&file)?);
    Ok(())
}
