//! From findings to what follows them. Pure: the same goal and book give the same extension, ids apart;
//! it is computed once, stored with its ids, and never computed again.
//!
//! While anything must be looked at more closely, nothing is repaired: a repair follows from all that
//! is known. Repairs come one after another, the worst finding first, and what proves them comes last.

use crate::model::event::{Decision, Event};
use crate::model::finding::{Action, Answer, Finding};
use crate::model::plan::{Operation, TaskPlan};
use crate::model::remedy::{Book, Remedy, TaskTemplate};
use crate::model::{Goal, MAX_ROUNDS};
use crate::planner::LEVEL;
use crate::runbook::TemplateError;
use crate::runbook::template::{self, Fill, Nature};
use aios_core::id::TaskId;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Most findings that one extension answers with tasks.
const MAX_ANSWERED: usize = 16;

/// A remedy with its names filled.
struct Filled<'a> {
    remedy: &'a Remedy,
    says: String,
    tasks: Vec<TaskPlan>,
}

struct Extending<'a> {
    goal: &'a Goal,
    book: &'a Book,
    ids: &'a mut dyn FnMut() -> TaskId,
    /// Names of tasks that there are.
    names: BTreeSet<String>,
    answers: Vec<Answer>,
    tasks: Vec<TaskPlan>,
    /// Tasks of the repair before.
    before: Vec<String>,
}

/// What follows the analyses of a goal that nothing has followed yet.
pub fn extend(goal: &Goal, book: &Book, ids: &mut dyn FnMut() -> TaskId) -> (Vec<Decision>, Event) {
    let mut extending = Extending {
        goal,
        book,
        ids,
        names: goal.tasks.iter().map(|task| task.plan.name.clone()).collect(),
        answers: Vec::new(),
        tasks: Vec::new(),
        before: Vec::new(),
    };
    let findings = open_findings(goal);
    extending.answer(&findings);
    let decisions = findings
        .iter()
        .filter_map(|finding| decision(finding, book, &extending.answers))
        .collect();
    let event = Event::Extended {
        analysed: goal.unread(),
        answers: extending.answers,
        tasks: extending.tasks,
    };
    (decisions, event)
}

/// Findings that have no answer, each once, the worst first.
fn open_findings(goal: &Goal) -> Vec<Finding> {
    let mut open: Vec<Finding> = Vec::new();
    for finding in goal.analyses().into_iter().flat_map(|analysis| analysis.findings) {
        let known = open.iter().any(|it| it.same(&finding.cause, &finding.subject));
        if !known && goal.answer(&finding.cause, &finding.subject).is_none() {
            open.push(finding);
        }
    }
    open.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    open
}

fn decision(finding: &Finding, book: &Book, answers: &[Answer]) -> Option<Decision> {
    let answer = answers
        .iter()
        .find(|answer| finding.same(&answer.cause, &answer.subject))?;
    let shown: Vec<&str> = finding.evidence.iter().map(|it| it.shows.as_str()).collect();
    let options = book
        .remedies
        .iter()
        .filter(|remedy| remedy.cause == finding.cause);
    Some(Decision {
        subject: "remedy".to_owned(),
        options: options
            .map(|remedy| {
                if remedy.summary.is_empty() {
                    remedy.advice.clone()
                } else {
                    remedy.summary.clone()
                }
            })
            .collect(),
        choice: format!("runbook {}, cause {}: {}", book.name, finding.cause, answer.says),
        reason: format!("{} ({})", finding.title, shown.join("; ")),
        level: LEVEL.to_owned(),
        task: None,
    })
}

impl<'a> Extending<'a> {
    fn answer(&mut self, findings: &[Finding]) {
        // The last round cannot be looked into again.
        let may_look = self.goal.extensions.len() + 1 < MAX_ROUNDS;
        let looks: Vec<&Finding> = findings
            .iter()
            .filter(|finding| may_look && self.is_look(finding))
            .collect();
        if !looks.is_empty() {
            for finding in looks {
                self.answer_one(finding, true);
            }
            return;
        }
        for finding in findings {
            self.answer_one(finding, false);
        }
        let repaired = self.answers.iter().any(|answer| answer.action == Action::Repair);
        if repaired {
            self.prove();
        }
    }

    fn is_look(&self, finding: &Finding) -> bool {
        let mut remedies = self.book.remedies.iter();
        remedies.any(|remedy| remedy.looks && remedy.cause == finding.cause)
    }

