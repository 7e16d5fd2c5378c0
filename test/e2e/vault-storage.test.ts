import { afterAll, beforeAll, expect, it } from "vitest";
import { makeClient } from "../../agent-cli/client.ts";
import { makeDispatcher } from "../../agent-cli/network.ts";
import { type VaultClient, vault } from "../../agent-cli/storage/vault.ts";
import { downloadClient, uploadClient } from "../../agent-cli/vault-client.ts";
import { adminApi, agentApi } from "../../protocol/index.ts";
import { type Fault, startFaultyProxy } from "../fakes/faulty-proxy.ts";
import { type Place, storageConformance } from "../storage/conformance.ts";
import { collect, MiB, oddChunks, randomData, sha256 } from "../storage/streams.ts";
import { TEST_MS } from "./until.ts";
import { startWorld, type World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
}, TEST_MS);
afterAll(() => world.close());

const signal = new AbortController().signal;
const quick = { attempts: 5, baseMs: 5, maxMs: 50 };
const direct = { proxyUrl: null, insecureTls: false, caCertFile: null };

/**
 * The agent's own storage, its own client and the real master. An agent may write only below a record that it has in
 * hand, and read only what it restores; so every key is put into the folder of one record that is never ended, and a
 * second record, whose restore is in hand, is pointed at the object that is to be read. The agent never asks the
 * master for an object's size (a restore's spec tells it), so the vault itself is looked at for that.
 */
async function aVault(master: URL = world.url): Promise<Place & { keys(): Promise<string[]> }> {
  const { node, token } = await world.call(adminApi.createNode, {
    body: { name: `vault-node-${Math.random()}`, maxConcurrent: 2 },
  });
  const client = makeClient({ master, token, dispatcher: makeDispatcher(direct) });
  const arranging = makeClient({ master: world.url, token, dispatcher: makeDispatcher(direct) });
  await arranging.call(agentApi.heartbeat, { body: { protocolVersion: 1, bootId: "b" } });
  const targetId = await world.target("vault");
  const take = async () => {
    const { commands } = await arranging.call(agentApi.poll, { body: { running: [], max: 1 } });
    if (!commands?.[0]) throw new Error("nothing was handed out");
    return commands[0];
  };
  const runInHand = async () => {
    const { id } = await world.call(adminApi.createTask, {
      body: {
        name: `vault-task-${Math.random()}`,
        nodeId: node.id,
        source: { type: "file", paths: ["/etc"] },
        targetIds: [targetId],
      },
    });
    const { recordId } = await world.run(id);
    const spec = { ...(await take()), recordId };
    const { objectPrefix } = await arranging.call(agentApi.taskSpec, { params: { id }, query: { recordId } });
    return { ...spec, objectPrefix, fileName: `x-t${id}-r${recordId}.tar.zst` };
  };
  const writing = await runInHand();
  const reading = await runInHand();
  const storagePath = `${reading.objectPrefix}${reading.fileName}`;
  await arranging.call(agentApi.updateRecord, {
    params: { id: reading.recordId },
    body: {
      status: "success",
      fileName: reading.fileName,
      storageUploadResults: [{ storageTargetId: targetId, status: "success", storagePath, fileSize: 0 }],
    },
  });
  await arranging.call(agentApi.commandResult, { params: { id: reading.id }, body: { success: true } });
  const { restoreId } = await world.call(adminApi.restoreRecord, {
    params: { id: reading.recordId },
    body: { destination: "/nowhere" },
  });
  await take();

  const keyOf = (key: string) => writing.objectPrefix + key.replaceAll("/", "∕");
  const statOf = async (key: string) => (await world.vaultObjects(keyOf(key))).at(0) ?? null;
  const context = { client, onWaiting: () => {} };
  const up = uploadClient(context, writing.recordId, targetId);
  const toMaster: VaultClient = {
    begin: (key, signal) => up.begin(keyOf(key), signal),
    part: (upload, ...rest) => up.part({ ...upload, key: keyOf(upload.key) }, ...rest),
    complete: (upload, ...rest) => up.complete({ ...upload, key: keyOf(upload.key) }, ...rest),
    abort: (upload, ...rest) => up.abort({ ...upload, key: keyOf(upload.key) }, ...rest),
    async open(key, range, signal) {
      const sizeBytes = (await statOf(key))?.size ?? 0;
      await world.change(
        "update record_copies set storage_path = ? where record_id = ?",
        keyOf(key),
        reading.recordId,
      );
      const artifact = { endpoint: agentApi.restoreArtifact, id: restoreId };
      return downloadClient(context, artifact, sizeBytes).open(keyOf(key), range, signal);
    },
    async stat(key) {
      const object = await statOf(key);
      return object && { sizeBytes: object.size };
    },
    async check() {
      await world.call(adminApi.testTarget, { params: { id: targetId }, body: { nodeId: node.id } });
    },
  };
  return {
    storage: vault(toMaster, { retryPolicy: quick }),
    leftovers: async () => {
      const uploads = await world.rows<{ key: string }>(
        "select key from vault_uploads where record_id = ?",
        writing.recordId,
      );
      return uploads.map(({ key }) => key);
    },
    keys: async () => (await world.vaultObjects(writing.objectPrefix)).map(({ key }) => key),
    async close() {
      await Promise.all([client.close(), arranging.close()]);
    },
  };
}

