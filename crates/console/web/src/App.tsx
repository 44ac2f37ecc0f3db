import { useCallback, useEffect, useState } from "react";

import { type Problem, type Session, api, problemOf } from "./api/client";
import { Console } from "./components/Console";
import { SignedOut } from "./components/SignedOut";

// A one-time code may be used once only, also when the page is rendered twice.
let arrival: Promise<Session> | undefined;

function arrive(): Promise<Session> {
  arrival ??= signInOrResume();
  return arrival;
}

function signInOrResume(): Promise<Session> {
  const code = window.location.pathname === "/signin" ? window.location.hash.slice(1) : "";
  if (window.location.pathname === "/signin") window.history.replaceState(null, "", "/");
  return code === "" ? api.session() : api.signIn(code);
}

export function App() {
  const [session, setSession] = useState<Session>();
  const [problem, setProblem] = useState<Problem>();

  useEffect(() => {
    arrive().then(setSession, (thrown: unknown) => setProblem(problemOf(thrown)));
  }, []);

  const signedOut = useCallback((why: Problem) => {
    setSession(undefined);
    setProblem(why);
  }, []);

  if (session) return <Console session={session} onSignedOut={signedOut} />;
  if (problem) return <SignedOut problem={problem} />;
  return (
    <main className="gate" aria-busy="true">
      <p className="quiet">Signing in…</p>
    </main>
  );
}
