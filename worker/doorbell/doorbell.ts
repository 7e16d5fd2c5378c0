import { DurableObject } from "cloudflare:workers";
import { doorbellClose, doorbellWords, timing } from "../../protocol/index.ts";
import type { Census, Sign } from "./bell.ts";

/** Set by the Worker after it has authenticated the agent; nobody else reaches this object. */
export const NODE_ID_HEADER = "X-Node-Id";

type Attachment = { nodeId: number; connectedAt: number };
/** What happened to a node's sockets since the last acknowledged census; empty: somebody asked. */
type Note = { openedAt?: number; closedAt?: number };
/** A census that waits for its acknowledgement. */
type Proposal = { version: string; at: number; arrived: number[]; gone: Gone[]; notes: [number, Note][] };
type Gone = Sign & { belongs: boolean };

const FRESH_MS = timing.offlineAfterSeconds * 1000;
/**
 * How long a node that went is told again. A write that says "connected" and set out before the node went, in a route
 * or in another sweep, may land after the one that says "gone"; no D1 query lives longer than 30 s.
 */
const LINGER_MS = 60_000;
const PRESENT = 0;
const TOLD_KEY = "told";
const NOTE_PREFIX = "note:";

/**
 * Holds the agents' hibernating sockets and rings them. It knows no database and keeps no timer, so that it costs
 * nothing while nobody comes, goes or is rung. Signs of life are the times of pings, which are answered without waking
 * it: a frozen agent closes nothing.
 *
 * What it stores serves one promise: every node that the database takes for connected is among those told (a single
 * value: node id to PRESENT, or to when its going was first told) or noted, so that its going is told. A note is
 * written before the database hears of a socket.
 */
