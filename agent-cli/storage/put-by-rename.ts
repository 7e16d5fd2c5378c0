import { randomBytes } from "node:crypto";
import { abortable } from "./abortable.ts";
import { partialName } from "./key.ts";
import { type Replay, replayable, sendReplayed } from "./replay.ts";
import type { RetryPolicy } from "./retry.ts";
import type { PutOptions, StoredObject } from "./storage.ts";

/** What a place must be able to do for an object to appear under its key whole or not at all. */
export type RenamingPut = {
  /** Bytes of the source that are kept for sending them again. */
  windowBytes: number;
  retryPolicy: RetryPolicy;
  /** Sends the source from `offset` on to the end, under the partial name, and proves that all of it arrived. */
  send(partial: string, replay: Replay, offset: number): Promise<void>;
  /** Where a broken sending may go on. */
  resumeAt(partial: string, replay: Replay): Promise<number>;
  /** Gives the finished file its key; repeats itself where that can help. */
  rename(partial: string, sizeBytes: number): Promise<void>;
  /** Removes what a failed put left, under its key too if it may have been renamed. Never throws. */
  tidy(partial: string, mayBeRenamed: boolean): Promise<void>;
};

/** Writes an object under a name of its own and renames it when it is there; a failure leaves neither. */
export async function putByRename(
  key: string,
  body: AsyncIterable<Uint8Array>,
  { signal, onBytes }: PutOptions,
  place: RenamingPut,
): Promise<StoredObject> {
  signal.throwIfAborted();
  const source = abortable(body, signal);
  const replay = replayable(source, { windowBytes: place.windowBytes, onTaken: onBytes });
  const partial = partialName(key, randomBytes(8).toString("hex"));
  let isSent = false;
  try {
    await sendReplayed(
      replay,
      place.retryPolicy,
      signal,
      (offset) => place.send(partial, replay, offset),
      () => place.resumeAt(partial, replay),
    );
    isSent = true;
    await place.rename(partial, replay.endBytes);
    return { sizeBytes: replay.endBytes };
  } catch (error) {
    await place.tidy(partial, isSent);
    throw error;
  } finally {
    await source.return(undefined);
  }
}
