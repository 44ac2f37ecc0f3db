//! gRPC statuses that carry the error's code and next step as metadata.

use crate::error::{Class, Coded, Report};
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

/// Metadata key of the code.
const CODE: &str = "aios-code";
/// Metadata key of the next step; binary, because it may hold any character.
const NEXT: &str = "aios-next-bin";

/// Turns a coded error into a status.
pub fn status(error: &(impl Coded + ?Sized)) -> Status {
    status_of_report(&Report::of(error), error.class())
}

/// Turns an error that has become data into a status.
pub fn status_of_report(report: &Report, class: Class) -> Status {
    let mut status = Status::new(code_of(class), report.message.clone());
    if let Ok(code) = MetadataValue::try_from(&report.code) {
        status.metadata_mut().insert(CODE, code);
    }
    status
        .metadata_mut()
        .insert_bin(NEXT, MetadataValue::from_bytes(report.next_step.as_bytes()));
    status
}

/// Reads the error back from a status; statuses of foreign origin get a code of their own.
pub fn report_of(status: &Status) -> Report {
    let metadata = status.metadata();
    let code = metadata.get(CODE).and_then(|it| it.to_str().ok());
    let next = metadata
        .get_bin(NEXT)
        .and_then(|it| it.to_bytes().ok())
        .and_then(|it| String::from_utf8(it.to_vec()).ok());
    Report {
        code: code.map_or_else(|| foreign(status.code()).to_owned(), str::to_owned),
        message: status.message().to_owned(),
        next_step: next.unwrap_or_else(|| advice(status.code()).to_owned()),
    }
}

fn foreign(code: Code) -> &'static str {
    match code {
        Code::Unavailable => "AIOS-RPC-0001",
        Code::DeadlineExceeded => "AIOS-RPC-0002",
        Code::Cancelled => "AIOS-RPC-0003",
        Code::Unimplemented => "AIOS-RPC-0004",
        _ => "AIOS-RPC-0000",
    }
}

fn advice(code: Code) -> &'static str {
    match code {
        Code::Unavailable => "see `aiosctl service list`: the service may be starting again",
        Code::DeadlineExceeded => "try again with a longer time limit",
        Code::Unimplemented => "the two sides have different versions: upgrade the older one",
        _ => "see `aiosctl service logs` of the service that answered",
    }
}

fn code_of(class: Class) -> Code {
    match class {
        Class::InvalidArgument => Code::InvalidArgument,
        Class::NotFound => Code::NotFound,
        Class::PermissionDenied => Code::PermissionDenied,
        Class::Unauthenticated => Code::Unauthenticated,
        Class::FailedPrecondition => Code::FailedPrecondition,
        Class::AlreadyExists => Code::AlreadyExists,
        Class::ResourceExhausted => Code::ResourceExhausted,
        Class::Unavailable => Code::Unavailable,
        Class::DeadlineExceeded => Code::DeadlineExceeded,
        Class::Cancelled => Code::Cancelled,
        Class::Unimplemented => Code::Unimplemented,
        Class::Internal => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_next_step_survive_the_wire() {
        let report = Report {
            code: "AIOS-TOOLS-0012".into(),
            message: "no such tool".into(),
            next_step: "see `aiosctl tool list` …".into(),
        };
        let status = status_of_report(&report, Class::NotFound);
        assert_eq!(status.code(), Code::NotFound);
        assert_eq!(report_of(&status), report);
    }

    #[test]
    fn a_foreign_status_gets_a_code_and_advice() {
        let report = report_of(&Status::unavailable("connection refused"));
        assert_eq!(report.code, "AIOS-RPC-0001");
        assert!(report.next_step.contains("service list"));
    }
}
