import { DurableObject } from "cloudflare:workers";
import { type LiveNews, liveClose, liveNouns, liveWords, mayAs, type states } from "../../protocol/index.ts";

/** Set by the Worker after it has authenticated the caller; nobody else reaches this object. */
export const WATCHER_HEADER = "X-Watcher";
/** `person`: whose console it is, the same for all that this one has open. */
export type Watcher = { person: string; role: states.Role };
type Attachment = Watcher & { since: number };

const MAX_PER_PERSON = 12;
const MAX_IN_ALL = 2000;
/** Consoles ping every 45 s; a frozen page or a sleeping machine does not, and connects again when it wakes. */
const SILENT_MS = 5 * 60_000;
/** An expired session is told nothing for longer than this. */
const ASK_AGAIN_MS = 3_600_000;

/**
 * Holds the hibernating sockets of open consoles and tells them what has changed. It stores nothing, asks the database
 * nothing and keeps no timer: an open console costs nothing while nothing happens. What is lost with a broken socket is
 * made good by the console, which then asks for everything again that it shows.
 */
export class Noticeboard extends DurableObject<Env> {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(liveWords.ping, liveWords.pong));
  }

  override fetch(request: Request): Response {
    const watcher = JSON.parse(request.headers.get(WATCHER_HEADER) ?? "null") as Watcher | null;
    if (!watcher) return new Response("nobody", { status: 400 });
    const open = this.#open();
    if (open.length >= MAX_IN_ALL) return new Response("full", { status: 503 });
    this.#makeRoom(open.filter((socket) => attachmentOf(socket).person === watcher.person));
    const { 0: client, 1: server } = new WebSocketPair();
    this.ctx.acceptWebSocket(server);
    server.serializeAttachment({ ...watcher, since: Date.now() } satisfies Attachment);
    return new Response(null, { status: 101, webSocket: client });
  }

  tell(news: LiveNews): void {
    for (const socket of this.#open()) {
      const { role, since } = attachmentOf(socket);
      if (Date.now() - since > ASK_AGAIN_MS) {
        socket.close(liveClose.askAgain, "who are you by now?");
        continue;
      }
      const changed = news.changed.filter((noun) => mayAs(role, liveNouns[noun]));
      if (changed.length > 0) say(socket, JSON.stringify({ ...news, changed } satisfies LiveNews));
    }
  }

  /** Somebody's rights may have changed: all must show again who they are. */
  recheck(): void {
    for (const socket of this.#open()) socket.close(liveClose.askAgain, "who are you by now?");
  }

  /** What a console says besides pings means nothing; it must not fail. */
  override webSocketMessage(): void {}
  override webSocketClose(): void {}
  override webSocketError(): void {}

  /** Those that still live; of others, whose machine is gone or sleeps, nothing is kept. */
  #open(): WebSocket[] {
    const living: WebSocket[] = [];
    for (const socket of this.ctx.getWebSockets()) {
      if (socket.readyState !== WebSocket.OPEN) continue;
      if (Date.now() - this.#lastSign(socket) <= SILENT_MS) living.push(socket);
      else socket.close(liveClose.askAgain, "asleep");
    }
    return living;
  }

  #lastSign(socket: WebSocket): number {
    const pinged = this.ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0;
    return Math.max(pinged, attachmentOf(socket).since);
  }

  #makeRoom(ofPerson: WebSocket[]): void {
    const oldestFirst = ofPerson.toSorted((a, b) => attachmentOf(a).since - attachmentOf(b).since);
    for (const socket of oldestFirst.slice(0, Math.max(0, ofPerson.length - MAX_PER_PERSON + 1)))
      socket.close(liveClose.tooMany, "too many consoles of one person");
  }
}

const attachmentOf = (socket: WebSocket) => socket.deserializeAttachment() as Attachment;

function say(socket: WebSocket, text: string): void {
  try {
    socket.send(text);
  } catch {
    // It is closing; its console asks again for what it shows when it is back.
  }
}
