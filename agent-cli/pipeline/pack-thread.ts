import { parentPort, workerData } from "node:worker_threads";
import {
  type ComparedSegment,
  type CompareOptions,
  compareOptions,
  compareSegment,
} from "../sources/compare-segment.ts";
import { readBatch } from "../sources/file-batch.ts";
import { FilePacker } from "../sources/file-packer.ts";
import { release, sealRun } from "./age-payload.ts";
import { checkedLevel, type FrameEncoder, frameEncoder } from "./frame-encoder.ts";
import type {
  Answer,
  Ask,
  BatchReport,
  FilePart,
  Frame,
  PackedBatch,
  Requests,
  ThreadSettings,
} from "./pack-requests.ts";
import { SlabPool, slabBytes } from "./slabs.ts";
import { TarWriter } from "./tar.ts";

/** The entry of a packing thread: it reads, compresses and seals what it is asked to, one request after the other. */

const settings = workerData as ThreadSettings;
const own = new Set(settings.own);
const slabs = new SlabPool();
if (settings.compression !== "none") checkedLevel(settings.compression, settings.level);
let encoder: FrameEncoder | null = null;
/** Made for the first frame: a differential run may come to none. Null when nothing is compressed. */
function encode(): FrameEncoder | null {
  if (settings.compression === "none") return null;
  encoder ??= frameEncoder(settings.compression, settings.level);
  return encoder;
}

parentPort?.on("message", (asked: Ask) => {
  const moved: ArrayBuffer[] = [];
  parentPort?.postMessage(answerTo(asked, moved), moved);
});

function answerTo(asked: Ask, moved: ArrayBuffer[]): Answer {
  const { id } = asked;
  try {
    return { id, answer: perform(asked, moved) };
  } catch (error) {
    moved.length = 0;
    return { id, error: error instanceof Error ? error.message : String(error) };
  }
}

/** Does what is asked. What is pushed to `moved` is handed over with the answer. */
function perform(asked: Ask, moved: ArrayBuffer[]): Requests[keyof Requests]["answer"] {
  switch (asked.kind) {
    case "frame": {
      const { slab, used } = asked.ask;
      const frame = frameOf(Buffer.from(slab, 0, used));
      moved.push(slab, frame.bytes.buffer as ArrayBuffer);
      return { frame, slab };
    }
    case "files":
      return packBatch(Buffer.from(asked.ask.batch.buffer, 0, asked.ask.batch.length), moved);
    case "open":
      openFile(asked.ask.batch);
      return null;
    case "part":
      return nextPart(asked.ask.slab, moved);
    case "compare":
      return compare(asked.ask, moved);
    case "seal": {
      const sealed = sealRun(asked.ask);
      release(asked.ask.bytes);
      // Ciphers are small for the collector and are not: without this, those of a gigabyte take 100 MB.
      globalThis.gc?.({ type: "minor" });
      moved.push(sealed.buffer as ArrayBuffer);
      return { sealed };
    }
  }
}

let comparing: CompareOptions | null = null;

function compare(segment: Requests["compare"]["ask"], moved: ArrayBuffer[]): ComparedSegment {
  comparing ??= compareOptions(settings.compare ?? { roots: [], incomplete: [] });
  const compared = compareSegment(segment, comparing);
  moved.push(compared.verdicts.buffer as ArrayBuffer);
  return compared;
}

const batchTar = new TarWriter(slabs);
let batchPacker: FilePacker | null = null;

function packBatch(batch: Buffer, moved: ArrayBuffer[]): PackedBatch {
  batchPacker ??= new FilePacker(batchTar, { own, hashing: settings.hashing, whole: true });
  const packer = batchPacker;
  const frames: Frame[] = [];
  const close = () => {
    for (const slab of batchTar.take()) frames.push(framed(slab));
  };
  packer.begin();
  for (const entry of readBatch(batch)) {
    if (!packer.add(entry)) for (const _ of packer.addRest()) close();
    close();
  }
  batchTar.flush();
  close();
  const done = reportOf(packer);
  for (const { buffer } of [done.results, ...frames.map(({ bytes }) => bytes)])
    moved.push(buffer as ArrayBuffer);
  return { ...done, frames };
}

const reportOf = ({ results, warnings, sourceBytes }: FilePacker): BatchReport => ({
  results: results.finish(),
  warnings,
  sourceBytes,
});

/** A slab of this thread as a frame, whose memory is its own. */
function framed(slab: Buffer): Frame {
  if (settings.compression === "none" && slab.length > slab.buffer.byteLength / 2)
    return { bytes: slab, plainBytes: slab.length };
  const frame = frameOf(slab);
  slabs.give(slab.buffer);
  return frame;
}

function frameOf(plain: Buffer): Frame {
  const compress = encode();
  if (compress) return { bytes: compress(plain), plainBytes: plain.length };
  const bytes = Buffer.allocUnsafeSlow(plain.length);
  bytes.set(plain);
  return { bytes, plainBytes: plain.length };
}

/** A file that is being read part by part, into the slabs that come with the requests. */
const given: Buffer[] = [];
const fileTar = new TarWriter({ take: () => given.pop() ?? Buffer.allocUnsafeSlow(slabBytes) });
const read: Buffer[] = [];
let reading: Generator<undefined> | null = null;
let report: BatchReport | null = null;
let filePacker: FilePacker | null = null;

function openFile(batch: Uint8Array): void {
  filePacker ??= new FilePacker(fileTar, { own, hashing: settings.hashing, whole: false });
  filePacker.begin();
  reading = addAll(filePacker, Buffer.from(batch.buffer, 0, batch.length));
}

function* addAll(packer: FilePacker, batch: Buffer): Generator<undefined> {
  for (const entry of readBatch(batch)) if (!packer.add(entry)) yield* packer.addRest();
}

function nextPart(slab: ArrayBuffer, moved: ArrayBuffer[]): FilePart {
  given.push(Buffer.from(slab));
  while (reading && filePacker && read.length === 0) {
    const { done } = reading.next();
    if (done) {
      fileTar.flush();
      reading = null;
      report = reportOf(filePacker);
    }
    read.push(...fileTar.take());
  }
  const part = read.shift() ?? (given.pop() as Buffer).subarray(0, 0);
  moved.push(part.buffer as ArrayBuffer);
  const end = read.length === 0 ? report : null;
  if (end) {
    moved.push(end.results.buffer as ArrayBuffer);
    report = null;
  }
  return {
    slab: part.buffer as ArrayBuffer,
    used: part.length,
    sourceBytes: filePacker?.sourceBytes ?? 0,
    end,
  };
}
