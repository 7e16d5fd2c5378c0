import { createContext, type ReactNode, useContext, useEffect } from "react";
import type { Role } from "../../protocol/states.ts";
import { adminApi } from "./api/admin-api.ts";
import { whenSignedOut } from "./api/call.ts";
import { queryClient, useAnswer } from "./api/queries.ts";
import { Waiting } from "./components/waiting.tsx";
import { Welcome } from "./pages/welcome.tsx";

type Person = { name: string; role: Role; may(role: Role): boolean };
const ranks: Record<Role, number> = { viewer: 0, operator: 1, admin: 2 };
const Me = createContext<Person | null>(null);

/** Who is signed in, and what they may do. What they may not is not shown to them. */
export function useMe(): Person {
  const me = useContext(Me);
  if (!me) throw new Error("this page is only shown to who is signed in");
  return me;
}

/** Shows its children to who is signed in, and the way in to everybody else. */
export function Session({ children }: { children: ReactNode }) {
  const me = useAnswer(adminApi.me, {});
  const isKnown = me.data !== undefined;
  // Only who was signed in can be signed out: a stranger's refusal is no news.
  useEffect(
    () => whenSignedOut(() => (isKnown ? queryClient.resetQueries({ queryKey: ["/api/auth"] }) : undefined)),
    [isKnown],
  );
  if (me.isPending) return <Waiting />;
  if (!me.data) return <Welcome reason={me.error?.code === "UNAUTHENTICATED" ? null : me.error} />;
  const { name, role } = me.data;
  const person = { name, role, may: (needed: Role) => ranks[role] >= ranks[needed] };
  return <Me value={person}>{children}</Me>;
}
