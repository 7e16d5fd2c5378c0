import { createContext, type ReactNode, useContext, useEffect, useState } from "react";
import { mayAs } from "../../protocol/roles.ts";
import type { Role } from "../../protocol/states.ts";
import { adminApi } from "./api/admin-api.ts";
import { whenSignedOut } from "./api/call.ts";
import { queryClient, useAnswer } from "./api/queries.ts";
import { Waiting } from "./components/waiting.tsx";
import { SessionEnded } from "./pages/welcome/session-ended.tsx";
import { Welcome } from "./pages/welcome/welcome.tsx";

type Person = { name: string; role: Role; may(role: Role): boolean };
const Me = createContext<Person | null>(null);

/** Who is signed in, and what they may do. What they may not is not shown to them. */
export function useMe(): Person {
  const me = useContext(Me);
  if (!me) throw new Error("this page is only shown to who is signed in");
  return me;
}

/**
 * Shows its children to who is signed in, and the way in to everybody else. When a session ends, the page stays as it
 * is under a dialog, so that nothing that was typed is lost.
 */
export function Session({ children }: { children: ReactNode }) {
  const me = useAnswer(adminApi.me, {});
  const [hasEnded, setHasEnded] = useState(false);
  const isKnown = me.data !== undefined;
  // Only who was signed in can be signed out: a stranger's refusal is no news.
  useEffect(() => whenSignedOut(() => setHasEnded(isKnown)), [isKnown]);
  if (me.isPending) return <Waiting />;
  if (!me.data) return <Welcome reason={me.error?.code === "UNAUTHENTICATED" ? null : me.error} />;
  const { name, role } = me.data;
  const person = { name, role, may: (needed: Role) => mayAs(role, needed) };
  const goOn = async () => {
    setHasEnded(false);
    await queryClient.invalidateQueries();
  };
  return (
    <Me value={person}>
      {children}
      {hasEnded ? <SessionEnded name={name} onBack={goOn} /> : null}
    </Me>
  );
}