    fn answer_one(&mut self, finding: &Finding, looks: bool) {
        let (action, says, tasks) = match self.fill(finding, looks) {
            Ok(filled) if filled.tasks.is_empty() => (Action::Advice, filled.says, Vec::new()),
            Ok(filled) if !filled.remedy.looks && self.goal.dry_run => {
                let calls = calls_of(&filled.tasks);
                let says = format!("would {}: {calls}", filled.says);
                (Action::Would, says, Vec::new())
            }
            Ok(filled) if self.answers.len() >= MAX_ANSWERED => {
                let says = format!("left for another goal, to {}", filled.says);
                (Action::Nothing, says, Vec::new())
            }
            Ok(filled) => {
                let names = self.add(filled.tasks, filled.remedy.looks);
                let action = if filled.remedy.looks {
                    Action::Look
                } else {
                    Action::Repair
                };
                (action, filled.says, names)
            }
            Err(why) => (Action::Nothing, why, Vec::new()),
        };
        self.answers.push(Answer {
            cause: finding.cause.clone(),
            subject: finding.subject.clone(),
            action,
            says,
            tasks,
        });
    }

    /// The first remedy of the cause whose names can all be filled.
    fn fill(&mut self, finding: &Finding, looks: bool) -> Result<Filled<'a>, String> {
        let mut found = finding.values.clone();
        found.insert("subject".to_owned(), Value::from(finding.subject.as_str()));
        found.insert("title".to_owned(), Value::from(finding.title.as_str()));
        let book = self.book;
        let fill = Fill {
            inputs: &book.inputs,
            found: &found,
        };
        let mut why = "no remedy of the runbook fits it; a person should look at it".to_owned();
        let fitting = book
            .remedies
            .iter()
            .filter(|remedy| remedy.cause == finding.cause && remedy.looks == looks);
        for remedy in fitting {
            match self.fill_one(remedy, &fill) {
                Ok(filled) => return Ok(filled),
                Err(TemplateError::Unknown(_)) => {}
                Err(error) => why = format!("its remedy cannot be used: {error}"),
            }
        }
        Err(why)
    }

    fn fill_one(&mut self, remedy: &'a Remedy, fill: &Fill<'_>) -> Result<Filled<'a>, TemplateError> {
        let words = if remedy.tasks.is_empty() {
            &remedy.advice
        } else {
            &remedy.summary
        };
        Ok(Filled {
            remedy,
            says: template::text(words, fill)?,
            tasks: self.fill_tasks(&remedy.tasks, fill, remedy.looks)?,
        })
    }

    fn fill_tasks(
        &mut self,
        templates: &[TaskTemplate],
        fill: &Fill<'_>,
        looks: bool,
    ) -> Result<Vec<TaskPlan>, TemplateError> {
        let names: BTreeMap<String, String> = templates
            .iter()
            .map(|task| (task.name.clone(), self.free_name(&task.name)))
            .collect();
        let nature = Nature { looks, tainted: true };
        templates
            .iter()
            .map(|task| template::task(task, fill, &names, nature, (self.ids)()))
            .collect()
    }

    /// `name`, or `name-2` when there is one already.
    fn free_name(&self, name: &str) -> String {
        let mut number = 1_u32;
        let mut free = name.to_owned();
        while self.names.contains(&free) {
            number += 1;
            free = format!("{name}-{number}");
        }
        free
    }

    /// Adds tasks; those of a repair follow the repair before.
    fn add(&mut self, tasks: Vec<TaskPlan>, looks: bool) -> Vec<String> {
        let names: Vec<String> = tasks.iter().map(|task| task.name.clone()).collect();
        self.names.extend(names.iter().cloned());
        for mut task in tasks {
            if !looks && task.needs.is_empty() {
                task.needs.clone_from(&self.before);
            }
            self.tasks.push(task);
        }
        if !looks {
            self.before.clone_from(&names);
        }
        names
    }

    /// Adds what proves all repairs together.
    fn prove(&mut self) {
        let book = self.book;
        let found = Map::new();
        let fill = Fill {
            inputs: &book.inputs,
            found: &found,
        };
        let repairs: Vec<String> = self.tasks.iter().map(|task| task.name.clone()).collect();
        match self.fill_tasks(&book.proofs, &fill, false) {
            Ok(proofs) => {
                self.before = repairs;
                self.add(proofs, false);
            }
            // Only a runbook that was never checked has such; without its proof the goal cannot complete.
            Err(error) => self.answers.push(Answer {
                cause: "proofs".to_owned(),
                subject: book.name.clone(),
                action: Action::Nothing,
                says: format!("the repair cannot be proved: {error}"),
                tasks: Vec::new(),
            }),
        }
    }
}

/// The calls of a repair, as a person reads them.
fn calls_of(tasks: &[TaskPlan]) -> String {
    const SHOWN: usize = 160;
    let calls: Vec<String> = tasks
        .iter()
        .flat_map(|task| &task.operations)
        .filter_map(|operation| match operation {
            Operation::Call { tool, args, .. } => {
                let args: String = args.to_string().chars().take(SHOWN).collect();
                Some(format!("{tool} {args}"))
            }
            _ => None,
        })
        .collect();
    calls.join(", then ")
}
