//! `aiosctl service …` and `aiosctl boot`

use aios_client::system::{BootView, ServiceView};
use aios_proto::init::v1::{
    GetBootRequest, GetServiceRequest, ListServicesRequest, LogsRequest, ReloadServicesRequest,
    ServiceRequest,
};
use serde_json::json;
use tokio_stream::StreamExt;

use super::Ended;
use crate::args::{Lines, Service};
use crate::exit::Exit;
use crate::instance::Instance;
use crate::render;
use crate::render::text::printable;
use crate::terminal::Terminal;

/// Runs a verb.
pub(crate) async fn run(verb: Service, instance: &Instance, terminal: &mut Terminal) -> Ended {
    match verb {
        Service::List => list(instance, terminal).await,
        Service::Status { name } => {
            let service = instance
                .services
                .init()
                .await?
                .get_service(GetServiceRequest { name })
                .await?;
            one(&service.into_inner().into(), terminal)
        }
        Service::Start { name } => {
            let request = ServiceRequest { name };
            let service = instance.services.init().await?.start_service(request).await?;
            one(&service.into_inner().into(), terminal)
        }
        Service::Stop { name } => {
            let request = ServiceRequest { name };
            let service = instance.services.init().await?.stop_service(request).await?;
            one(&service.into_inner().into(), terminal)
        }
        Service::Reload => reload(instance, terminal).await,
        Service::Restart { name } => {
            let service = instance
                .services
                .init()
                .await?
                .restart_service(ServiceRequest { name })
                .await?;
            one(&service.into_inner().into(), terminal)
        }
        Service::Enable { name } => {
            let request = ServiceRequest { name };
            let service = instance.services.init().await?.enable_service(request).await?;
            one(&service.into_inner().into(), terminal)
        }
        Service::Disable { name } => {
            let request = ServiceRequest { name };
            let service = instance.services.init().await?.disable_service(request).await?;
            one(&service.into_inner().into(), terminal)
        }
        Service::Logs { name, lines } => logs(name, lines, instance, terminal).await,
    }
}

/// Services, in start order.
pub(crate) async fn all(instance: &Instance) -> Result<Vec<ServiceView>, aios_client::Failure> {
    let services = instance
        .services
        .init()
        .await?
        .list_services(ListServicesRequest {})
        .await?
        .into_inner()
        .services;
    Ok(services.into_iter().map(Into::into).collect())
}

/// Has init read its service files again; a wrong one is a failure.
async fn reload(instance: &Instance, terminal: &mut Terminal) -> Ended {
    let mut init = instance.services.init().await?;
    let found = init.reload_services(ReloadServicesRequest {}).await?.into_inner();
    if terminal.json() {
        terminal.document(&json!({
            "added": found.added, "changed": found.changed, "gone": found.gone, "errors": found.errors
        }));
    } else {
        let lists = [
            ("new", &found.added),
            ("changed", &found.changed),
            ("gone", &found.gone),
        ];
        for (what, names) in lists.iter().filter(|(_, names)| !names.is_empty()) {
            terminal.line(format!("{what:<8} {}", names.join(", ")));
        }
        if lists.iter().all(|(_, names)| names.is_empty()) && found.errors.is_empty() {
            terminal.line("no service file has changed");
        }
        for error in &found.errors {
            terminal.line(format!("wrong    {}", printable(error)));
        }
    }
    Ok(if found.errors.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

async fn list(instance: &Instance, terminal: &mut Terminal) -> Ended {
    let services = all(instance).await?;
    if terminal.json() {
        terminal.document(&services);
    } else {
        render::system::services(terminal, &services);
    }
    Ok(Exit::Done)
}

fn one(service: &ServiceView, terminal: &mut Terminal) -> Ended {
    if terminal.json() {
        terminal.document(service);
    } else {
        render::system::service(terminal, service);
    }
    Ok(if service.state == "failed" {
        Exit::Failed
    } else {
        Exit::Done
    })
}

async fn logs(name: String, lines: Lines, instance: &Instance, terminal: &mut Terminal) -> Ended {
    let request = LogsRequest {
        name,
        last: lines.last,
        follow: lines.follow,
    };
    let mut stream = instance.services.init().await?.logs(request).await?.into_inner();
    while let Some(line) = stream.next().await {
        let line = line?;
        let time = aios_client::time::rfc3339(line.time_ms);
        if terminal.json() {
            terminal
                .json_line(&json!({ "time": time, "name": line.name, "text": line.text, "lost": line.lost }));
            continue;
        }
        if line.lost > 0 {
            terminal.line(format!("… {} lost here", render::text::count(line.lost, "line")));
        }
        let clock = terminal.clock(time.as_deref());
        terminal.line(format!("{clock}  {}", printable(&line.text)));
    }
    Ok(Exit::Done)
}

/// Prints the boot.
pub(crate) async fn boot(instance: &Instance, terminal: &mut Terminal) -> Ended {
    let boot = instance
        .services
        .init()
        .await?
        .get_boot(GetBootRequest {})
        .await?
        .into_inner();
    let boot = BootView::from(boot);
    if terminal.json() {
        terminal.document(&boot);
    } else {
        render::system::boot(terminal, &boot);
    }
    Ok(Exit::Done)
}
