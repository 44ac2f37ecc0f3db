//! What a captured process would run: signs an approval with a key that it somehow got, and sends it.
//! Prints `approved`, the code of the refusal, or `no key: ` and why.
//!
//! `deny-probe RUN_DIR KEY_FILE UID APPROVAL_ID DIGEST_HEX`

use std::io::Write;
use std::path::Path;

use aios_auth::key::KeyError;
use aios_auth::person::PersonKey;
use aios_core::clock::{Clock, SystemClock};
use aios_core::rpc;
use aios_proto::guard::v1::DecideApprovalRequest;
use aios_proto::guard::v1::guard_client::GuardClient;
use anyhow::{Context, Result, bail};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [run, key, uid, approval, digest] = args.as_slice() else {
        bail!("deny-probe RUN_DIR KEY_FILE UID APPROVAL_ID DIGEST_HEX");
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let said = runtime.block_on(approve(run, key, uid.parse()?, approval, digest))?;
    Ok(writeln!(std::io::stdout(), "{said}")?)
}

async fn approve(run: &str, key: &str, uid: u32, approval: &str, digest: &str) -> Result<String> {
    let key = match PersonKey::load(Path::new(key), uid) {
        Ok(key) => key,
        Err(KeyError::File { source, .. }) => return Ok(format!("no key: {}", source.kind())),
        Err(error) => return Err(error).context("the key"),
    };
    let mut request = DecideApprovalRequest {
        approval_id: approval.to_owned(),
        approve: true,
        call_digest: hex::decode(digest)?,
        ..DecideApprovalRequest::default()
    };
    key.prove(&mut request, SystemClock.now_ms())?;
    let channel = rpc::channel(&Path::new(run).join("guard.sock"));
    Ok(match GuardClient::new(channel).decide_approval(request).await {
        Ok(_) => "approved".to_owned(),
        Err(status) => rpc::report_of(&status).code,
    })
}
