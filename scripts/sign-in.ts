import type { Cookie } from "playwright-core";
import { adminApi } from "../protocol/index.ts";

type Credentials = { username: string; password: string };

/** Begins a session as a browser would, whose cookies these are. */
export async function signIn(url: URL | string, credentials: Credentials): Promise<Cookie[]> {
  const answer = await fetch(new URL(adminApi.login.path, url), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(credentials),
  });
  const [name = "", value = ""] = answer.headers.getSetCookie()[0]?.split(";")[0]?.split("=") ?? [];
  if (!answer.ok || value === "") throw new Error(`${credentials.username} could not sign in`);
  const place = { domain: new URL(url).hostname, path: "/", expires: -1 };
  return [{ name, value, ...place, httpOnly: true, secure: false, sameSite: "Strict" }];
}
