import { waitUntil } from "cloudflare:workers";
import { DomainError } from "../errors.ts";
import type { News } from "./news.ts";
import { type Noticeboard, WATCHER_HEADER, type Watcher } from "./noticeboard.ts";

/** What the Worker knows of the Noticeboard. Everything stays correct without it: consoles then ask now and then. */
export type Board = {
  /** Hands a console's upgrade request on; the answer holds the socket. Throws when the board is away or full. */
  open(watcher: Watcher, request: Request): Promise<Response>;
  /** Tells open consoles what has changed, together with what else changes in the same moment. Never throws. */
  tell(news: News): void;
};

/** What one call changes in several steps is told once. */
const GATHER_MS = 100;
/** More ends at once than anybody reads one by one. */
const MAX_ENDED = 50;

export function connectBoard(namespace: DurableObjectNamespace<Noticeboard>): Board {
  // A stub is of no use after an error, so each call gets its own.
  const stub = () => namespace.getByName("consoles");
  let gathered: News | null = null;

  async function flush(): Promise<void> {
    await scheduler.wait(GATHER_MS);
    const news = gathered;
    gathered = null;
    if (!news) return;
    const changed = [...news.changed];
    if (changed.length > 0) await stub().tell({ changed, ended: news.ended.slice(0, MAX_ENDED) });
    if (news.recheck) await stub().recheck();
  }

  return {
    open: async (watcher, request) => {
      const headers = new Headers(request.headers);
      headers.set(WATCHER_HEADER, JSON.stringify(watcher));
      const answer = await stub()
        .fetch(new Request(request, { headers }))
        .catch(() => null);
      if (answer?.webSocket) return answer;
      throw new DomainError("MASTER_OVERLOADED", "no live news now: ask again later", {
        retryAfterSeconds: 30,
      });
    },
    tell: (news) => {
      if (gathered) {
        gathered = together(gathered, news);
        return;
      }
      gathered = news;
      waitUntil(flush().catch((error: unknown) => logLost(error)));
    },
  };
}

const together = (a: News, b: News): News => ({
  changed: new Set([...a.changed, ...b.changed]),
  ended: [...a.ended, ...b.ended],
  recheck: a.recheck || b.recheck,
});

const logLost = (error: unknown) =>
  console.warn(JSON.stringify({ message: "news not told", error: String(error) }));
