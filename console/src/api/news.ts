import { type LiveNews, liveClose, liveWords } from "../../../protocol/live.ts";
import { adminApi } from "./admin-api.ts";

export type NewsListener = {
  onNews(news: LiveNews): void;
  /** News may have been missed: everything that is shown must be asked for again. */
  onResumed(): void;
  /** The socket is gone; who is asking may have changed, or the master is away. */
  onLost(): void;
};

const PING_EVERY_MS = 45_000;
const ANSWER_WITHIN_MS = 6000;
const LONGEST_WAIT_MS = 30_000;

/** The one socket of this console, opened again whenever it is lost, and looked after when the page wakes. */
export function openNews(listener: NewsListener): { close(): void } {
  let socket: WebSocket | null = null;
  let failures = 0;
  let wasOpen = false;
  let answerBy: number | undefined;
  let nextTry: number | undefined;

  const hearing = () => socket?.readyState === WebSocket.OPEN;
  const lookedAt = () => document.visibilityState === "visible";

  function connect(): void {
    window.clearTimeout(nextTry);
    if (socket && socket.readyState <= WebSocket.OPEN) return;
    const own = new WebSocket(addressOfMaster());
    socket = own;
    own.onopen = () => {
      failures = 0;
      tellLive(true);
      if (wasOpen) listener.onResumed();
      wasOpen = true;
    };
    own.onmessage = ({ data }) => {
      window.clearTimeout(answerBy);
      if (data !== liveWords.pong) listener.onNews(JSON.parse(String(data)) as LiveNews);
    };
    own.onclose = ({ code }) => {
      if (socket === own) lost(code);
    };
  }

  function lost(code: number): void {
    window.clearTimeout(answerBy);
    socket = null;
    wasOpen = true;
    tellLive(false);
    listener.onLost();
    // Another page of the same person took its place; this one goes on when it is looked at again.
    if (code === liveClose.tooMany) return;
    const wait = Math.min(LONGEST_WAIT_MS, 500 * 2 ** failures);
    failures++;
    // All consoles lose their sockets at once when the master is deployed: they come back one after the other.
    nextTry = window.setTimeout(connect, wait * (0.5 + Math.random()));
  }

  function ping(): void {
    if (!hearing()) return;
    socket?.send(liveWords.ping);
    window.clearTimeout(answerBy);
    answerBy = window.setTimeout(giveUp, ANSWER_WITHIN_MS);
  }

  /** A socket that a sleep or another network has cut says nothing, not even that it is closed. */
  function giveUp(): void {
    const silent = socket;
    socket = null;
    silent?.close();
    lost(0);
  }

  function wake(): void {
    if (!lookedAt()) return;
    if (hearing()) ping();
    else connect();
  }

  const pings = window.setInterval(ping, PING_EVERY_MS);
  const wakings = [
    [document, "visibilitychange"],
    [window, "online"],
    [window, "pageshow"],
    [window, "focus"],
  ] as const;
  for (const [place, event] of wakings) place.addEventListener(event, wake);
  connect();
  return {
    close: () => {
      window.clearInterval(pings);
      window.clearTimeout(answerBy);
      window.clearTimeout(nextTry);
      for (const [place, event] of wakings) place.removeEventListener(event, wake);
      const open = socket;
      socket = null;
      open?.close();
      tellLive(false);
    },
  };
}

const addressOfMaster = () => location.origin.replace(/^http/, "ws") + adminApi.live.path;

let live = false;
const watching = new Set<() => void>();

function tellLive(now: boolean): void {
  if (live === now) return;
  live = now;
  for (const watcher of watching) watcher();
}

/** Whether news arrive, for `useSyncExternalStore`. */
export const liveState = {
  subscribe: (watcher: () => void) => {
    watching.add(watcher);
    return () => watching.delete(watcher);
  },
  isLive: () => live,
};