storageConformance("vault of the real master", () => aVault(), {
  canList: false,
  canDelete: false,
  // Three parts of 16 MiB under way, one that is being cut, and a chunk.
  maxReadAheadBytes: 65 * MiB,
  manyKeys: 0,
  knowsFirstByte: true,
});

/** What goes wrong with a put in three parts: each once, with the first call that fits. */
const troubles: Record<string, [on: RegExp, fault: Fault][]> = {
  "the answers to its beginning, a part and its completion are lost": [
    [/POST .*\/uploads$/, { kind: "lose-answer" }],
    [/PUT .*\/parts\/2$/, { kind: "lose-answer" }],
    [/POST .*\/complete$/, { kind: "lose-answer" }],
  ],
  "a part is cut off, one damaged, and one answered by somebody else": [
    [/PUT .*\/parts\/1$/, { kind: "cut", afterBytes: 5 * MiB }],
    [/PUT .*\/parts\/2$/, { kind: "flip" }],
    [/PUT .*\/parts\/3$/, { kind: "answer", status: 502, body: "<html><title>Bad gateway</title></html>" }],
  ],
};

it.each(Object.entries(troubles))(
  "vault: stores whole, and once, though %s",
  async (_what, faults) => {
    const proxy = await startFaultyProxy(Number(world.url.port));
    const place = await aVault(new URL(proxy.endpoint));
    const left = [...faults];
    proxy.plan = ({ method, url }) => {
      const at = left.findIndex(([on]) => on.test(`${method} ${url?.split("?")[0]}`));
      return at < 0 ? undefined : left.splice(at, 1)[0]?.[1];
    };
    const data = randomData(33 * MiB);
    let reported = 0;
    const onBytes = (bytes: number) => {
      reported += bytes;
    };
    const stored = await place.storage.put("object", oddChunks(data.bytes), { signal, onBytes });
    expect(stored).toEqual({ sizeBytes: 33 * MiB });
    expect(proxy.hits).toBe(3);
    expect(reported).toBe(33 * MiB);
    expect(sha256(await collect(await place.storage.get("object", { signal })))).toBe(data.sha256);
    expect(await place.keys()).toHaveLength(1);
    await place.close();
    await proxy.close();
  },
  TEST_MS,
);

it(
  "vault: a get that is cut off throws, and is never just short",
  async () => {
    const proxy = await startFaultyProxy(Number(world.url.port));
    const place = await aVault(new URL(proxy.endpoint));
    await place.storage.put("object", oddChunks(randomData(4 * MiB).bytes), { signal });
    proxy.plan = ({ url }) =>
      url?.endsWith("/artifact") ? { kind: "cut-answer", afterBytes: MiB } : undefined;
    await expect(async () => collect(await place.storage.get("object", { signal }))).rejects.toThrow();
    await place.close();
    await proxy.close();
  },
  TEST_MS,
);