export class Doorbell extends DurableObject<Env> {
  #proposal: Proposal | null = null;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(doorbellWords.ping, doorbellWords.pong));
  }

  /** Accepts a node's socket; any older one of the node is closed. */
  override fetch(request: Request): Response {
    const nodeId = Number(request.headers.get(NODE_ID_HEADER));
    if (!Number.isSafeInteger(nodeId) || nodeId <= 0) return new Response("no node", { status: 400 });
    for (const older of this.#open(nodeId)) older.close(doorbellClose.replaced, "replaced by a newer socket");
    const { 0: client, 1: server } = new WebSocketPair();
    this.ctx.acceptWebSocket(server, [String(nodeId)]);
    const attachment: Attachment = { nodeId, connectedAt: Date.now() };
    server.serializeAttachment(attachment);
    this.#note(nodeId, { openedAt: attachment.connectedAt });
    return new Response(null, { status: 101, webSocket: client });
  }

  ring(nodeIds: number[]): void {
    for (const socket of nodeIds.flatMap((id) => this.#open(id))) {
      try {
        socket.send(doorbellWords.ring);
      } catch {
        // It is closing; its owner polls when it is back.
      }
    }
  }

  kick(nodeIds: number[], code: number): void {
    for (const socket of nodeIds.flatMap((id) => this.#open(id))) socket.close(code, "no longer welcome");
  }

  lastSeen(nodeIds: number[]): Sign[] {
    return nodeIds.flatMap((id) => {
      const signs = this.#open(id).map((socket) => this.#lastSign(socket));
      return signs.length === 0 ? [] : [{ id, lastSeen: Math.max(...signs) }];
    });
  }

  expect(nodeIds: number[]): void {
    const told = this.#told();
    for (const id of nodeIds) if (told.get(id) !== PRESENT) this.#note(id, {});
  }

  /** Who came and who went, seen as shard `shard` of `shards`; sockets that belong to another one are closed. */
  census(shard: number, shards: number): Census {
    const at = Date.now();
    const belongs = (id: number) => id % shards === shard;
    this.#sendHome(belongs);
    const signs = this.#signs();
    const told = this.#told();
    const notes = this.#notes();
    const live = (id: number) => belongs(id) && (signs.get(id) ?? 0) >= at - FRESH_MS;

    const arrived = [...signs]
      .filter(([id]) => live(id) && (told.get(id) !== PRESENT || notes.has(id)))
      .map(([id, lastSeen]) => ({ id, lastSeen }));
    const gone = [...new Set([...told.keys(), ...notes.keys()])]
      .filter((id) => !live(id))
      .map((id) => {
        const known = Math.max(signs.get(id) ?? 0, notes.get(id)?.closedAt ?? 0);
        // Without a trace (the object lost its sockets in a deploy) the agents get the time to come back.
        return { id, lastSeen: known || told.get(id) || at, belongs: belongs(id) };
      });
    if (arrived.length === 0 && gone.length === 0) return { shard, version: null, arrived, gone: [] };

    const version = crypto.randomUUID();
    this.#proposal = { version, at, arrived: arrived.map(({ id }) => id), gone, notes: [...notes] };
    return { shard, version, arrived, gone: gone.map(({ id, lastSeen }) => ({ id, lastSeen })) };
  }

  /** Takes the latest census as told. One that was lost with this object's memory simply comes again. */
  acknowledge(version: string): void {
    const proposal = this.#proposal;
    if (proposal?.version !== version) return;
    this.#proposal = null;
    const told = this.#told();
    const before = JSON.stringify([...told]);
    const noted = new Set(proposal.notes.map(([id]) => id));
    for (const id of proposal.arrived) told.set(id, PRESENT);
    for (const { id, belongs } of proposal.gone) {
      const since = noted.has(id) ? PRESENT : (told.get(id) ?? PRESENT);
      if (!belongs || (since !== PRESENT && proposal.at - since > LINGER_MS)) told.delete(id);
      else if (since === PRESENT) told.set(id, proposal.at);
    }
    if (JSON.stringify([...told]) !== before) this.ctx.storage.kv.put(TOLD_KEY, [...told]);
    this.#dropNotes(proposal.notes);
  }

  override webSocketClose(socket: WebSocket, _code: number, _reason: string, wasClean: boolean): void {
    this.#noteClosed(socket, wasClean ? Date.now() : this.#lastSign(socket));
    // The runtime answers a close by itself only when the object falls asleep, ten seconds later.
    if (wasClean) socket.close(1000);
  }

  override webSocketError(socket: WebSocket): void {
    this.#noteClosed(socket, this.#lastSign(socket));
  }

  /** What an agent says besides pings means nothing; it must not fail. */
  override webSocketMessage(): void {}

  #open(nodeId: number): WebSocket[] {
    return this.ctx.getWebSockets(String(nodeId)).filter((socket) => socket.readyState === WebSocket.OPEN);
  }

  #signs(): Map<number, number> {
    const signs = new Map<number, number>();
    for (const socket of this.ctx.getWebSockets()) {
      if (socket.readyState !== WebSocket.OPEN) continue;
      const { nodeId } = attachmentOf(socket);
      signs.set(nodeId, Math.max(signs.get(nodeId) ?? 0, this.#lastSign(socket)));
    }
    return signs;
  }

  #lastSign(socket: WebSocket): number {
    const pinged = this.ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0;
    return Math.max(pinged, attachmentOf(socket).connectedAt);
  }

  #sendHome(belongs: (id: number) => boolean): void {
    for (const socket of this.ctx.getWebSockets()) {
      if (belongs(attachmentOf(socket).nodeId) || socket.readyState !== WebSocket.OPEN) continue;
      socket.close(doorbellClose.moved, "connect again");
    }
  }

  #noteClosed(socket: WebSocket, closedAt: number): void {
    const { nodeId } = attachmentOf(socket);
    if (this.#open(nodeId).some((other) => other !== socket)) return;
    this.#note(nodeId, { closedAt });
  }

  #note(nodeId: number, note: Note): void {
    const key = NOTE_PREFIX + nodeId;
    this.ctx.storage.kv.put(key, { ...this.ctx.storage.kv.get<Note>(key), ...note });
  }

  #notes(): Map<number, Note> {
    const entries = this.ctx.storage.kv.list<Note>({ prefix: NOTE_PREFIX });
    return new Map([...entries].map(([key, note]) => [Number(key.slice(NOTE_PREFIX.length)), note]));
  }

  /** Drops the notes that a census has told, unless more has happened since. */
  #dropNotes(told: [number, Note][]): void {
    const now = this.#notes();
    for (const [id, note] of told) {
      if (JSON.stringify(now.get(id)) === JSON.stringify(note)) this.ctx.storage.kv.delete(NOTE_PREFIX + id);
    }
  }

  #told(): Map<number, number> {
    return new Map(this.ctx.storage.kv.get<[number, number][]>(TOLD_KEY));
  }
}

const attachmentOf = (socket: WebSocket) => socket.deserializeAttachment() as Attachment;
