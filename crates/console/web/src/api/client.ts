// Calls to the console's own REST interface. Every failure becomes a Problem with code, message and
// next step, so that the page always has something useful to say.

import type { components } from "./schema";

type Schemas = components["schemas"];
export type Goal = Schemas["GoalView"];
export type GoalDetail = Schemas["GoalDetailView"];
export type GoalEvent = Schemas["EventView"];
export type GoalState = Schemas["GoalStateView"];
export type Task = Schemas["TaskView"];
export type Step = Schemas["StepView"];
export type Approval = Schemas["ApprovalView"];
export type ApprovalAnswer = Schemas["ApprovalAnswer"];
export type Status = Schemas["StatusView"];
export type Service = Schemas["ServiceView"];
export type Session = Schemas["SessionView"];
export type LiveReport = Schemas["LiveReport"];
export type Autonomy = Schemas["Autonomy"];
export type ErrorView = Schemas["ErrorView"];

/** A refused or failed request. */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly nextStep: string;

  constructor(status: number, view: ErrorView) {
    super(view.message);
    this.status = status;
    this.code = view.code;
    this.nextStep = view.next_step;
  }
}

/** Turns anything that was thrown into a Problem. */
export function problemOf(thrown: unknown): Problem {
  if (thrown instanceof Problem) return thrown;
  return new Problem(0, {
    code: "AIOS-PAGE-0001",
    message: "The console does not answer.",
    next_step: "Check that aios-console runs: aiosctl service status aios-console",
  });
}

function isErrorView(value: unknown): value is ErrorView {
  return typeof value === "object" && value !== null && "code" in value && "message" in value && "next_step" in value;
}

async function call<T>(method: "GET" | "POST" | "DELETE", path: string, body?: unknown): Promise<T> {
  const headers: Record<string, string> = method === "GET" ? {} : { "X-Aios-Console": "1" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const init: RequestInit = { method, headers, credentials: "same-origin" };
  if (body !== undefined) init.body = JSON.stringify(body);
  const response = await fetch(path, init);
  const text = await response.text();
  const value: unknown = text === "" ? undefined : safeParse(text);
  if (!response.ok) {
    throw new Problem(
      response.status,
      isErrorView(value)
        ? value
        : { code: "AIOS-PAGE-0002", message: `The console answered with ${response.status}.`, next_step: "Reload the page." },
    );
  }
  return value as T;
}

function safeParse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

export interface NewGoal {
  text: string;
  autonomy?: Autonomy;
  dry_run: boolean;
  client_id: string;
}

export const api = {
  signIn: (code: string) => call<Session>("POST", "/api/signin", { code }),
  signOut: () => call<void>("DELETE", "/api/session"),
  session: () => call<Session>("GET", "/api/session"),
  status: () => call<Status>("GET", "/api/status"),
  goals: () => call<Goal[]>("GET", "/api/goals?limit=50"),
  goal: (id: string) => call<GoalDetail>("GET", `/api/goals/${id}`),
  submit: (goal: NewGoal) => call<Goal>("POST", "/api/goals", goal),
  cancel: (id: string) => call<Goal>("POST", `/api/goals/${id}/cancel`),
  undo: (id: string) => call<Goal>("POST", `/api/goals/${id}/undo`),
  reply: (id: string, text: string) => call<Goal>("POST", `/api/goals/${id}/reply`, { text }),
  approvals: () => call<ApprovalAnswer[]>("GET", "/api/approvals"),
  decide: (approval: Approval, yes: boolean) =>
    call<Approval>("POST", `/api/approvals/${approval.approval_id}/${yes ? "approve" : "deny"}`, {
      call_digest: approval.call_digest,
    }),
  verify: () => call<LiveReport>("GET", "/api/audit/verify"),
};
