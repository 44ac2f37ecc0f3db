// How states, sizes and times read.

import type { GoalState, Step } from "./api/client";

export type Tone = "good" | "bad" | "wait" | "work" | "quiet";

export const goalWords: Record<GoalState, { word: string; tone: Tone }> = {
  unspecified: { word: "Unknown", tone: "quiet" },
  pending: { word: "Stored", tone: "work" },
  planning: { word: "Planning", tone: "work" },
  in_progress: { word: "Working", tone: "work" },
  awaiting_approval: { word: "Needs your approval", tone: "wait" },
  awaiting_input: { word: "Needs your answer", tone: "wait" },
  completed: { word: "Completed", tone: "good" },
  failed: { word: "Failed", tone: "bad" },
  cancelled: { word: "Cancelled", tone: "quiet" },
};

export const stepWords: Record<Step["state"], { word: string; tone: Tone }> = {
  unspecified: { word: "Unknown", tone: "quiet" },
  started: { word: "Running", tone: "work" },
  awaiting_approval: { word: "Waits for approval", tone: "wait" },
  done: { word: "Done", tone: "good" },
  failed: { word: "Failed", tone: "bad" },
  denied: { word: "Denied", tone: "bad" },
};

export function hasEnded(state: GoalState): boolean {
  return state === "completed" || state === "failed" || state === "cancelled";
}

export function bytes(count: number): string {
  if (count < 1024) return `${count} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let value = count / 1024;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value.toFixed(1)} ${units[unit] ?? ""}`;
}

export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

const clockFormat = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const dateFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export function clock(time: string | null | undefined): string {
  return time ? clockFormat.format(new Date(time)) : "";
}

export function date(time: string | null | undefined): string {
  return time ? dateFormat.format(new Date(time)) : "";
}

export function shortId(id: string): string {
  return id.slice(-12);
}

/** A new UUIDv7, so that a goal sent twice by a broken connection is stored once. */
export function clientId(now: number = Date.now()): string {
  const random = crypto.getRandomValues(new Uint8Array(10));
  const time = now.toString(16).padStart(12, "0").slice(-12);
  const hex = Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const variant = ((parseInt(hex.slice(3, 4), 16) & 0x3) | 0x8).toString(16);
  return `${time.slice(0, 8)}-${time.slice(8)}-7${hex.slice(0, 3)}-${variant}${hex.slice(4, 7)}-${hex.slice(7, 19)}`;
}
