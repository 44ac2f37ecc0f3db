// What the page knows, kept fresh: polled calls, and the live events of one goal.

import { useCallback, useEffect, useRef, useState } from "react";

import { type GoalEvent, type Problem, problemOf } from "./api/client";

/** How long to wait for more events before what depends on them is loaded again. */
const SETTLE_MS = 80;

export interface Loaded<T> {
  value: T | undefined;
  problem: Problem | undefined;
  refresh: () => void;
}

/** Calls `load` now, every `everyMs` while the page is visible, and when asked. */
export function usePolled<T>(load: () => Promise<T>, everyMs: number): Loaded<T> {
  const [value, setValue] = useState<T>();
  const [problem, setProblem] = useState<Problem>();
  const [turn, setTurn] = useState(0);
  const refresh = useCallback(() => setTurn((turn) => turn + 1), []);

  useEffect(() => {
    let current = true;
    const run = () => {
      if (document.hidden) return;
      load().then(
        (loaded) => {
          if (!current) return;
          setValue(loaded);
          setProblem(undefined);
        },
        (thrown: unknown) => {
          if (current) setProblem(problemOf(thrown));
        },
      );
    };
    run();
    const timer = setInterval(run, everyMs);
    document.addEventListener("visibilitychange", run);
    return () => {
      current = false;
      clearInterval(timer);
      document.removeEventListener("visibilitychange", run);
    };
  }, [load, everyMs, turn]);

  return { value, problem, refresh };
}

export interface Live {
  events: GoalEvent[];
  state: "connecting" | "live" | "lost" | "ended";
}

/** The live events of a goal. The browser itself comes back after a break, from the last event it saw. */
export function useGoalEvents(goalId: string, onEvent: () => void): Live {
  const [live, setLive] = useState<Live>({ events: [], state: "connecting" });
  const notify = useRef(onEvent);
  useEffect(() => {
    notify.current = onEvent;
  }, [onEvent]);

  useEffect(() => {
    setLive({ events: [], state: "connecting" });
    // A long history arrives at once: what hangs on it is refreshed once for all of it.
    let due: ReturnType<typeof setTimeout> | undefined;
    const changed = () => {
      due ??= setTimeout(() => {
        due = undefined;
        notify.current();
      }, SETTLE_MS);
    };
    const source = new EventSource(`/api/goals/${goalId}/events`);
    source.addEventListener("open", () => setLive((live) => ({ ...live, state: "live" })));
    source.addEventListener("goal", (message: MessageEvent<string>) => {
      const event = JSON.parse(message.data) as GoalEvent;
      setLive((live) => ({
        state: "live",
        events: event.seq > (live.events.at(-1)?.seq ?? 0) ? [...live.events, event] : live.events,
      }));
      changed();
    });
    source.addEventListener("end", () => {
      source.close();
      setLive((live) => ({ ...live, state: "ended" }));
      changed();
    });
    source.addEventListener("error", () => setLive((live) => (live.state === "ended" ? live : { ...live, state: "lost" })));
    return () => {
      clearTimeout(due);
      source.close();
    };
  }, [goalId]);

  return live;
}

/** The path of the page, and a way to change it. */
export function usePath(): [string, (path: string) => void] {
  const [path, setPath] = useState(window.location.pathname);
  useEffect(() => {
    const changed = () => setPath(window.location.pathname);
    window.addEventListener("popstate", changed);
    return () => window.removeEventListener("popstate", changed);
  }, []);
  const go = useCallback((next: string) => {
    if (next !== window.location.pathname) window.history.pushState(null, "", next);
    setPath(next);
  }, []);
  return [path, go];
}

export interface Action {
  busy: boolean;
  problem: Problem | undefined;
  run: () => void;
}

/** One thing a person can do: busy while it runs, and its problem when it fails. */
export function useAction(act: () => Promise<void>): Action {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const run = () => {
    if (busy) return;
    setBusy(true);
    setProblem(undefined);
    act()
      .catch((thrown: unknown) => setProblem(problemOf(thrown)))
      .finally(() => setBusy(false));
  };
  return { busy, problem, run };
}
