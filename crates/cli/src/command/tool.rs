//! `aiosctl tool …`

use aios_client::system::ToolView;
use aios_proto::orchestrator::v1::CallToolRequest;
use aios_proto::tools::v1::{GetRequest, ListRequest};

use super::{Ended, follow};
use crate::args::Tool;
use crate::exit::Exit;
use crate::instance::Instance;
use crate::render::table::{Table, fields};
use crate::render::text::one_line;
use crate::terminal::Terminal;

/// Runs a verb.
pub(crate) async fn run(verb: Tool, instance: &Instance, terminal: &mut Terminal) -> Ended {
    match verb {
        Tool::List { namespace } => list(namespace, instance, terminal).await,
        Tool::Show { name } => show(name, instance, terminal).await,
        Tool::Call {
            name,
            args,
            dry_run,
            follow,
        } => {
            let client_id = uuid::Uuid::now_v7().to_string();
            let request = CallToolRequest {
                tool: name,
                args_json: args,
                dry_run,
                client_id,
            };
            let goal = instance.services.orchestrator().await?.call_tool(request).await?;
            follow::call(goal.into_inner().into(), follow, instance, terminal).await
        }
    }
}

async fn list(namespace: Option<String>, instance: &Instance, terminal: &mut Terminal) -> Ended {
    let request = ListRequest {
        namespace: namespace.unwrap_or_default(),
    };
    let tools = instance
        .services
        .tools()
        .await?
        .list(request)
        .await?
        .into_inner()
        .tools;
    let tools: Vec<ToolView> = tools.into_iter().map(Into::into).collect();
    if terminal.json() {
        terminal.document(&tools);
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["TOOL", "RISK", "CHANGES", "UNDO", "WHAT"]);
    for tool in &tools {
        let changes = if tool.mutating { "yes" } else { "no" };
        let undo = match (tool.mutating, tool.reversible) {
            (false, _) => "-",
            (true, true) => "exact",
            (true, false) => "no",
        };
        let cells = [
            one_line(&tool.name),
            tool.risk.word().to_owned(),
            changes.to_owned(),
            undo.to_owned(),
        ];
        table.row(cells.into_iter().chain([one_line(&tool.summary)]));
    }
    table.print(terminal, "no tools here");
    Ok(Exit::Done)
}

async fn show(name: String, instance: &Instance, terminal: &mut Terminal) -> Ended {
    let tool = instance
        .services
        .tools()
        .await?
        .get(GetRequest { name })
        .await?
        .into_inner();
    let tool = ToolView::from(tool);
    if terminal.json() {
        terminal.document(&tool);
        return Ok(Exit::Done);
    }
    fields(
        terminal,
        &[
            ("tool", one_line(&tool.name)),
            ("what", one_line(&tool.summary)),
            ("risk", tool.risk.word().to_owned()),
            ("capability", one_line(&tool.capability)),
            ("time limit", format!("{} ms", tool.timeout_ms)),
        ],
    );
    for (title, schema) in [("arguments", &tool.input_schema), ("result", &tool.output_schema)] {
        terminal.line(format!("\n{title}"));
        terminal.document(schema);
    }
    Ok(Exit::Done)
}
